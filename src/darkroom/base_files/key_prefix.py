"""What tools put before every key of a base model's file: a prefix that all keys share, and no part of their names."""

from collections.abc import Collection

# ComfyUI's checkpoints, a pipeline saved whole, wrappers of trainers and of torch.
_PREFIXES = (
    "diffusion_model.",
    "transformer.",
    "model.",
    "net.",
    "module.",
    "_orig_mod.",
    "first_stage_model.",
    "vae.",
)


def shared_prefix(keys: Collection[str]) -> str:
    """All that can be cut off before every key, such as "model.diffusion_model."; "" where one key begins otherwise."""
    prefix = ""
    while more := next((each for each in _PREFIXES if _is_before_all(prefix + each, keys)), ""):
        prefix += more
    return prefix


def _is_before_all(prefix: str, keys: Collection[str]) -> bool:
    return bool(keys) and all(key.startswith(prefix) and key != prefix for key in keys)

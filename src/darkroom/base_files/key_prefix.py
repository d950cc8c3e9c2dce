"""What tools put before the keys of a base model's file: a prefix that they share, and no part of their names.

A stray key without it, such as a count of a trainer's, hides no prefix: whoever accounts for the tensors names it.
"""

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
_FEW = 10  # one key in so many


def shared_prefix(keys: Collection[str]) -> str:
    """All that can be cut off before them, such as "model.diffusion_model."; "" where more than a few have none."""
    prefix = ""
    while more := next((each for each in _PREFIXES if _is_before(prefix + each, keys)), ""):
        prefix += more
    return prefix


def _is_before(prefix: str, keys: Collection[str]) -> bool:
    """Before all but a stray few."""
    without = sum(not key.startswith(prefix) or key == prefix for key in keys)
    return bool(keys) and without * _FEW < len(keys)

"""What a component's file is, told by its keys and shapes alone. Knows what people mix up; reads nothing.

Families refuse by it what is not theirs, in words that say what the file is.
"""

import re
from collections.abc import Mapping

FLUX2_TRANSFORMER, FLUX2_VAE = "FLUX.2's transformer", "FLUX.2's VAE"
FLUX1_TRANSFORMER = "a transformer of FLUX.1 or Flex"
FLUX1_VAE = "FLUX.1's VAE (16 latent channels, no bn statistics)"

_ENCODERS = {2560: "Qwen3-4B", 4096: "Qwen3-8B", 5120: "Mistral-Small-3.1"}  # by hidden size
_INSIDE = re.compile(r"((model\.)?diffusion_model|transformer)\..+")
_BESIDE = re.compile(r"(first_stage_model|vae|cond_stage_model|conditioner|text_encoders?)\..+")
_SIGNS = (  # what a file is, and a key that none but it has; the first that is found counts
    ("a LoRA or LoKr, which belongs into conf/lora", r".+\.(lora_(A|B|up|down)|lokr_w\d(_\w)?)(\..+)?"),
    (FLUX2_TRANSFORMER, r"(.+\.)?double_stream_modulation_img\.(lin|linear)\.weight"),
    (FLUX1_TRANSFORMER, r"(.+\.)?double_blocks\.0\.img_mod\.lin\.weight"),
    (FLUX1_TRANSFORMER, r"(.+\.)?single_transformer_blocks\.0\.norm\.linear\.weight"),
    ("T5, a text encoder of FLUX.1", r"(.+\.)?encoder\.block\.0\.layer\.0\.SelfAttention\.q\.weight"),
    ("T5, a text encoder of FLUX.1", r"enc\.blk\.0\.attn_q\.weight"),
    ("CLIP, a text encoder of FLUX.1", r"(.+\.)?text_model\.encoder\.layers\.0\..+"),
)
_DECODER = re.compile(r"(.+\.)?decoder\.conv_in\.weight")
_STATISTICS = re.compile(r"(.+\.)?bn\.running_mean")
_LANGUAGE_MODEL = re.compile(r"(.+\.)?(layers\.0\.self_attn\.q_proj|blk\.0\.attn_q)\.weight")


def kind_of(shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """What a file is by its keys, None for what is not known."""
    if any(map(_BESIDE.fullmatch, shapes)) and any(map(_INSIDE.fullmatch, shapes)):
        return "a checkpoint with transformer, VAE or text encoder in one file"
    for kind, sign in _SIGNS:
        if any(map(re.compile(sign).fullmatch, shapes)):
            return kind
    for key, shape in shapes.items():
        if _LANGUAGE_MODEL.fullmatch(key) and len(shape) == 2:
            name = _ENCODERS.get(shape[1])
            return f"a text encoder ({f'{name}, ' if name else ''}hidden size {shape[1]})"
        if _DECODER.fullmatch(key) and len(shape) > 1:
            return _kind_of_vae(shape[1], any(map(_STATISTICS.fullmatch, shapes)))
    return None


def _kind_of_vae(channels: int, has_statistics: bool) -> str:
    if has_statistics:
        return FLUX2_VAE
    if channels == 16:
        return FLUX1_VAE
    name = "the VAE of Stable Diffusion" if channels == 4 else "another model's VAE"
    return f"{name} ({channels} latent channels, no bn statistics)"

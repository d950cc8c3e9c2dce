"""What a component's files are, told by their keys and shapes alone, and what a family wants in their place.

What is not a family's is refused in words that say what it is: by a dry run, and when it is loaded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from darkroom.errors import CheckpointError

FLUX2_TRANSFORMER, FLUX2_VAE = "FLUX.2's transformer", "FLUX.2's VAE"
FLUX1_TRANSFORMER = "a transformer of FLUX.1 or Flex"
FLUX1_VAE = "FLUX.1's VAE (16 latent channels, no bn statistics)"
Z_IMAGE_TRANSFORMER = "a transformer of Z-Image"


@dataclass(frozen=True)
class Wanted:
    """What a component of a family's models has to be. `right`: files that people have of it."""

    kind: str
    right: str
    in_folders: bool = False  # read from diffusers folders only


FLUX2_FILES = {
    "transformer": Wanted(
        FLUX2_TRANSFORMER, "flux-2-klein-base-4b.safetensors, flux-2-klein-base-9b.safetensors or flux2-dev.safetensors"
    ),
    "vae": Wanted(FLUX2_VAE, "ai-toolkit/flux2_vae ae.safetensors or flux2-vae.safetensors"),
}
_FLUX1_FOLDER = "folder of FLUX.1-dev, Flex.1-alpha or Flex.2-preview"
FLUX1_FILES = {
    "transformer": Wanted(FLUX1_TRANSFORMER, f"the transformer {_FLUX1_FOLDER}", in_folders=True),
    "vae": Wanted(FLUX1_VAE, f"the vae {_FLUX1_FOLDER}", in_folders=True),
}
Z_IMAGE_FILES = {
    "transformer": Wanted(
        Z_IMAGE_TRANSFORMER,
        "the transformer folder of Tongyi-MAI/Z-Image, Z-Image-Turbo or ostris/Z-Image-De-Turbo, or one file such as "
        "z_image_turbo_bf16.safetensors",
    ),
    "vae": Wanted(FLUX1_VAE, "the vae folder of Tongyi-MAI/Z-Image-Turbo, or ae.safetensors"),
}

_ENCODERS = {2560: "Qwen3-4B", 4096: "Qwen3-8B", 5120: "Mistral-Small-3.1"}  # by hidden size
_INSIDE = re.compile(r"((model\.)?diffusion_model|transformer)\..+")
_BESIDE = re.compile(r"(first_stage_model|vae|cond_stage_model|conditioner|text_encoders?)\..+")
_SIGNS = (  # what a file is, and a key that none but it has; the first that is found counts
    ("a LoRA or LoKr, which belongs into conf/lora", r".+\.(lora_(A|B|up|down)|lokr_w\d(_\w)?)(\..+)?"),
    (FLUX2_TRANSFORMER, r"(.+\.)?double_stream_modulation_img\.(lin|linear)\.weight"),
    (FLUX1_TRANSFORMER, r"(.+\.)?double_blocks\.0\.img_mod\.lin\.weight"),
    (FLUX1_TRANSFORMER, r"(.+\.)?single_transformer_blocks\.0\.norm\.linear\.weight"),
    (Z_IMAGE_TRANSFORMER, r"(.+\.)?cap_pad_token"),
    ("a transformer of Lumina 2", r"(.+\.)?context_refiner\.0\.(attention|attn)\.(qkv|to_q)\.weight"),
    ("T5, a text encoder of FLUX.1", r"(.+\.)?encoder\.block\.0\.layer\.0\.SelfAttention\.q\.weight"),
    ("T5, a text encoder of FLUX.1", r"enc\.blk\.0\.attn_q\.weight"),
    ("CLIP, a text encoder of FLUX.1", r"(.+\.)?text_model\.encoder\.layers\.0\..+"),
    ("a Qwen2, another language model", r"(.+\.)?layers\.0\.self_attn\.q_proj\.bias"),
    ("a Mistral in its makers' naming (take the model-*.safetensors)", r"layers\.0\.attention\.w[qkvo]\.weight"),
)
_DECODER = re.compile(r"(.+\.)?decoder\.conv_in\.weight")
_STATISTICS = re.compile(r"(.+\.)?bn\.running_mean")
_LANGUAGE_MODEL = re.compile(r"(.+\.)?(layers\.0\.self_attn\.q_proj|blk\.0\.attn_q)\.weight")


def refuse_others(
    path: str, shapes: Mapping[str, tuple[int, ...]], wanted: Wanted, *, is_folder: bool, architecture: str = ""
) -> None:
    """CheckpointError for files that are known to be something else. `architecture`: what a .gguf file says it is."""
    kind = kind_of(shapes) or (f"a GGUF file of architecture {architecture}" if architecture else None)
    if kind not in (None, wanted.kind):
        needed = f"{wanted.right} is needed" if wanted.in_folders else f"{wanted.kind} is needed: {wanted.right}"
        raise CheckpointError(f"{path}: is {kind}; {needed}")
    if wanted.in_folders and not is_folder:
        told = f"is {kind} in one file" if kind else "is one file"
        raise CheckpointError(f"{path}: {told}; this family reads diffusers folders: {wanted.right}")


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

"""What each family asks of conf/: parts of the checkpoint, guidance, schedules, reference images.

The other half of a family is its module in render/families; the names are the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from darkroom.base_files.gguf.encoders import QWEN3_GGUF, T5_GGUF, Z_IMAGE_GGUF, GgufKind
from darkroom.base_files.kinds import FLUX1_FILES, FLUX2_FILES, Z_IMAGE_FILES, Wanted
from darkroom.errors import ImageError
from darkroom.files.images.reference import ImageHeader, SizeLimits, read_image_header
from darkroom.request.parts import CFG_ABOVE, INPAINT, POOLED_PROMPT_EMBEDS, PROMPT_EMBEDS

REFERENCE_KEYS = ("ctrl_img", "ctrl_img_1", "ctrl_img_2", "ctrl_img_3")
ENCODER_OF = {"tokenizer": "text_encoder", "tokenizer_2": "text_encoder_2"}  # the part that each tokenizer belongs to


@dataclass(frozen=True)
class FamilySpec:
    """What the models of one family have in common, as far as planning has to know it."""

    text_parts: tuple[str, ...]  # of the checkpoint, besides transformer and vae
    files: Mapping[str, Wanted]  # what transformer and vae have to be
    gguf_encoders: Mapping[str, GgufKind]  # text encoders that are read as .gguf too, and their sizes
    embeds: Mapping[str, tuple[str, ...]]  # tensors of an encoded prompt, and what their dimensions are; the first is 1
    guidances: tuple[str, ...]  # values of model.guidance
    guidance_rules: tuple[str, ...]  # of model.guidance_rule
    schedules: tuple[str, ...]  # of model.schedule
    timestep_roundings: tuple[str, ...]  # of model.timestep_rounding
    qtypes: tuple[str, ...]  # of model.quantize.transformer
    takes_distilled: bool  # model.distilled has a meaning
    takes_attn_masking: bool  # model.attn_masking has one
    takes_cast: bool  # model.text_encoder_cast changes an embedding
    has_fast: bool  # model.numerics: fast computes otherwise than exact, without any speed-up too
    takes_training_adapter: bool  # checkpoint.training_adapter
    keeps_embedders: (
        bool  # quantising the transformer leaves them as they are, unless quantize.embedders says otherwise
    )
    reference_keys: tuple[str, ...]  # of a prompt, in the order in which the model sees the images
    reference_limits: SizeLimits
    has_slots: bool  # ctrl_idx says what an image is for: 0 inpainting, 1 control

    @property
    def choices(self) -> Mapping[str, tuple[str | None, ...]]:
        """Values that its models may have, by field of a request, where families differ in them."""
        return {
            "schedule": self.schedules,
            "timestep_rounding": self.timestep_roundings,
            "guidance_rule": self.guidance_rules,
            "quantize_transformer": (None, *self.qtypes),
        }

    @property
    def text_encoders(self) -> tuple[str, ...]:
        return tuple(part for part in self.text_parts if part not in ENCODER_OF)


QTYPES = ("qfloat8", "qint8", "qint4")  # quanto's
FLOAT8 = "float8"  # torchao's
_TWO_ENCODERS = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")  # CLIP and T5
_TOKENS = {PROMPT_EMBEDS: ("1", "tokens", "features")}
_TOKENS_AND_POOLED = {**_TOKENS, POOLED_PROMPT_EMBEDS: ("1", "features")}
_ANY_SIZE = SizeLimits(shortest_side=1, largest_aspect=None)  # the picture's size is what the image is stretched to

FAMILIES: Mapping[str, FamilySpec] = {
    "flux2": FamilySpec(
        text_parts=("text_encoder", "tokenizer"),
        files=FLUX2_FILES,
        gguf_encoders={"text_encoder": QWEN3_GGUF},
        embeds=_TOKENS,
        guidances=("cfg", "embedded"),
        guidance_rules=("aitk",),
        schedules=("aitk", "diffusers"),
        timestep_roundings=("aitk", "diffusers"),
        qtypes=QTYPES,
        takes_distilled=True,
        takes_attn_masking=False,
        takes_cast=True,
        has_fast=True,
        takes_training_adapter=False,
        keeps_embedders=False,
        reference_keys=REFERENCE_KEYS,
        reference_limits=SizeLimits(shortest_side=64, largest_aspect=8),  # the trainer's: flux2/src/sampling.py
        has_slots=False,
    ),
    "flux": FamilySpec(
        text_parts=_TWO_ENCODERS,
        files=FLUX1_FILES,
        gguf_encoders={"text_encoder_2": T5_GGUF},
        embeds=_TOKENS_AND_POOLED,
        guidances=("embedded",),
        guidance_rules=("aitk",),
        schedules=("aitk",),
        timestep_roundings=("aitk",),
        qtypes=QTYPES,
        takes_distilled=False,
        takes_attn_masking=True,
        takes_cast=False,
        has_fast=False,
        takes_training_adapter=False,
        keeps_embedders=False,
        reference_keys=(),
        reference_limits=_ANY_SIZE,
        has_slots=False,
    ),
    "flex2": FamilySpec(
        text_parts=_TWO_ENCODERS,
        files=FLUX1_FILES,
        gguf_encoders={"text_encoder_2": T5_GGUF},
        embeds=_TOKENS_AND_POOLED,
        guidances=("embedded",),
        guidance_rules=("aitk",),
        schedules=("aitk",),
        timestep_roundings=("aitk",),
        qtypes=QTYPES,
        takes_distilled=False,
        takes_attn_masking=False,
        takes_cast=False,
        has_fast=False,
        takes_training_adapter=False,
        keeps_embedders=False,
        reference_keys=("ctrl_img",),
        reference_limits=_ANY_SIZE,
        has_slots=True,
    ),
    "zimage": FamilySpec(
        text_parts=("text_encoder", "tokenizer"),
        files=Z_IMAGE_FILES,
        gguf_encoders={"text_encoder": Z_IMAGE_GGUF},
        embeds=_TOKENS,
        guidances=("cfg",),
        guidance_rules=tuple(CFG_ABOVE),
        schedules=("aitk", "aitk_to_zero"),
        timestep_roundings=("aitk",),
        qtypes=(*QTYPES, FLOAT8),
        takes_distilled=False,
        takes_attn_masking=False,
        takes_cast=True,
        has_fast=False,
        takes_training_adapter=True,
        keeps_embedders=True,
        reference_keys=(),
        reference_limits=_ANY_SIZE,
        has_slots=False,
    ),
}


def check_image(path: str, family: str, ctrl_idx: int | None) -> ImageHeader:
    """The header of an image that the family's models can take, in this slot; ImageError for any other."""
    header = read_image_header(path, FAMILIES[family].reference_limits)
    if ctrl_idx == INPAINT and not header.has_transparency:
        raise ImageError(
            f"{path}: has no alpha channel (it is {header.mode}), and ctrl_idx 0 is for inpainting: alpha 255 keeps, 0 "
            "repaints; set ctrl_idx: 1 for a control image"
        )
    return header

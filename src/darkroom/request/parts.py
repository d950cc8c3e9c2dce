"""The parts of a request, as frozen values: each function takes only the parts that it depends on.

What can change a pixel stands in five of them: `BaseModel`, `Encoder`, `Sampling`, `Text`, `Adapters`. Every field of
theirs is in the ids by its name, files by digest and texts by their embeddings, so that a new one cannot be forgotten.
What cannot (names, paths, reasons, what was asked for) stands in the other four: `Title`, `Source`, `Asked`, `Remarks`.

A field that is added later says in which version of the record (`metadata={"since": 2}`), and has a default, which has
to be what was done before: older records are read with it, and while a field has it, it is in no id, so that every
earlier id stays.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from darkroom.names import Names
from darkroom.request.digest import NUMERICS_REVISION, digest_of, in_id

PROMPT_EMBEDS = "prompt_embeds"  # the tensor in a file of that key, and in every embedding of a text
POOLED_PROMPT_EMBEDS = "pooled_prompt_embeds"  # beside it, of a family with CLIP
INPAINT, CONTROL = 0, 1  # values of ctrl_idx
# Above which guidance_scale classifier-free guidance runs, by Sampling.guidance_rule: how ai-toolkit reads the number.
CFG_ABOVE = {"aitk": 1.0, "raw": 0.0, "raw_above_1": 1.0}

# Metadata of a field of the five: how it is in an id, where that is not by its own name.
_OTHERWISE = {"id_key": None}  # not as itself: by the id of an embedding, or by the digest of the file that it names


@dataclass(frozen=True)
class Lora:
    """One LoRA or LoKr file of a stack, at the strength in effect."""

    path: str
    network_multiplier: float
    sha256: str = ""  # of the file; "" until the plan job has read it
    step: int | None = None  # of its training, by the file's header; None where that does not say it

    @property
    def in_id(self) -> list[Any]:
        return [self.sha256, self.network_multiplier]


@dataclass(frozen=True)
class ReferenceImage:
    """One reference image (ctrl_img) that the model sees beside the prompt, in the order in which they are numbered."""

    path: str
    sha256: str = ""  # of the file; "" until the plan job has read it

    @property
    def in_id(self) -> str:
        return self.sha256


@dataclass(frozen=True, kw_only=True)
class Title:
    """Which picture of the experiment it is, by names; `index` counts prompts of the set from 0."""

    experiment: str
    model: str
    lora: str
    prompts: str
    index: int
    image_name: str  # file name without ending, unique within the combination
    axes: tuple[tuple[str, Any], ...] = ()  # further axes of the matrix, in its order: (("seed", 1), …)

    @property
    def names(self) -> Names:
        """Of the combination."""
        return Names(self.model, self.lora, self.prompts)


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """What makes another base model in memory: transformer and VAE, and how they compute."""

    family: str
    dtype: str
    quantize_transformer: str | None = None
    quantize_embedders: bool = field(default=False, metadata={"since": 4})  # Z-Image's; other families' always are
    guidance: str  # cfg | embedded | none: a distilled model's, without effect
    numerics: str  # exact | fast
    # The speed-ups of fast (speedups.py): both texts of guidance in one forward pass; blocks compiled by torch.
    batched_guidance: bool = field(default=False, metadata={"since": 6})
    compiled_blocks: bool = field(default=False, metadata={"since": 6})
    checkpoint_digest: str = ""  # of transformer and VAE; "" until the plan job has read them


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """What changes the embedding of a text: the text encoder, and how it computes."""

    family: str
    dtype: str
    quantize_text_encoder: str | None = field(default=None, metadata={"id_key": "quantize"})
    text_encoder_cast: bool = field(default=False, metadata={"id_key": "cast"})
    max_sequence_length: int  # tokens
    attn_masking: bool = False  # the embedding's rows of padding are zero (FLUX.1 and Flex.1 with T5)
    text_encoder_digest: str = field(default="", metadata={"id_key": "text_encoder"})  # "" until the plan job

    def embedding_id(self, text: str) -> str:
        """64 hex digits over everything that can change the embedding of `text`."""
        return digest_of({"revision": NUMERICS_REVISION, **in_id(self), "text": text})


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How latents are drawn and denoised, and what conditions them besides text. Sizes in pixels."""

    width: int
    height: int
    seed: int
    sample_steps: int
    guidance_scale: float
    guidance_rule: str = field(default="aitk", metadata={"since": 4})  # of CFG_ABOVE
    schedule: str  # aitk | diffusers | aitk_to_zero
    timestep_rounding: str = "aitk"  # aitk | diffusers: of the time that the transformer is told
    noise_device: str = "cpu"  # cpu | cuda: whose generator draws the noise
    ctrl_images: tuple[ReferenceImage, ...] = ()
    ctrl_idx: int | None = None  # Flex.2's slot for its one image: 0 inpaint, 1 control; None where there is none


@dataclass(frozen=True, kw_only=True)
class Text:
    """What the picture shows, in words, or in a file in place of the prompt, which is then ""."""

    prompt: str = field(metadata=_OTHERWISE)
    neg: str = field(default="", metadata=_OTHERWISE)
    prompt_embeds: str | None = field(default=None, metadata=_OTHERWISE)  # path
    prompt_embeds_sha256: str | None = None  # of the file; None until the plan job has read it


@dataclass(frozen=True, kw_only=True)
class Adapters:
    """LoRA and LoKr files, each at its own strength times that of the prompt, and how they come to the weights."""

    loras: tuple[Lora, ...] = ()
    lora_merge: str | None = None  # merged | merged_in_dtype | live; None where no adapter is in effect
    allow_foreign_lora: bool = False  # adapters of a kindred base may be applied as far as they fit

    @property
    def active(self) -> tuple[Lora, ...]:
        """The adapters that change a weight: a multiplier of 0 is the base model."""
        return tuple(lora for lora in self.loras if lora.network_multiplier != 0)

    @property
    def in_effect(self) -> "Adapters":
        """What of it can change a pixel."""
        return replace(self, loras=self.active) if self.active else Adapters()


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the model's files come from, as configured."""

    checkpoint: str
    checkpoint_revision: str | None = None  # commit of a hub repository, known once the plan job has seen the files
    text_encoder: str
    training_adapter: str | None = field(default=None, metadata={"since": 4})  # None where the base has none
    # of the one file with the transformer's weights, None where there are several
    transformer_sha256: str | None = field(default=None, metadata={"since": 2})


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked for, where what is in effect stands beside it."""

    prompt_template: str  # with [trigger] as it was written
    # the template of the set that it is one of the texts of; None where it was written so
    drawn_from: str | None = field(default=None, metadata={"since": 3})
    trigger_word: str | None = None
    width_requested: int  # pixels
    height_requested: int
    network_multiplier: float = 1.0  # of the whole stack: each file's own is multiplied by it in `loras`


@dataclass(frozen=True, kw_only=True)
class Remarks:
    """Sentences for people."""

    lora_merge_reason: str | None = None
    not_comparable: tuple[str, ...] = ()  # why no trainer could have previewed the picture; () if one could
    warnings: tuple[str, ...] = ()

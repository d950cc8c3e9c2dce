"""The dataclasses that conf/ must satisfy: keys, types, what is allowed, defaults (conf/compare/: thresholds.py).

Names are those of the ai-toolkit-inference request schema. A key's metadata says what is allowed:
`range` (lowest, highest), `finite`, `one_of` (values), `aliases` (what YAML makes of an unquoted value).
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from darkroom.plan.conf.families import FAMILIES, FLOAT8, QTYPES
from darkroom.request.parts import CFG_ABOVE
from darkroom.request.sizes import LEAST, MOST

AXIS_GROUPS = ("model", "lora", "prompts")
COMPARE = "compare"  # a group whose options are chosen by the name of a model
ASPECT_RATIOS = ("1:1", "16:9", "21:9", "3:2", "2:3", "4:5", "5:4", "3:4", "4:3", "9:16", "9:21")


def _sexagesimal(ratio: str) -> int:
    major, minor = ratio.split(":")
    return int(major) * 60 + int(minor)


# YAML 1.1 reads an unquoted 16:9 as the base-60 number 969.
RATIO_KEYS = ("aspect_ratio",)
_UNQUOTED_RATIOS = {_sexagesimal(ratio): ratio for ratio in ASPECT_RATIOS}

_SIDE = {"range": (LEAST, MOST)}
_SEED = {"range": (-1, 2**63 - 1)}
_STEPS = {"range": (1, 150)}
_GUIDANCE = {"range": (0, 20)}
_MULTIPLIER = {"finite": True}  # sliders are made for -9 to 6


@dataclass
class Config:
    """The root of conf/, as Hydra fills it. Under model, lora, prompts, compare stands what goes for every option."""

    model: dict[str, Any] = field(default_factory=dict)
    lora: dict[str, Any] = field(default_factory=dict)
    prompts: dict[str, Any] = field(default_factory=dict)
    output: dict[str, Any] = field(default_factory=dict)
    compare: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    matrix: dict[str, Any] = field(default_factory=dict)
    exclude: list[Any] = field(default_factory=list)
    score: list[Any] = field(default_factory=list)  # names of conf/score/


@dataclass(frozen=True, kw_only=True)
class Machine:
    """machine: where things lie on this one. No picture depends on it; `darkroom init` writes it."""

    hf_home: str | None = None  # what the environment's HF_HOME is where that is not set: a cron job's, for instance
    ai_toolkit: str | None = None  # `darkroom import aitk NAME` finds NAME in its output/
    c2pa_certificate: str | None = None  # PEM: who signs, then who vouches for it; only this machine's file may say so
    c2pa_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class CheckpointSource:
    """Where a base model comes from. `repo`: hub id, or local folder in diffusers layout; the other parts replace its.

    Without a `repo` every part has to be named, or to lie with one that is, as a tokenizer with its text encoder.

    A part is a local folder or file, `organisation/name` or `organisation/name/file.safetensors` of the hub (both may
    end in `@revision`), or a bare file name, looked for here, in a local `repo`, below `comfyui_models` (a ComfyUI
    models/ folder), then in a `repo` of the hub.
    """

    repo: str | None = None
    revision: str | None = None
    transformer: str | None = None
    vae: str | None = None
    text_encoder: str | None = None
    text_encoder_2: str | None = None  # T5, beside the CLIP of text_encoder; families flux and flex2
    tokenizer: str | None = None
    tokenizer_2: str | None = None
    training_adapter: str | None = None  # a LoRA that the base was trained with, and that pictures are without
    comfyui_models: str | None = None

    @property
    def name(self) -> str:
        """What the whole is called by: its `repo`, or its transformer."""
        return self.repo or self.transformer or ""


@dataclass(frozen=True, kw_only=True)
class Quantize:
    """Storage types of linear weights, None for the model's dtype."""

    transformer: str | None = field(default=None, metadata={"one_of": (*QTYPES, FLOAT8)})
    text_encoder: str | None = field(default=None, metadata={"one_of": QTYPES})
    embedders: bool = False  # of the transformer too, and its final layer, where its family leaves them as they are


@dataclass(frozen=True, kw_only=True)
class ModelDefaults:
    """What a prompt has that names no other value. Sizes in pixels; the seed is that of the first prompt of a set."""

    width: int = field(default=1024, metadata=_SIDE)
    height: int = field(default=1024, metadata=_SIDE)
    sample_steps: int = field(default=25, metadata=_STEPS)
    guidance_scale: float = field(default=4.0, metadata=_GUIDANCE)
    seed: int = field(default=42, metadata={"range": (-1, 2**62)})  # leaves room for + index
    neg: str = ""


@dataclass(frozen=True, kw_only=True)
class Model:
    """conf/model/*.yaml: one base model and how it computes."""

    family: str = field(metadata={"one_of": tuple(FAMILIES)})
    checkpoint: CheckpointSource
    distilled: bool = False
    imported: bool = False  # from a training run: the trainer previewed this very model, distilled or not
    guidance: str = field(default="cfg", metadata={"one_of": ("cfg", "embedded")})
    guidance_rule: str = field(default="aitk", metadata={"one_of": tuple(CFG_ABOVE)})
    schedule: str = field(default="aitk", metadata={"one_of": ("aitk", "diffusers", "aitk_to_zero")})
    timestep_rounding: str = field(default="aitk", metadata={"one_of": ("aitk", "diffusers")})
    noise_device: str = field(default="cpu", metadata={"one_of": ("cpu", "cuda")})
    resolution_divisor: int = field(default=16, metadata={"one_of": (16, 32, 48, 64)})  # 16 pixels a token
    max_sequence_length: int = field(default=512, metadata={"range": (1, 4096)})
    trained_sequence_length: int = field(default=512, metadata={"range": (1, 4096)})  # the trainer's, of every family
    attn_masking: bool = False
    dtype: str = field(default="bfloat16", metadata={"one_of": ("bfloat16", "float32")})
    quantize: Quantize = Quantize()
    text_encoder_cast: bool = False
    lora_merge: str = field(default="auto", metadata={"one_of": ("auto", "merged", "merged_in_dtype", "live")})
    numerics: str = field(default="exact", metadata={"one_of": ("exact", "fast")})
    batched_guidance: bool = False
    compiled_blocks: bool = False
    defaults: ModelDefaults = ModelDefaults()


@dataclass(frozen=True, kw_only=True)
class StackedLora:
    """One LoRA or LoKr file of a stack, and its own strength."""

    bare: ClassVar[str] = "path"

    path: str
    network_multiplier: float = field(default=1.0, metadata=_MULTIPLIER)


@dataclass(frozen=True, kw_only=True)
class LoraStack:
    """conf/lora/*.yaml: the files applied together, in order; none is the base model."""

    trigger_word: str | None = None
    loras: tuple[StackedLora, ...]
    allow_foreign_lora: bool = False  # one of a kindred base, such as FLUX.1's on Flex.1, as far as it fits


@dataclass(frozen=True, kw_only=True)
class LoraFolder:
    """The same of a training: each LoRA file of `folder` that fits `pattern` is a value, and stands before `loras`."""

    folder: str
    pattern: str = "*"
    network_multiplier: float = field(default=1.0, metadata=_MULTIPLIER)  # of the folder's file
    trigger_word: str | None = None
    loras: tuple[StackedLora, ...] = ()
    allow_foreign_lora: bool = False


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a prompt, the defaults of a set and a further axis of the matrix may set. None: left to the next level."""

    trigger_word: str | None = None
    neg: str | None = None
    width: int | None = field(default=None, metadata=_SIDE)
    height: int | None = field(default=None, metadata=_SIDE)
    aspect_ratio: str | None = field(default=None, metadata={"one_of": ASPECT_RATIOS, "aliases": _UNQUOTED_RATIOS})
    seed: int | None = field(default=None, metadata=_SEED)
    sample_steps: int | None = field(default=None, metadata=_STEPS)
    guidance_scale: float | None = field(default=None, metadata=_GUIDANCE)
    network_multiplier: float | None = field(default=None, metadata=_MULTIPLIER)
    ctrl_img: str | None = None
    ctrl_img_1: str | None = None
    ctrl_img_2: str | None = None
    ctrl_img_3: str | None = None
    ctrl_idx: int | None = field(default=None, metadata={"one_of": (0, 1)})


@dataclass(frozen=True, kw_only=True)
class Prompt(Settings):
    """One prompt of a set, as text or as a file of its embedding; a bare string is the text alone."""

    bare: ClassVar[str] = "prompt"

    prompt: str | None = None
    prompt_embeds: str | None = None


@dataclass(frozen=True, kw_only=True)
class Template(Settings):
    """A prompt that stands for several, by {red|green} and __colour__ in it or its neg; a bare string is its text."""

    bare: ClassVar[str] = "prompt"

    prompt: str
    draws: int | None = field(default=None, metadata={"range": (1, 1000)})  # how many of them; None: every one
    draw_seed: int = 0


@dataclass(frozen=True, kw_only=True)
class PromptSet:
    """conf/prompts/*.yaml: prompts, those of a text file (one a line), those that templates stand for."""

    trigger_word: str | None = None
    defaults: Settings = Settings()
    prompts: tuple[Prompt, ...] = ()
    file: str | None = None
    templates: tuple[Template, ...] = ()
    wildcards: str = "wildcards"  # the folder with the lists that templates name


@dataclass(frozen=True, kw_only=True)
class Output:
    """conf/output/*.yaml: how images are written."""

    format: str = field(default="png", metadata={"one_of": ("png", "jpeg", "webp")})
    quality: int = field(default=95, metadata={"range": (1, 100)})
    save_latents: bool = False
    metadata: str = field(default="full", metadata={"one_of": ("full", "public", "none")})  # of what people open
    provenance: str = field(default="none", metadata={"one_of": ("none", "c2pa")})  # c2pa: what people open is signed

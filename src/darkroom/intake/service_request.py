"""What a request of ai-toolkit-inference may say, and what of it means nothing here.

Schema and defaults are those of that service (its src/schemas/request.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from darkroom.intake.architectures import ARCHITECTURES, Architecture
from darkroom.plan.conf.schema import Settings

_DISTILLED = {each.distilled: each for each in ARCHITECTURES.values() if each.distilled}  # ours alone
MODELS: Mapping[str, Architecture] = {**ARCHITECTURES, **_DISTILLED}

_ALLOWED_IN_CONF = {each.name: each.metadata for each in fields(Settings)}


def _as_in_conf(key: str) -> Any:
    """A field of the service's schema with the range that conf/ has for the key."""
    return field(default=None, metadata=_ALLOWED_IN_CONF[key])


@dataclass(frozen=True, kw_only=True)
class ServiceLora:
    """One file of weights."""

    path: str
    transformer: str | None = field(default=None, metadata={"one_of": ("low", "high")})
    network_multiplier: float | None = field(default=None, metadata={"range": (-2, 2)})


@dataclass(frozen=True, kw_only=True)
class ServicePrompt:
    """One picture."""

    prompt: str
    trigger_word: str | None = None
    neg: str | None = None
    width: int | None = _as_in_conf("width")
    height: int | None = _as_in_conf("height")
    seed: int | None = _as_in_conf("seed")
    sample_steps: int | None = _as_in_conf("sample_steps")
    guidance_scale: float | None = _as_in_conf("guidance_scale")
    ctrl_img: str | None = None
    ctrl_img_1: str | None = None
    ctrl_img_2: str | None = None
    ctrl_img_3: str | None = None
    sampler: str | None = None
    num_frames: int | None = field(default=None, metadata={"range": (1, 1000)})
    fps: int | None = field(default=None, metadata={"range": (1, 120)})
    resolution: str | None = field(default=None, metadata={"one_of": ("Default", "High")})


@dataclass(frozen=True, kw_only=True)
class ServiceRequest:
    """The body of a request."""

    model: str = field(metadata={"one_of": tuple(MODELS)})
    loras: tuple[ServiceLora, ...]
    prompts: tuple[ServicePrompt, ...]
    trigger_word: str | None = None
    kv_cache: bool | None = None
    match_target_res: bool | None = None


WITHOUT_MEANING = {
    "sampler": "without effect there as well",
    "num_frames": "for videos",
    "fps": "for videos",
    "resolution": "for LTX-2.3",
    "transformer": "for models with two transformers",
    "kv_cache": "for Krea 2",
    "match_target_res": "for Krea 2",
}

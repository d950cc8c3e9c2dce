"""The architectures of ai-toolkit that can be imported, and how its preview code and its service treat each: one table.

Whoever adds a family says so here. The trainer's rules: ModelConfig in its toolkit/config_modules.py, and the loading
code of each architecture (version 0.12.26); the service's: ai-toolkit-inference, src/tasks/executor.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from darkroom.lora_files.flux1 import FLEX1, FLEX2, FLUX1
from darkroom.lora_files.flux2 import FLUX2_DEV, KLEIN_4B, KLEIN_9B
from darkroom.lora_files.naming import KnownBase
from darkroom.lora_files.zimage import DE_TURBO, TURBO, Z_IMAGE


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What a job with this `model.arch` means. Its name is also that of the option in conf/model."""

    base: KnownBase  # what adapters of the job are trained on
    distilled: str | None  # the option in conf/model that takes the same adapters, and that no trainer previews
    ignored: tuple[str, ...]  # keys of the section `model` that its code alone does not look at
    takes_qtype_te: bool  # else the text encoder is quantised as `qtype` says
    casts_text_encoder: Literal["always", "unquantised", "never"]  # `.to(dtype)` goes over the whole of it
    goes_by_sampler: bool  # `sampler` changes how it is sampled
    is_shown_pictures: bool  # by the service
    trains_with_adapter: bool = False  # model.assistant_lora_path is merged, and cancelled in previews
    guidance_rule: str = "aitk"  # as conf/model has it, and these too
    schedule: str = "aitk"
    resolution_divisor: int = 16
    quantizes_embedders: bool = False  # where the family has a choice

    def takes(self, key: str) -> bool:
        return key not in self.ignored


def _klein(base: KnownBase, distilled: str) -> Architecture:
    return Architecture(
        base=base,
        distilled=distilled,
        ignored=("extras_name_or_path", "quantize_kwargs", "use_flux_cfg"),
        takes_qtype_te=True,
        casts_text_encoder="unquantised",
        goes_by_sampler=False,
        is_shown_pictures=True,
    )


def _flux1(base: KnownBase) -> Architecture:
    return Architecture(
        base=base,
        distilled=None,
        ignored=("extras_name_or_path", "accuracy_recovery_adapter"),
        takes_qtype_te=False,
        casts_text_encoder="never",
        goes_by_sampler=True,
        is_shown_pictures=False,
    )


def _z_image(base: KnownBase) -> Architecture:
    return Architecture(
        base=base,
        distilled=None,
        ignored=("vae_path", "use_flux_cfg"),
        takes_qtype_te=True,
        casts_text_encoder="always",  # and then it is quantised
        goes_by_sampler=False,
        is_shown_pictures=False,
        trains_with_adapter=True,
    )


ARCHITECTURES: Mapping[str, Architecture] = {
    "flux2": Architecture(
        base=FLUX2_DEV,
        distilled=None,
        ignored=("extras_name_or_path", "quantize_kwargs", "use_flux_cfg"),
        takes_qtype_te=False,
        casts_text_encoder="always",  # and then it is quantised
        goes_by_sampler=False,
        is_shown_pictures=True,
    ),
    "flux2_klein_4b": _klein(KLEIN_4B, "flux2_klein_4b_distilled"),
    "flux2_klein_9b": _klein(KLEIN_9B, "flux2_klein_9b_distilled"),
    "flux": _flux1(FLUX1),
    "flex1": _flux1(FLEX1),
    "flex2": Architecture(
        base=FLEX2,
        distilled=None,
        ignored=("extras_name_or_path", "vae_path", "accuracy_recovery_adapter", "use_flux_cfg"),
        takes_qtype_te=False,
        casts_text_encoder="never",
        goes_by_sampler=False,
        is_shown_pictures=False,
    ),
    "zimage": _z_image(Z_IMAGE),
    "zimage_deturbo": _z_image(DE_TURBO),  # zimage:deturbo in a job, as zimage:turbo
    "zimage_turbo": _z_image(TURBO),
}

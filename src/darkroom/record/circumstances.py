"""How one image came about, beside its request: where it was rendered, each LoRA file as applied, what it cost."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

from darkroom.files.columns import SINCE, row_of
from darkroom.request.parts import Lora


@dataclass(frozen=True)
class Environment:
    """Where an image was rendered and with what. `threads`: torch's threads within one operation.

    Of a CPU: its model, the instructions that torch's own kernels use, and those that oneDNN is held to, if it is. Of a
    GPU: its compute capability (9.0), and versions. None for what is not there or not known.
    """

    device: str
    gpu_name: str | None  # None on a CPU
    attention_backend: str
    threads: int
    torch_version: str
    diffusers_version: str
    transformers_version: str
    darkroom_version: str
    processor: str | None = field(default=None, metadata={SINCE: 3})
    cpu_capability: str | None = field(default=None, metadata={SINCE: 3})
    onednn_max_cpu_isa: str | None = field(default=None, metadata={SINCE: 3})
    gpu_capability: str | None = field(default=None, metadata={SINCE: 3})
    driver_version: str | None = field(default=None, metadata={SINCE: 3})
    cuda_version: str | None = field(default=None, metadata={SINCE: 3})
    cudnn_version: str | None = field(default=None, metadata={SINCE: 3})

    @property
    def known(self) -> dict[str, str | int]:
        """By column, without what there is none of."""
        return {name: value for name, value in row_of(self).items() if value is not None}


@dataclass(frozen=True)
class LoraUse:
    """One LoRA or LoKr file as it was applied. `format`: what is in it; `matched_keys`: those of its keys applied.

    `left_out_keys` is 0 but for an adapter of a kindred base, which `warning` then says it is. `tool`: whose names its
    keys are, in words. `dead`: a sentence on a file that changes nothing. `trainer`: who trained it, with the version,
    by its header; `step`: of that training, by its header too. None where that is not known.
    """

    path: str
    sha256: str
    network_multiplier: float
    format: str
    matched_keys: int
    left_out_keys: int = 0
    warning: str | None = None
    tool: str = field(default="", metadata={SINCE: 2})
    dead: str | None = field(default=None, metadata={SINCE: 2})
    trainer: str | None = field(default=None, metadata={SINCE: 4})
    step: int | None = field(default=None, metadata={SINCE: 6})

    @classmethod
    def of_none(cls, lora: Lora) -> Self:
        """A file at multiplier 0, which is never opened."""
        return cls(lora.path, lora.sha256, lora.network_multiplier, "not applied", 0, step=lora.step)

    def of_file(self, lora: Lora) -> Self:
        """The use of a file with the same content, as another request names it; in sentences too."""
        warning, dead = (said and said.replace(self.path, lora.path) for said in (self.warning, self.dead))
        return replace(
            self,
            path=lora.path,
            network_multiplier=lora.network_multiplier,
            warning=warning,
            dead=dead,
            step=lora.step,
        )


@dataclass(frozen=True)
class Cost:
    """What one rendered image took, and on which machine. Seconds of wall time; `started_at` in ISO 8601, UTC.

    `switched_from`: where the base's own weights rested, from which those under merged adapters were made anew.
    """

    worker_pid: int
    base_load_id: str  # new for each load of a base model
    seconds_load: float
    seconds_switch: float
    seconds_denoise: float
    seconds_decode: float
    seconds_save: float | None  # None until it is saved
    peak_memory_bytes: int | None
    memory_mode: str  # resident | model | block: see render/device/mode.py
    memory_plan: str  # why, with the estimate, and what ran out before
    started_at: str
    switched_from: str | None = field(default=None, metadata={SINCE: 4})  # device | pinned | file; None: as they were
    host: str | None = field(default=None, metadata={SINCE: 5})

"""An adapter file as far as its header shows it, without its tensors."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from darkroom.files.weight_file import Header, header_of, read_header
from darkroom.lora_files.training.trainer import Trainer, trainer_of

ENDINGS = (".safetensors", ".sft")
STEPS = range(10**12)  # what the name of a file can say


@dataclass(frozen=True)
class LoraFile:
    """A whole .safetensors file. `path` as it was asked for, for messages."""

    path: str
    header: Header

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return self.header.shapes

    @property
    def base_version(self) -> str | None:
        """Which base it was trained on, as ai-toolkit calls that (KnownBase.header); None where nothing is said."""
        return self.header.metadata.get("ss_base_model_version")

    @property
    def said_base(self) -> str:
        """The same in words that follow a verdict; "" where nothing is said."""
        return f" (its header says {self.base_version})" if self.base_version else ""

    @property
    def said_rank(self) -> float | None:
        """The rank as kohya's tools and LyCORIS write it, above 0; None if unsaid."""
        try:
            rank = float(self.header.metadata.get("ss_network_dim", ""))
        except ValueError:
            return None
        return rank if 0 < rank < math.inf else None

    @property
    def step(self) -> int | None:
        """The step of its training; None if unsaid.

        ai-toolkit's `training_info` is JSON: {"step": 500, "epoch": 3}; kohya's `ss_steps` a number.
        """
        metadata = self.header.metadata
        try:
            step = (
                json.loads(metadata["training_info"])["step"] if "training_info" in metadata else metadata["ss_steps"]
            )
            step = int(step) if isinstance(step, str) else step
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return step if type(step) is int and step in STEPS else None

    @property
    def trainer(self) -> Trainer | None:
        """Who trained it; None if unsaid."""
        return trainer_of(self.header.metadata)

    @property
    def run(self) -> str | None:
        """The name of the run that it was trained in; None if unsaid."""
        metadata = self.header.metadata
        return metadata.get("ss_output_name") or metadata.get("name") or None


def read_lora(path: str | Path) -> LoraFile:
    """Reads the header; raises what `read_header` raises for a file that is missing, truncated or something else."""
    return LoraFile(str(path), read_header(path))


def lora_in(content: bytes, path: str | Path) -> LoraFile:
    """The same of a file's bytes, which were found at `path`."""
    return LoraFile(str(path), header_of(content, path))

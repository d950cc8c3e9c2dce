"""What a job's checkpoints are called as values of the axis lora: those of the folder in conf/lora/<job>.yaml.

What else lies in the folder is a value too, and has to be left out of the job's experiments by its name.
"""

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from darkroom.intake.aitk.checkpoints import TrainedLora
from darkroom.intake.aitk.previews import BASE
from darkroom.lora_files.series import files_of, read_series

EVERY = "*"


@dataclass(frozen=True)
class LoraValues:
    """`folder`: None where there is nothing to apply. `names`: by path, of all that `pattern` takes there."""

    option: str
    folder: Path | None
    pattern: str
    loras: Sequence[TrainedLora]
    names: Mapping[Path, str]

    def name(self, step: int) -> str:
        """Of the checkpoint of a step, there or not; of step 0 the base model's."""
        there = (self.names[lora.path] for lora in self.loras if lora.step == step and lora.path in self.names)
        return next(there, f"{self.option}_{step:09d}") if step else BASE

    @property
    def usable(self) -> dict[str, TrainedLora]:
        """What can be applied, by name, in the order of the steps."""
        return {self.name(lora.step): lora for lora in self.loras if lora.fault is None}

    @property
    def others(self) -> list[str]:
        """Values that are no checkpoint of the job that can be applied."""
        return [name for name in self.names.values() if name not in self.usable]


def lora_values(option: str, job: str, folder: Path | None, loras: Sequence[TrainedLora]) -> LoraValues:
    """Those of the files that begin with the job's name; of the whole folder, where some have been renamed."""
    usable = [lora for lora in loras if lora.fault is None]
    if folder is None or not usable:
        return LoraValues(option, None, EVERY, loras, {})
    own = f"{glob.escape(job)}*"
    pattern = own if all(fnmatchcase(lora.path.name, own) for lora in usable) else EVERY
    series = read_series(files_of(folder, pattern), option)
    return LoraValues(option, folder, pattern, loras, {each.path: each.name for each in series.checkpoints})

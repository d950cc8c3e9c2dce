"""The matrix of a job's experiment: its checkpoints as values of the axis lora, and what is rendered with them.

The values are those of the folder in conf/lora/<job>.yaml. What else lies there is a value too, and has to be left out
of the job's experiments by its name.
"""

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from darkroom.intake.aitk.checkpoints import TrainedLora
from darkroom.intake.aitk.previews import BASE, PromptOption
from darkroom.lora_files.series import files_of, read_series
from darkroom.previews import Preview

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


def rendered(
    options: Sequence[PromptOption], usable: Mapping[str, TrainedLora], rows: Sequence[Preview]
) -> list[tuple[str, str]]:
    """LoRA and prompt set of what is rendered: what there are previews of; everything, where there are none at all.

    LoRAs with the prompts of `sample`, which is the first of the options, and with no others.
    """
    every = [(BASE, option.name) for option in options if option.sheet.prompts]
    every += [(name, options[0].name) for name in usable if options[0].sheet.prompts]
    every = every or [(name, options[0].name) for name in (BASE, *usable)]  # with prompts that somebody will write
    held = {option.name: range(len(option.sheet.prompts)) for option in options}
    there = {(row.lora, row.prompts) for row in rows if row.index in held[row.prompts]}
    return [pair for pair in every if pair in there] or every


def left_out(values: LoraValues, combinations: Sequence[tuple[str, str]], rows: Sequence[Preview]) -> list[str]:
    """Values of the job's folder that are not rendered; what is newer than all previews waits for its own, and is."""
    there = {lora for lora, _ in combinations}
    newest = max((row.step or 0 for row in rows), default=0)
    return [
        name
        for name in values.names.values()
        if name not in there and not (name in values.usable and values.usable[name].step > newest)
    ]


def matrix(
    combinations: Sequence[tuple[str, str]], main: PromptOption, values: LoraValues, idle: Sequence[str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The axes, all checkpoints as one entry, and what is excluded of them. `idle`: values that are left out."""
    name = values.option
    pairs = [(BASE if lora == BASE else name, prompts) for lora, prompts in combinations]
    if values.folder and (main.sheet.prompts or not pairs):
        pairs.append((name, main.name))
    loras, sets = (list(dict.fromkeys(names)) for names in zip(*pairs, strict=True))
    exclude = [{"lora": lora, "prompts": each} for lora in loras for each in sets if (lora, each) not in pairs]
    exclude += [{"lora": value} for value in idle if name in loras]
    return {"model": [name], "lora": loras, "prompts": sets}, exclude

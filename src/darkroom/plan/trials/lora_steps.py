"""Finds the other checkpoints of a LoRA's training run, by their file names."""

import math
from collections.abc import Iterable
from pathlib import Path

from darkroom.lora_files.training.file_name import read_name

_EACH_SIDE = 2


def other_steps(path: Path) -> list[Path]:
    """The files of the same run beside a LoRA: the two next to it on each side, nearest first, and the last."""
    names = [file.name for file in path.parent.iterdir() if file.is_file()] if path.parent.is_dir() else []
    return [path.parent / name for name in nearest(path.name, names)]


def same_run(path: Path) -> list[Path]:
    """All files of the run that a LoRA has its name from, itself included, as far as they are there."""
    run, _ = _run_and_step(path.name)
    files = sorted(path.parent.glob("*.safetensors")) if run and path.parent.is_dir() else []
    return [file for file in files if _run_and_step(file.name)[0] == run]


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """The choice of `other_steps`, by names alone."""
    run, here = _run_and_step(name)
    steps = {_run_and_step(other)[1]: other for other in names if run and _run_and_step(other)[0] == run}
    before = sorted((step for step in steps if step < here), reverse=True)
    after = sorted(step for step in steps if step > here)
    beside = [step for n in range(_EACH_SIDE) for step in (*before[n : n + 1], *after[n : n + 1])]
    return [steps[step] for step in dict.fromkeys([*beside, *after[-1:]])]


def _run_and_step(name: str) -> tuple[str, float]:
    """The run's name and the step, infinite for the last file; no name for a file that is no LoRA."""
    trained = read_name(name)
    return (trained.run, math.inf if trained.step is None else trained.step) if trained else ("", math.inf)

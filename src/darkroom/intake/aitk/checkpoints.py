"""The adapter files that an ai-toolkit job left: which step each is of, and whether it can be applied. Reads headers.

Their names: lora_files/training/file_name.py. The trainer deletes all but the last few; what people or services have
renamed since is known by its header.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom.display import printable
from darkroom.errors import AdapterError, WeightFileError, without_place
from darkroom.lora_files.families import NAMINGS
from darkroom.lora_files.file import STEPS, LoraFile, read_lora
from darkroom.lora_files.judge import judge
from darkroom.lora_files.training.file_name import read_name
from darkroom.lora_files.training.trainer import Trainer


@dataclass(frozen=True)
class TrainedLora:
    """One adapter file. `fault`: why it cannot be applied; `doubt`: why it may not be what its name says.

    `trainer`: None where its header does not say it.
    """

    step: int
    path: Path
    modified: int  # ms since 1970
    fault: str | None = None
    doubt: str | None = None
    trainer: Trainer | None = None


@dataclass(frozen=True)
class TrainedLoras:
    """Adapter files by step, each step once, and what is to be said of the others."""

    loras: Sequence[TrainedLora]
    notes: tuple[str, ...]


def trained_loras(folder: Path, name: str, steps: int | None, family: str, base_version: str) -> TrainedLoras:
    """Those of a job `name` that goes on for `steps`.

    Of two for one step the file with the step in its name, then one of the job's name, then one that was renamed.
    """
    steps = steps if steps is not None and steps in STEPS else None
    found: dict[int, TrainedLora] = {}
    notes = []
    files = [path for path in sorted(folder.iterdir()) if path.suffix == ".safetensors"] if folder.is_dir() else []
    names = {path: trained for path in files if (trained := read_name(path.name, name))}
    for path, named in sorted(((path, own.step) for path, own in names.items()), key=lambda each: each[1] is None):
        if not path.is_file():
            notes.append(f"{path}: no file: the job trained a whole model, or something else lies there")
            continue
        lora = _read(path, named, steps, family, base_version)
        if lora is None:
            notes.append(f"{path}: of which step it is, neither its header nor train.steps says")
        elif lora.step == 0:
            notes.append(f"{path}: left out: of step 0, which is the base model")
        elif lora.step in found:
            notes.append(f"{path}: left out: {found[lora.step].path.name} is of the same step {lora.step}")
        else:
            found[lora.step] = lora
    others = [path for path in files if path not in names and path.is_file()]
    renamed, reasons = _renamed(others, found, name, family, base_version)
    notes += [f"{lora.path}: taken for the checkpoint of step {step}, by its header" for step, lora in renamed.items()]
    if reasons:
        said = "; ".join(f"{path.name} ({reason})" for path, reason in reasons.items())
        notes.append(
            f"{folder}: not taken for checkpoints: {said}; if one is, name it {name}_<step, 9 digits>.safetensors"
        )
    found |= renamed
    return TrainedLoras(tuple(found[step] for step in sorted(found)), tuple(map(printable, notes)))


def _renamed(
    paths: Sequence[Path], found: Mapping[int, TrainedLora], name: str, family: str, base_version: str
) -> tuple[dict[int, TrainedLora], dict[Path, str]]:
    """Of files with other names those that are of the job by their headers, by step; why each of the others is not."""
    renamed: dict[int, TrainedLora] = {}
    reasons = {}
    for path in paths:
        try:
            header = read_lora(path)
        except (WeightFileError, OSError) as error:
            reasons[path] = without_place(error, path)
            continue
        fault = _fault(header, family, base_version)
        if header.step is None:
            reasons[path] = "no step in its header"
        elif header.run not in (None, name):
            reasons[path] = f"of the run {header.run}, step {header.step}, by its header"
        elif header.step == 0 or fault:
            reasons[path] = (fault or "of step 0, which is the base model").removeprefix(f"{path}: ")
        elif taken := {**renamed, **found}.get(header.step):
            reasons[path] = f"of step {header.step} by its header, as {taken.path.name} is"
        else:
            renamed[header.step] = TrainedLora(header.step, path, _modified(path), trainer=header.trainer)
    return renamed, reasons


def _modified(path: Path) -> int:
    """ms since 1970."""
    return path.stat().st_mtime_ns // 1_000_000


def _read(path: Path, named: int | None, steps: int | None, family: str, base_version: str) -> TrainedLora | None:
    modified = _modified(path)
    try:
        lora = read_lora(path)
    except (WeightFileError, OSError) as error:
        step = named if named is not None else steps
        return None if step is None else TrainedLora(step, path, modified, fault=str(error))
    step = next((known for known in (named, lora.step, steps) if known is not None), None)
    if step is None:
        return None
    fault = _fault(lora, family, base_version)
    doubt = f"the checkpoint's header says step {lora.step}" if lora.step not in (None, step) else None
    return TrainedLora(step, path, modified, printable(fault) if fault else None, doubt, lora.trainer)


def _fault(lora: LoraFile, family: str, base_version: str) -> str | None:
    """Why the file cannot be applied to the job's model, whose size is not looked at here."""
    if lora.base_version not in (None, base_version):
        said = f"its header says {lora.base_version}, the job's model is {base_version}"
        return f"{lora.path}: is for another base: {said}"
    try:
        judge(lora, None, NAMINGS[family])
    except AdapterError as error:
        return str(error)
    return None

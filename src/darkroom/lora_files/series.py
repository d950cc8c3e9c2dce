"""The LoRA files of one training as a series: each a value with a name, sorted by step. Reads headers.

A value is named by its run and its step, my_lora_000000250, whatever else lies beside it: a checkpoint more is a value
more, and all others stay what they are.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from darkroom.errors import WeightFileError, without_place
from darkroom.lora_files.file import ENDINGS, LoraFile, read_lora
from darkroom.lora_files.tools import is_adapter
from darkroom.lora_files.training.file_name import TrainedName, read_name
from darkroom.names import as_name, name_fault

_FINAL = "final"  # in place of the step of the last file, which neither its name nor its header says


@dataclass(frozen=True)
class TrainedFile:
    """One value. `is_named_so`: the file's own name has the step."""

    name: str
    path: Path
    step: int | None
    is_named_so: bool


@dataclass(frozen=True)
class Series:
    """Checkpoints by step, last those that have none, and what is to be said of the other files.

    `passed_over`: files that are no value, or none yet, each with the reason; `alike`: files that claim one name.
    """

    checkpoints: tuple[TrainedFile, ...] = ()
    passed_over: tuple[str, ...] = ()
    alike: tuple[Sequence[Path], ...] = ()


def files_of(folder: Path, pattern: str = "*") -> list[Path]:
    """The weight files of a folder whose names fit."""
    return [path for path in sorted(folder.iterdir()) if is_weights(path) and fnmatchcase(path.name, pattern)]


def is_weights(path: Path) -> bool:
    """By its name: a weight file that nobody hides while it is written."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".") and not path.is_dir()


def read_series(files: Iterable[Path], option: str | None = None) -> Series:
    """The files as values; `option`: whose values they are, by which they are named in place of their run.

    Of two for one name the one counts that has its step in its name, then that of the option's name.
    """
    claims: dict[str, list[TrainedFile]] = defaultdict(list)
    passed_over, alike = [], []
    for path in files:
        found = _read(path, option)
        if isinstance(found, str):
            passed_over.append(f"{path.name} ({found})")
        else:
            claims[found.name].append(found)
    checkpoints = []
    for claimed in claims.values():
        first, *others = sorted(claimed, key=lambda each: _rank(each, option))
        checkpoints.append(first)
        if others and _rank(others[0], option) == _rank(first, option):
            alike.append([each.path for each in claimed])
        else:
            passed_over += [f"{each.path.name} (of step {each.step}, as {first.path.name} is)" for each in others]
    checkpoints.sort(key=lambda each: (each.step is None, each.step or 0, each.name))
    return Series(tuple(checkpoints), tuple(passed_over), tuple(alike))


def _rank(checkpoint: TrainedFile, option: str | None) -> tuple[bool, bool]:
    return not checkpoint.is_named_so, checkpoint.path.stem != option


def _read(path: Path, option: str | None) -> TrainedFile | str:
    """A value, or why the file is none."""
    try:
        lora = read_lora(path)
    except OSError as error:
        return str(error.strerror)
    except WeightFileError as error:
        return without_place(error, path).partition(";")[0]  # no advice: it may be on its way
    if not is_adapter(lora.shapes):
        return "no LoRA by its keys"
    named = (read_name(path.name, option) if option else None) or read_name(path.name)
    found = _named(lora, named, option)
    fault = "it means no LoRA" if found.name == "none" else name_fault(found.name)
    return f"its name makes no name of an option: {fault}" if fault else found


def _named(lora: LoraFile, named: TrainedName | None, option: str | None) -> TrainedFile:
    path = Path(lora.path)
    run, named_step = named or TrainedName(path.stem, None)
    step = named_step if named_step is not None else lora.step
    bare = TrainedFile(as_name(run), path, step, named_step is not None)
    if step is not None:
        return replace(bare, name=f"{option or bare.name}_{step:09d}")
    if option:
        return replace(bare, name=f"{option}_{_FINAL if bare.name == option else bare.name}")
    return bare

"""Every error that a user can cause, as a tree; how several are collected, and raised together.

DarkroomError                one sentence: expected, got, where (file and key), what to do
├── ConfigError              conf/, overrides: anything that can be said without opening weights
│   └── UnfitLoraError       a LoRA that is there and cannot be applied: its own combinations fail, no others
├── WeightFileError          a file of weights, whoever's: missing, truncated, of another format
├── CheckpointError          a base model's files: missing, not what they should be
├── AdapterError             a LoRA or LoKr file that cannot be applied whole
├── ImageError               a file that is no picture, is damaged, or is not the picture that it has to be
│   └── NoRecordError        a picture without a record of ours
├── ProvenanceError          whoever signs pictures cannot, or a signed claim cannot be read
├── StoreError               results/ cannot be written, or lacks what an earlier stage should have left
├── PictureError             one picture that came to nothing; the others of its combination are rendered
├── DeviceMemoryError        a model or a picture is too large for the memory there is
├── DeviceLostError          a GPU failed under a process, which can compute nothing more
├── WorkerError              the warm worker died, could not be started, or was not understood
│   └── StoppedError         it left a job before its end because it was told to
├── VersionError             a file or a record that a newer version of Darkroom wrote
└── Problems                 several independent errors, reported together
"""

import os
from collections.abc import Callable, Generator, Iterable
from typing import TypeVar

from darkroom.display import LINES, printable

_LONGEST = 4_000  # characters of a sentence: a stranger's name of something may have millions
_MOST_TOLD = 50  # problems: a stranger's file may have thousands


class DarkroomError(Exception):
    """Base of all: its text is shown to the user without a traceback, and the exit status is `status`.

    It is one line that anybody's terminal, log and page can show, whoever wrote what it quotes. `lines`: it has
    several. `again`: an earlier attempt of the same job told the user the same.
    """

    status = 1  # of the command that it ends

    def __init__(self, text: str, *, lines: bool = False, again: bool = False) -> None:
        text = printable(text, but=LINES if lines else "")
        super().__init__(text if lines or len(text) <= _LONGEST else f"{text[:_LONGEST]} …")
        self.again = again


class ConfigError(DarkroomError):
    """conf/ or an override asks for something impossible."""


class UnfitLoraError(ConfigError):
    """A LoRA or LoKr file is there and cannot be applied to a model: its own combinations fail, no others."""


class WeightFileError(DarkroomError):
    """A file of weights is missing, truncated or of another format."""


class CheckpointError(DarkroomError):
    """A base model cannot be loaded."""


class AdapterError(DarkroomError):
    """A LoRA or LoKr file cannot be applied completely."""


class ImageError(DarkroomError):
    """A file is no picture, is damaged, or is not the picture that it has to be: a render, one with transparency."""


class NoRecordError(ImageError):
    """A picture without a record of ours: of another program, or one that was to carry none."""


class ProvenanceError(DarkroomError):
    """A certificate or a key cannot sign pictures, or the signed claim in one cannot be read."""


class StoreError(DarkroomError):
    """results/ cannot be written, or lacks something that an earlier stage should have left."""


class PictureError(DarkroomError):
    """One picture that came to nothing; the others of its combination are rendered."""


class DeviceMemoryError(DarkroomError):
    """A model or a picture is too large for the memory there is."""


class DeviceLostError(DarkroomError):
    """A GPU failed under this process: nothing that comes from it can be trusted, so no picture survives this."""


class WorkerError(DarkroomError):
    """The warm worker ended before it had answered, or one of the two sent what is no message."""


class StoppedError(WorkerError):
    """The warm worker, or the job, was told to end: nothing is wrong, and another attempt goes on."""

    status = os.EX_TEMPFAIL


class VersionError(DarkroomError):
    """A newer version of Darkroom wrote it, so that nobody here can know what it says."""


class Problems(DarkroomError):
    """Several independent errors in one message."""

    def __init__(self, errors: Iterable[DarkroomError]) -> None:
        self.errors = tuple(errors)
        count = len(self.errors)
        heading = f"{count} problems" if count > 1 else "1 problem"
        told = [f"  - {_indented(str(error))}" for error in self.errors[:_MOST_TOLD]]
        rest = [f"  … and {count - _MOST_TOLD} more"] if count > _MOST_TOLD else []
        super().__init__("\n".join([f"{heading}:", *told, *rest]), lines=True)

    def __reduce__(self) -> tuple[type["Problems"], tuple[tuple[DarkroomError, ...]]]:
        """From another process as it was: by default it would be made anew from its text."""
        return Problems, (self.errors,)


def _indented(text: str) -> str:
    return text.replace("\n", "\n    ")


def one_line(error: Exception) -> str:
    """What a library says, to stand within a sentence of ours."""
    return " ".join(str(error).split()) or type(error).__name__


def without_place(error: Exception, place: object) -> str:
    """What an error says of a file, where a list of files names it already."""
    return str(error).removeprefix(f"{place}: ")


def caught(check: Callable[[], object]) -> list[DarkroomError]:
    """The error that `check` raises, or none: for `raise_together`."""
    try:
        check()
    except DarkroomError as error:
        return [error]
    return []


def raise_together(errors: Iterable[DarkroomError]) -> None:
    """Raise nothing for none, the error itself for one, Problems for several (each sentence once)."""
    distinct = list({str(error): error for error in errors}.values())
    if len(distinct) == 1:
        raise distinct[0]
    if distinct:
        raise Problems(distinct)


# A reading makes a value of what a user wrote: it yields each error that it meets, goes on, and returns what it could
# make of the rest, which `yield from` hands to a reading around it.
_E = TypeVar("_E", bound=DarkroomError)
_T = TypeVar("_T")
Reading = Generator[ConfigError, None, _T]


def value_of(reading: Generator[DarkroomError, None, _T]) -> _T:
    """What a reading makes; its errors are raised together."""
    value, errors = collected(reading)
    raise_together(errors)
    return value


def if_sound(reading: Generator[_E, None, _T]) -> Generator[_E, None, _T | None]:
    """The same reading, which makes None where it meets an error."""
    value, errors = collected(reading)
    yield from errors
    return None if errors else value


def collected(reading: Generator[_E, None, _T]) -> tuple[_T, list[_E]]:
    """What a reading makes, and its errors."""
    errors = []
    while True:
        try:
            errors.append(next(reading))
        except StopIteration as end:
            return end.value, errors

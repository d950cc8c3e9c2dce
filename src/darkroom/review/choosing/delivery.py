"""Takes a checkpoint to the folder of another program: its files, copied and verified, and a card beside the first."""

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom.display import sized
from darkroom.errors import ConfigError, DarkroomError, StoreError, WeightFileError, collected, raise_together
from darkroom.files.atomic import atomic
from darkroom.files.regular_file import ANY_SIZE, is_there, open_regular
from darkroom.files.weight_file import sha256_of
from darkroom.request.parts import Lora
from darkroom.review.choosing.card import is_card
from darkroom.review.choosing.choice import Choice

_CHUNK = 2**22  # bytes
_CURE = "--force replaces it, --to names another folder"


@dataclass(frozen=True)
class Copy:
    """A file and where it goes. `is_there`: the same file lies there already."""

    file: Lora
    to: Path
    is_there: bool

    def make(self) -> str:
        """Copy it; a line that says so. StoreError, and nothing is left, where it is not what was rendered with."""
        if self.is_there:
            return f"{self.to}: there already"
        with atomic(self.to) as temporary:
            if _copied(Path(self.file.path), temporary) != self.file.sha256:
                raise StoreError(f"{self.file.path}: changed while it was copied, so nothing was; pick again")
        return f"{self.to}: copied, {sized(self.to.stat().st_size)}, SHA-256 {self.file.sha256[:12]}…"


@dataclass(frozen=True)
class Delivery:
    """What is to be written, after all was looked at that could be in the way. `card`: the page beside the first."""

    copies: tuple[Copy, ...]
    card: Path


def plan_delivery(choice: Choice, folder: Path, *, force: bool) -> Delivery:
    """Problems where a file is not the one that was rendered with, or, without `force`, another has its name there.

    A folder, or what else is no file, has to be moved away: `force` does not replace it.
    """
    if not (is_there(folder) and folder.is_dir()):
        raise ConfigError(f"{folder}: no such folder; make it, or name another with --to")
    copies, errors = collected(_copies(choice.files, folder, force))
    card = (folder / Path(choice.files[0].path).name).with_suffix(".html")
    errors += _in_the_way(card, "another page has the name of the card", is_replaced=force or _is_card(card))
    raise_together(errors)
    return Delivery(tuple(copies), card)


def _is_card(path: Path) -> bool:
    return is_there(path) and path.is_file() and is_card(path)


def _in_the_way(path: Path, what: str, *, is_replaced: bool) -> list[StoreError]:
    """None, or one. `what` a file there is; `is_replaced`: it may go."""
    if not is_there(path):
        return []
    if not path.is_file():
        return [
            StoreError(f"{path}: expected a file or nothing; move away what is there, or name another folder with --to")
        ]
    return [] if is_replaced else [StoreError(f"{path}: {what}; {_CURE}")]


def _copies(files: Sequence[Lora], folder: Path, force: bool) -> Generator[DarkroomError, None, list[Copy]]:
    """A reading: yields what is in the way of each."""
    copies: dict[Path, Copy] = {}
    for file in files:
        to = folder / Path(file.path).name
        if to in copies and copies[to].file.sha256 != file.sha256:
            yield StoreError(f"{file.path}: has the name of {copies[to].file.path}; one folder cannot have both")
        copies[to] = Copy(file, to, is_there=_is_same(to, file))
        if copies[to].is_there:
            continue
        yield from _in_the_way(to, "another file has this name", is_replaced=force)
        if not is_there(Path(file.path)):
            yield WeightFileError(f"{file.path}: the file that was rendered with is not there any more")
        elif sha256_of(file.path) != file.sha256:
            yield WeightFileError(f"{file.path}: not the file that was rendered with; render again, then pick")
    return list(copies.values())


def _is_same(path: Path, file: Lora) -> bool:
    return is_there(path) and path.is_file() and sha256_of(path) == file.sha256


def _copied(source: Path, to: Path) -> str:
    """SHA-256 of what was written."""
    digest = hashlib.sha256()
    with open_regular(source, ANY_SIZE, WeightFileError) as read, to.open("wb") as written:
        while chunk := read.read(_CHUNK):
            digest.update(chunk)
            written.write(chunk)
    return digest.hexdigest()

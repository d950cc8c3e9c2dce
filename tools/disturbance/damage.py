"""Ways in which a file is damaged: as a disk, a cable or a crash does it, in its place."""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

_BLOCK = 512  # bytes

Damage = Callable[[Path, Random], None]


def truncated(path: Path, chance: Random) -> None:
    size = path.stat().st_size
    os.truncate(path, chance.randrange(size))


def zeroed_tail(path: Path, chance: Random) -> None:
    size = path.stat().st_size
    _zero(path, chance.randrange(size), size)


def zeroed_block(path: Path, chance: Random) -> None:
    """Of 512 bytes, or all of a smaller file."""
    size = path.stat().st_size
    begin = chance.randrange(max(size // _BLOCK, 1)) * _BLOCK
    _zero(path, begin, min(begin + _BLOCK, size))


DAMAGES: tuple[Damage, ...] = (truncated, zeroed_tail, zeroed_block)


def _zero(path: Path, begin: int, end: int) -> None:
    with path.open("r+b") as file:
        file.seek(begin)
        file.write(bytes(end - begin))

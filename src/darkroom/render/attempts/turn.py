"""Which of several processes that share a store renders a picture: one takes it, the others go on with another.

A lock beside the picture, which is gone with the process that has it. It spares work and protects nothing, since a
picture is written whole whoever writes it: so nobody waits for ever.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import TypeVar

from darkroom.filesystem.lock import Lock, reserved

_T = TypeVar("_T")

PATIENCE = 600.0  # seconds for which nobody finishes any picture that is waited for
_MOMENT = 0.1  # seconds


def in_turn(
    pictures: Sequence[_T],
    stored: Callable[[_T], Path],
    check: Callable[[], None],
    patience: float = PATIENCE,
) -> Iterator[tuple[_T, Lock]]:
    """Each picture once it is this process's turn, with what ends the turn; those that others have come last.

    `stored`: where a picture is going to be; `check` is called while there is nothing to do but wait, and may raise.
    After `patience` seconds of that the turn is taken all the same.
    """
    left, since = list(pictures), time.monotonic()
    while left:
        others = list[_T]()
        for picture in left:
            lock = reserved(_beside(stored(picture)))
            if lock is None and time.monotonic() - since > patience:
                lock = BytesIO()  # nothing to hold
            if lock is None:
                others.append(picture)
            else:
                yield picture, lock
                since = time.monotonic()
        if len(others) == len(left):
            check()
            time.sleep(_MOMENT)
        left = others


def _beside(stored: Path) -> Path:
    return stored.with_name(f".{stored.name}.lock")

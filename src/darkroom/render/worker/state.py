"""Keeps a worker's WorkerState up to date, in a thread: whoever renders only notes what has changed."""

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from darkroom.errors import StoreError
from darkroom.filesystem.owner import mark
from darkroom.telling.worker_state import EVERY, WorkerState

_PAUSE = 2.0  # seconds between two looks at what has changed


class StateFile:
    """Written beside `log`, where a worker has one; `name`: the worker's."""

    def __init__(self, log: Path | None, name: str) -> None:
        self._log = log
        self._state = WorkerState(name=name, mark=mark(), said_at=0.0)

    def keep_saying(self, memory: Callable[[], int]) -> None:
        """From now on, in a thread of its own. `memory`: bytes that this process holds."""
        if self._log is not None:
            threading.Thread(target=self._say, args=(self._log, memory), daemon=True).start()

    def note(self, **changes: Any) -> None:
        """Values of WorkerState, by their names."""
        self._state = replace(self._state, **changes)

    def step(self) -> None:
        """One more of the picture in hand."""
        self._state = replace(self._state, step=self._state.step + 1)

    def _say(self, log: Path, memory: Callable[[], int]) -> None:
        said = self._state
        while True:
            now = time.time()
            state = replace(self._state, said_at=said.said_at, memory=said.memory)
            if state != said or now - said.said_at > EVERY:
                said = replace(state, said_at=now, memory=memory())
                try:
                    said.write(log)
                except StoreError as error:  # a full disk: the pictures will say so, and whoever looks sees it silent
                    print(error, flush=True)
            time.sleep(_PAUSE)

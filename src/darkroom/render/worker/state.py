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


class Said:
    """Written beside `log`, where a worker has one. `memory`: bytes that it holds now."""

    def __init__(self, log: Path | None, memory: Callable[[], int], pause: float = _PAUSE) -> None:
        self._log, self._memory, self._pause = log, memory, pause
        self._state = WorkerState(name=log.stem if log else "", mark=mark(), said_at=0.0)
        if log is not None:
            threading.Thread(target=self._keep_saying, args=(log,), daemon=True).start()

    def note(self, **changes: Any) -> None:
        """Values of WorkerState, by their names."""
        self._state = replace(self._state, **changes)

    def step(self) -> None:
        """One more of the picture in hand."""
        self._state = replace(self._state, step=self._state.step + 1)

    def _keep_saying(self, log: Path) -> None:
        said = self._state
        while True:
            now = time.time()
            state = replace(self._state, said_at=said.said_at, memory=said.memory)
            if state != said or now - said.said_at > EVERY:
                said = replace(state, said_at=now, memory=self._memory())
                try:
                    said.write(log)
                except StoreError as error:  # a full disk: the pictures will say so, and whoever looks sees it silent
                    print(error, flush=True)
            time.sleep(self._pause)

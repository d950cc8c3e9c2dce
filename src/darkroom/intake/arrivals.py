"""What a trainer has written into a job's folder since one last looked: whole checkpoints, finished sets of samples."""

from dataclasses import dataclass
from pathlib import Path

from darkroom.lora_files.series import files_of, read_series

_SAMPLES = (".jpg", ".jpeg", ".png", ".webp")
_Seen = dict[Path, tuple[int, int]]  # file → size in bytes, time of its last change in ns


@dataclass(frozen=True)
class Arrived:
    """The files; nothing for most looks."""

    checkpoints: tuple[Path, ...] = ()
    samples: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.checkpoints or self.samples)


class Arrivals:
    """One folder. What is there at first is no arrival; what a trainer is writing is none until two looks are alike.

    A checkpoint has to be whole by its header as well. Samples come one by one: they arrive when no more of them do.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._checkpoints, self._samples = self._look()
        self._told = {**self._checkpoints, **self._samples}

    def since(self) -> Arrived:
        """What has come to rest since the last call."""
        checkpoints, samples = self._look()
        rested = {path: state for path, state in checkpoints.items() if self._checkpoints.get(path) == state}
        if samples == self._samples:
            rested |= samples
        self._checkpoints, self._samples = checkpoints, samples
        new = [path for path, state in rested.items() if self._told.get(path) != state]
        self._told |= rested
        return Arrived(
            tuple(path for path in new if path in checkpoints), tuple(path for path in new if path in samples)
        )

    def _look(self) -> tuple[_Seen, _Seen]:
        series = read_series(files_of(self._folder))
        folder = self._folder / "samples"
        pictures = [path for path in folder.iterdir() if path.suffix.lower() in _SAMPLES] if folder.is_dir() else []
        return _states([each.path for each in series.checkpoints]), _states(sorted(pictures))


def _states(paths: list[Path]) -> _Seen:
    states = {}
    for path in paths:
        try:
            found = path.stat()
        except OSError:  # gone since it was listed
            continue
        states[path] = (found.st_size, found.st_mtime_ns)
    return states

"""Notes which files a combination's job has written, so that one look tells whether they are still the same.

results/<experiment>/records/<model>/<lora>/<prompts>.json     beside the records; whoever plans or renders looks
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from darkroom.errors import StoreError
from darkroom.files.atomic import read_json, write_json

Seen = tuple[int, int]  # what a look at a file shows: its size in bytes, when its content last changed in ns


def seen_in(folder: Path) -> dict[str, Seen]:
    """Each file of a folder by name, none where there is no folder."""
    if not folder.is_dir():
        return {}
    with os.scandir(folder) as entries:
        found = {entry.name: entry.stat(follow_symlinks=False) for entry in entries}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in found.items()}


@dataclass(frozen=True)
class Written:
    """What a combination's files were when its job had written them."""

    requests: str  # SHA-256 of the file of the requests that were rendered
    records: int  # bytes
    shown: Mapping[str, Seen]  # pictures and latents, by name

    def write(self, path: Path) -> None:
        write_json(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Written | None":
        """None where an older version wrote none, or it was cut off."""
        try:
            values = read_json(path)
            shown = {name: (int(size), int(changed)) for name, (size, changed) in values["shown"].items()}
            return cls(str(values["requests"]), int(values["records"]), shown)
        except (StoreError, KeyError, TypeError, ValueError, AttributeError):
            return None

    def others(self, found: Mapping[str, Seen]) -> frozenset[str]:
        """The names of those that are others by now, cut short for one. `found`: what is there."""
        return frozenset(name for name, seen in self.shown.items() if found.get(name, seen) != seen)

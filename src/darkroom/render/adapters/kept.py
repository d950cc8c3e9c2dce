"""A worker's cache of adapter files: limited in bytes, shared by all base models.

They rest in the computer's memory, whatever the device. Those that a picture asks for are read whatever they take.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from darkroom.render.adapters.file import Adapter

_MOST = 4 * 10**9  # bytes; a LoRA of klein has 50 to 500 MB
_SHARE = 4  # of the memory that is free without them, one part in so many


@dataclass(frozen=True)
class AdapterFile:
    """A file that may have to be read: where it is, and how."""

    path: Path
    read: Callable[[], Adapter]

    @property
    def bytes(self) -> int:
        """What it is long; 0 where it is not there, which reading it says."""
        return self.path.stat().st_size if self.path.is_file() else 0


class KeptAdapters:
    """Those used last. `host_free`: bytes of the computer's memory that nobody holds at present."""

    def __init__(self, host_free: Callable[[], int]) -> None:
        self._host_free = host_free
        self._kept: OrderedDict[Hashable, Adapter] = OrderedDict()  # from the one used longest ago

    @property
    def bytes(self) -> int:
        return sum(adapter.bytes for adapter in self._kept.values())

    def take(self, wanted: Mapping[Hashable, AdapterFile]) -> list[Adapter]:
        """These, kept from before or read now; of all others so many stay as the bound has room for.

        `wanted`: by all that a file's deltas depend on. Room is made before any is read.
        """
        missing = {key: file for key, file in wanted.items() if key not in self._kept}
        self._move_to_end(wanted.keys() - missing.keys())
        self._evict(len(wanted) - len(missing), sum(file.bytes for file in missing.values()))
        for key, file in missing.items():
            self._kept[key] = file.read()
        self._move_to_end(wanted)
        self._evict(len(wanted))  # a file of float8 takes twice what it is long
        return [self._kept[key] for key in wanted]

    def _move_to_end(self, keys: Iterable[Hashable]) -> None:
        for key in keys:
            self._kept.move_to_end(key)

    def _evict(self, stay: int, coming: int = 0) -> None:
        """Let go, but for the last so many, what the bound has no room for beside so many bytes."""
        held = self.bytes
        bound = min(_MOST, (self._host_free() + held) // _SHARE)
        while held + coming > bound and len(self._kept) > stay:
            held -= self._kept.popitem(last=False)[1].bytes

    def clear(self) -> None:
        self._kept.clear()

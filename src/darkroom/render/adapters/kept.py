"""The adapter files that a worker has read and may want again: within a bound of bytes, for all base models together.

They rest in the computer's memory, whatever the device. Those that a picture asks for are read whatever they take.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping

from darkroom.render.adapters.file import Adapter

_MOST = 4 * 10**9  # bytes; a LoRA of klein has 50 to 500 MB
_SHARE = 4  # of the memory that is free without them, one part in so many


class KeptAdapters:
    """Those used last. `host_free`: bytes of the computer's memory that nobody holds at present."""

    def __init__(self, host_free: Callable[[], int]) -> None:
        self._host_free = host_free
        self._kept: OrderedDict[Hashable, Adapter] = OrderedDict()  # from the one used longest ago

    @property
    def bytes(self) -> int:
        return sum(adapter.bytes for adapter in self._kept.values())

    def take(self, wanted: Mapping[Hashable, Callable[[], Adapter]]) -> list[Adapter]:
        """These, kept from before or read now; of all others so many stay as the bound has room for.

        `wanted`: by all that a file's deltas depend on, how it is read. What a file takes is known once it is read, so
        that for a moment the new ones lie beside all of before.
        """
        for key, read in wanted.items():
            if key not in self._kept:
                self._kept[key] = read()
            self._kept.move_to_end(key)
        found = [self._kept[key] for key in wanted]
        held = self.bytes
        bound = min(_MOST, (self._host_free() + held) // _SHARE)
        while held > bound and len(self._kept) > len(wanted):
            held -= self._kept.popitem(last=False)[1].bytes
        return found

    def clear(self) -> None:
        self._kept.clear()

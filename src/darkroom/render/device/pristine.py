"""The weights of a base as they were before any adapter: what each merge begins with, so that nothing drifts.

A weight is copied when an adapter is merged into it for the first time, from the model itself, which has it unchanged
until then. Where the copies rest is the memory plan's choice (mode.py); without one the base's file is read again.
"""

from collections.abc import Iterable

import torch

from darkroom.render.device.mode import IN_FILE, PINNED
from darkroom.render.device.pinned import PinnedMemory
from darkroom.render.weights.base import Base
from darkroom.render.weights.tensor_file import ReadBuffer


class Pristine:
    """Of one base, at one place: `device` (on a CPU its own memory) | `pinned` | `file`. The same bits from each."""

    def __init__(self, base: Base, place: str = IN_FILE, pinned: PinnedMemory | None = None) -> None:
        self.place = place
        self._base = base
        self._copies: dict[str, torch.Tensor] = {}
        self._pinned = pinned or PinnedMemory()
        self._buffer = ReadBuffer()

    @property
    def bytes(self) -> int:
        """What the copies take at present, there where they rest."""
        return sum(copy.nbytes for copy in self._copies.values())

    def keep(self, parameters: Iterable[str]) -> None:
        """Copy these, of which none has had an adapter merged into it; what is copied already stays."""
        for name in parameters if self.place != IN_FILE else ():
            if name not in self._copies:
                self._copies[name] = self._copy(self._base.transformer.get_parameter(name))

    def read(self, parameter: str) -> torch.Tensor:
        """One weight where the base computes, in its dtype: to be read before the next one is, and not to be changed.

        CheckpointError where it is in the file and that is another one by now.
        """
        base = self._base
        if parameter in self._copies:
            return self._copies[parameter].to(base.device, non_blocking=True)
        return base.weights.read(parameter, base.dtype, base.device, self._buffer)

    def move(self, place: str) -> None:
        """Have the copies rest there from now on."""
        if place == self.place:
            return
        came_from, copies = self.place, self._copies
        self.place, self._copies = place, {}
        if place != IN_FILE:
            self._copies = {name: self._copy(copy) for name, copy in copies.items()}
        copies.clear()
        if came_from == PINNED:
            self._pinned.release()

    def _copy(self, weight: torch.Tensor) -> torch.Tensor:
        if self.place == PINNED:
            return self._pinned.copy_of(weight)
        return weight.detach().to(self._base.device, copy=True)

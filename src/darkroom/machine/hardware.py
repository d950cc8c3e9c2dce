"""What this machine has to render with: system, Python, torch, cards, memory, disk. Imports no torch."""

import importlib.metadata
import platform
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from darkroom.display import sized
from darkroom.machine.allotment.memory import Memory, memory

_QUERY = ["nvidia-smi", "--query-gpu=name,memory.total,memory.free,driver_version", "--format=csv,noheader,nounits"]
_PATIENCE = 20  # seconds; a card that sleeps takes some


@dataclass(frozen=True)
class Card:
    """A card of NVIDIA's. Memory in bytes."""

    name: str
    total: int
    free: int
    driver: str


@dataclass(frozen=True)
class Hardware:
    """Disk in bytes."""

    system: str
    python: str
    torch: str  # its version; +cpu at the end is the build that knows no card
    cards: tuple[Card, ...]
    memory: Memory  # that a process may have here
    disk: int  # free where the command was given

    def lines(self) -> Iterator[str]:
        """One a thing, with the cure where it stands in the way."""
        yield f"system   {self.system}"
        yield f"Python   {self.python}, torch {self.torch}"
        for card in self.cards:
            yield f"card     {card.name}, {sized(card.free)} of {sized(card.total)} free, driver {card.driver}"
        if not self.cards:
            yield "card     none of NVIDIA's answers (nvidia-smi): pictures are rendered on the processor"
        elif self.torch.endswith("+cpu"):
            yield "         but torch is the build without CUDA and leaves it idle: pip install --force-reinstall torch"
        yield f"memory   {self.memory}"
        yield f"disk     {sized(self.disk)} free here"


def hardware(query: list[str] = _QUERY) -> Hardware:
    """What there is. `query`: what lists the cards."""
    return Hardware(
        system=_system(platform.system(), platform.release()),
        python=platform.python_version(),
        torch=importlib.metadata.version("torch"),
        cards=tuple(_cards(query)),
        memory=memory(),
        disk=shutil.disk_usage(Path.cwd()).free,
    )


def card_here() -> str | None:
    """The name of the card that pictures are rendered on; None where that is the processor."""
    found = hardware()
    return found.cards[0].name if found.cards and not found.torch.endswith("+cpu") else None


def _system(name: str, release: str) -> str:
    if name != "Linux":
        return f"{name} {release}: Darkroom is made for Linux and WSL2"
    return f"WSL2, {release}" if "microsoft" in release.lower() else f"Linux {release}"


def _cards(query: list[str]) -> Iterator[Card]:
    try:
        said = subprocess.run(query, capture_output=True, text=True, timeout=_PATIENCE, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # no driver, or none that answers
        return
    for line in said.splitlines():
        name, total, free, driver = (part.strip() for part in line.rsplit(",", 3))
        if total.isdecimal() and free.isdecimal():  # some cards without memory of their own say [N/A]
            yield Card(name, int(total) * 2**20, int(free) * 2**20, driver)

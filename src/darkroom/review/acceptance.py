"""What taking renders as previews would change, as values and as text. Reads and writes no file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.previews import Preview


@dataclass(frozen=True)
class Change:
    """One render that becomes a preview."""

    row: Mapping[str, Any]  # of the manifest
    record: Mapping[str, Any]  # embedded in the picture
    old: tuple[Preview, ...]  # what it takes the place of
    because: str | None  # the verdict that it had; None: it was not compared
    measured: str  # how far it is from `old`, "" if that was not measured
    destination: Path

    def __str__(self) -> str:
        said = ", ".join(filter(None, (self.because, self.measured)))
        replaced = ", ".join(preview.path for preview in self.old if preview.path)
        return f"{self.destination}: {said or 'not compared'}" + (f"; replaces {replaced}" if replaced else "")


@dataclass(frozen=True)
class Acceptance:
    """What would change in an experiment's previews."""

    experiment: str
    previews_file: Path
    kept: tuple[Preview, ...]
    changes: tuple[Change, ...]

    def text(self) -> str:
        """What will change, a line a picture."""
        kept, count = len(self.kept), len(self.changes)
        if not self.changes:
            return f"nothing to accept: {self.experiment} keeps its {kept} preview{_s(kept)}"
        heading = (
            f"{count} render{_s(count)} to become preview{_s(count)} of {self.experiment}, which keeps {kept} more:"
        )
        return "\n".join([heading, *(f"  {change}" for change in self.changes)])


def _s(count: int) -> str:
    return "" if count == 1 else "s"

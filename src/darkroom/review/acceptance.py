"""What `darkroom accept` would change, as values and as text."""

from dataclasses import dataclass
from pathlib import Path

from darkroom.display import counted
from darkroom.previews import Preview
from darkroom.record.rows import Record


@dataclass(frozen=True)
class NewPreview:
    """One render that becomes a preview."""

    render: Record
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
    changes: tuple[NewPreview, ...]
    dropped: tuple[Preview, ...] = ()  # of pictures that the experiment renders no more

    @property
    def is_empty(self) -> bool:
        """True when nothing would change."""
        return not (self.changes or self.dropped)

    def text(self) -> str:
        """What will change, a line a picture."""
        if self.is_empty:
            return f"nothing to accept: {self.experiment} keeps its {counted(len(self.kept), 'preview')}"
        renders, previews = counted(len(self.changes), "render"), "preview" if len(self.changes) == 1 else "previews"
        drops = f" and drops {len(self.dropped)}" if self.dropped else ""
        heading = f"{renders} to become {previews} of {self.experiment}, which keeps {len(self.kept)} more{drops}:"
        dropped = (f"  no longer rendered: {_named(preview)}" for preview in self.dropped)
        return "\n".join([heading, *(f"  {change}" for change in self.changes), *dropped])


def _named(preview: Preview) -> str:
    """Its file, and which picture of the experiment it was."""
    return f"{preview.path or 'no file'} ({preview.key})"

"""What a person says about an import, whichever it is, besides what is to be imported."""

from dataclasses import dataclass
from pathlib import Path

from darkroom.plan.conf.owned_files import Writing


@dataclass(frozen=True, kw_only=True)
class ImportOptions(Writing):
    """What every importer takes. It gives lines of text: what was written, and what is to be known of it."""

    name: str | None = None  # of the files to write; None: that of the job or of the file to import
    roots: tuple[Path, ...] = ()  # folders where files may lie that are named in it, besides here and beside it

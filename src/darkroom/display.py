"""Text and paths of strangers' as people are shown them, and as they are written down. Knows no format of a file."""

import os
from pathlib import Path


def printable(text: str) -> str:
    """Without characters that would command a terminal, or break a line or a YAML comment: each as its escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def from_here(path: Path) -> Path:
    """Relative to the working directory if it is below it; `..` is followed first, as a link may stand before it."""
    absolute = Path(os.path.realpath(path)) if ".." in path.parts else path.absolute()
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute

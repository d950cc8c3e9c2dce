"""Text, lists of names and paths as people are shown them, and as they are written down."""

import os
from collections.abc import Sequence
from pathlib import Path


def printable(text: str) -> str:
    """Without characters that would command a terminal, or break a line or a YAML comment: each as its escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def named(names: Sequence[str], most: int = 3) -> str:
    """The names with commas; beyond `most` of them their number: "a, b, c, … (7 in all)"."""
    rest = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def from_here(path: Path) -> Path:
    """Relative to the working directory if it is below it; `..` is followed first, as a link may stand before it."""
    absolute = Path(os.path.realpath(path)) if ".." in path.parts else path.absolute()
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute

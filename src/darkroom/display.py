"""Text, lists of names, tables, sizes, times and paths as people are shown them, and as they are written down."""

import difflib
import os
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

LINES = "\n"  # of a text in several lines
LABEL = 24  # characters of a column's name; the longest is text_encoder_digest
# Control characters, and those that turn the direction of what stands beside them; half a character.
_COMMANDS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


def printable(text: str, but: str = "") -> str:
    """Without characters that would command a terminal, or break a line or a YAML comment: each as its escape.

    Whatever strangers wrote is shown so: a header, a record, a file's name, a library's message. `but`: what stays.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in but else _escape(c) for c in text)


def on_page(text: str) -> str:
    """A text as a page may show it: as people wrote it, in whichever script, but for what commands its reader."""
    return _COMMANDS.sub(lambda match: _escape(match[0]), text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode()


def named(names: Sequence[str], most: int = 3) -> str:
    """The names with commas; beyond `most` of them their number: "a, b, c, … (7 in all)"."""
    rest = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def from_here(path: Path) -> Path:
    """Relative to the working directory if it is below it; `..` is followed first, as a link may stand before it."""
    absolute = Path(os.path.realpath(path)) if ".." in path.parts else path.absolute()
    return absolute.relative_to(Path.cwd()) if absolute.is_relative_to(Path.cwd()) else absolute


def sized(count: int) -> str:
    """Bytes in the unit that suits them, 10^3 each: "1.4 MB"."""
    number, units = float(count), ["bytes", "kB", "MB", "GB", "TB"]
    while number >= 999.5 and len(units) > 1:
        number, units = number / 1000, units[1:]
    return f"{number:.0f} {units[0]}" if units[0] in ("bytes", "kB") or number >= 99.5 else f"{number:.1f} {units[0]}"


def lasting(seconds: float) -> str:
    """A time in the two units that suit it: "3 h 20 min"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    if hours >= 48:
        return f"{hours // 24} days {hours % 24} h"
    return f"{hours} h {minute} min" if hours else f"{minutes} min {rest} s"


def first_line(text: str) -> str:
    """With a … where there are more; with the next one where it announces that, as `3 problems:` does."""
    first, *others = text.splitlines() or [""]
    if others and first.endswith(":"):
        first, *others = f"{first} {others[0].strip(' -')}", *others[1:]
    return f"{first} …" if others else first


def suggestion(word: str, known: Iterable[str]) -> str:
    """`did you mean 'seed'? known: neg, seed`, the first half only where something is close."""
    known = sorted(known)
    close = closest(word, known)
    listing = f"known: {', '.join(known)}" if known else "there are none"
    return f"did you mean {close!r}? {listing}" if close else listing


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is spelled most like this one; None where none is close."""
    return next(iter(difflib.get_close_matches(word, sorted(known), n=1)), None)


def counted(count: int, what: str) -> str:
    """`1 picture`, `7 pictures`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def labelled(name: str, value: str = "") -> str:
    """`width:                  1024`: a column's name and what is said of it, the longest names aligned."""
    return f"{name + ':' if name else '':{LABEL}}{value}".rstrip()


def table(rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Lines of aligned columns, two spaces between them; those numbered in `right` end together."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]

"""Part of a contact sheet to be drawn: which pictures, along which axes. Opens no picture.

cut(rows, Part(rows=("prompt",), columns=("step",), only=("seed=1",)))
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from darkroom.display import closest, named, suggestion
from darkroom.errors import ConfigError
from darkroom.record.rows import Row
from darkroom.review.page.axes import COLUMNS, ROWS, Axis, PicturePlace, axes_of
from darkroom.review.sheet.contact_sheet import places_of

Values = tuple[str, ...]  # one of each axis

_DECIMAL = r"-?(?:\d+(?:\.\d*)?|\.\d+)"
_INDEX = "index"  # the axis whose values are prompts
_MOST = 12  # values that a sentence lists
_RANGE = re.compile(rf"({_DECIMAL})\.\.({_DECIMAL})")


@dataclass(frozen=True)
class Selection:
    """`rows`, `columns`: axes by name or title, none where the page's layout goes; `only`: AXIS=VALUE,VALUE or A..B."""

    rows: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    over: str | None = None  # an axis whose values are frames of an animation


@dataclass(frozen=True)
class Frame:
    """One drawing. `cells`: by row and column, where there is a picture; `said`: what all of it has in common."""

    said: tuple[str, ...]
    cells: Mapping[tuple[Values, Values], Row]


@dataclass(frozen=True)
class View:
    """What is drawn: frames of the same rows and columns."""

    rows: tuple[Axis, ...]
    columns: tuple[Axis, ...]
    row_values: tuple[Values, ...]
    column_values: tuple[Values, ...]
    frames: tuple[Frame, ...]
    notes: tuple[str, ...] = field(default=())  # sentences on what was put where, unasked


def cut(rows: Sequence[Row], part: Selection) -> View:
    """ConfigError for an axis or a value that there is not, or where no picture is left."""
    places = places_of([row.request for row in rows])
    axes = axes_of(places)
    kept = _kept(axes, part.only, places)
    if not kept:
        raise ConfigError(f"--only {' --only '.join(part.only)}: no picture has all of this")
    varying = [axis for axis in axes if len({axis.codes[i] for i in kept}) > 1]
    # 1. Where each axis goes; what nobody part for and still varies becomes a row, so that nothing is left out
    over = _named(part.over, axes, "--over") if part.over else None
    down, across = _placed(axes, varying, part, over)
    left = [axis for axis in varying if axis not in (*down, *across, over)]
    notes = tuple(
        f"{axis.title} varies too, and goes to the rows: --only {axis.name}={_one(axis, places[kept[0]])} takes one"
        for axis in left
    )
    down += left
    # 2. The pictures in their places
    order = sorted(kept, key=lambda i: [axis.codes[i] for axis in (*down, *across)])
    alike = [axis for axis in axes if axis not in (*varying, *down, *across, over)]
    same = tuple(f"{axis.title} {_value(axis, kept[0])}" for axis in alike)
    codes = sorted({over.codes[i] for i in kept}) if over else [None]
    frames = []
    for code in codes:
        own = [i for i in order if over is None or over.codes[i] == code]
        said = (f"{over.title} {_value(over, own[0])}", *same) if over else same
        frames.append(Frame(said, {(_values(down, i), _values(across, i)): rows[i] for i in own}))
    return View(
        rows=tuple(down),
        columns=tuple(across),
        row_values=_in_order(down, kept),
        column_values=_in_order(across, kept),
        frames=tuple(frames),
        notes=notes,
    )


def _placed(
    axes: Sequence[Axis], varying: Sequence[Axis], part: Selection, over: Axis | None
) -> tuple[list[Axis], list[Axis]]:
    """Rows and columns: those that are named, else where the page has what varies."""
    down = [_named(name, axes, "--rows") for name in part.rows]
    across = [_named(name, axes, "--columns") for name in part.columns]
    named = [axis.title for axis in (*down, *across, *([over] if over else []))]
    if twice := [title for title in named if named.count(title) > 1]:
        raise ConfigError(f"{twice[0]}: goes to one of --rows, --columns and --over")
    free = [axis for axis in varying if axis not in (*down, *across, over)]
    if not part.columns:
        across = [axis for axis in free if axis.placement == COLUMNS]
    if not part.rows:
        down = [axis for axis in free if axis.placement == ROWS and axis not in across]
    return down, across


def _named(name: str, axes: Sequence[Axis], option: str) -> Axis:
    for axis in axes:
        if name in (axis.name, axis.title):
            return axis
    raise ConfigError(f"{option}: {name} is no axis of this experiment; {suggestion(name, [a.title for a in axes])}")


def _one(axis: Axis, place: PicturePlace) -> str:
    """What takes one value of an axis: of prompts the number, whose text may be long."""
    return str(place.index) if axis.name == _INDEX else "…"


def _kept(axes: Sequence[Axis], only: Sequence[str], places: Sequence[PicturePlace]) -> list[int]:
    kept = list(range(len(places)))
    for said in only:
        name, equals, wanted = said.partition("=")
        if not equals or not wanted:
            raise ConfigError(f"--only {said}: expected AXIS=VALUE, such as seed=1, step=500,750 or step=250..750")
        axis = _named(name, axes, "--only")
        parts = [wanted] if wanted in axis.values else wanted.split(",")
        numbers = _numbers(axis, places)
        codes = {code for part in parts for code in _codes(axis, numbers, part)}
        kept = [i for i in kept if axis.codes[i] in codes]
    return kept


def _numbers(axis: Axis, places: Sequence[PicturePlace]) -> dict[int, float]:
    """Of the values that have one, by code: a prompt's is its place in its set, as `darkroom show` says it."""
    if axis.name == _INDEX:
        return {code: place.index for code, place in zip(axis.codes, places, strict=True)}
    return {code: number for code, value in enumerate(axis.values) if (number := _number(value)) is not None}


def _codes(axis: Axis, numbers: Mapping[int, float], wanted: str) -> list[int]:
    """Of the values that a word names: the text itself, the same number, a range, else a part of the text."""
    if found := _RANGE.fullmatch(wanted):
        first, last = float(found[1]), float(found[2])
        codes = [code for code, number in numbers.items() if first <= number <= last]
    else:
        number = _number(wanted)
        codes = [code for code, value in enumerate(axis.values) if value == wanted or numbers.get(code, "") == number]
        codes = codes or [code for code, value in enumerate(axis.values) if number is None and wanted in value]
    if not codes:
        close = closest(wanted, axis.values)
        said = [f"{value or 'not set':.60}" for value in axis.values]
        if axis.name == _INDEX:
            said = [f"{numbers[code]:g} ({text})" for code, text in enumerate(said)]
        known = named(said, _MOST)
        meant = f"did you mean {close!r}? " if close else ""
        raise ConfigError(f"--only {axis.name}={wanted}: there is no such {axis.title}; {meant}known: {known}")
    return codes


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _value(axis: Axis, i: int) -> str:
    return axis.values[axis.codes[i]] or "not set"


def _values(axes: Sequence[Axis], i: int) -> Values:
    return tuple(_value(axis, i) for axis in axes)


def _in_order(axes: Sequence[Axis], kept: Sequence[int]) -> tuple[Values, ...]:
    order = sorted(kept, key=lambda i: [axis.codes[i] for axis in axes])
    return tuple(dict.fromkeys(_values(axes, i) for i in order))

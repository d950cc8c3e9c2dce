"""Draws a view with Pillow: title, heads of columns, labels of rows, pictures, previews above them."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from darkroom.errors import ImageError
from darkroom.record.rows import Record, Row
from darkroom.request.picture_key import PictureKey
from darkroom.review.page.axes import Axis
from darkroom.review.sharing.picture_shown import picture_shown
from darkroom.review.sharing.view import Frame, Values, View

_PAPER, _INK, _SOFT, _FILM, _EDGE = "#f5f3ee", "#1e1d1a", "#65615a", "#171614", "#d8a650"  # as on the page
_FONT = "DejaVuSans.ttf"  # where it is installed; else the one in Pillow
_MOST_LINES = 6  # of a label
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Corner = tuple[int, int]


@dataclass(frozen=True)
class Style:
    """Sizes in pixels, from the long side of a picture."""

    side: int

    @property
    def text(self) -> int:
        return max(11, min(28, self.side // 11))

    @property
    def title(self) -> int:
        return int(self.text * 1.6)

    @property
    def gap(self) -> int:
        return max(2, self.side // 48)

    @property
    def apart(self) -> int:
        """What stands below a row with previews, beside the gap: it and they are one group."""
        return 4 * self.gap

    @property
    def label(self) -> int:
        """The width of the labels of rows."""
        return max(96, min(360, int(self.side * 1.1)))

    @property
    def margin(self) -> int:
        return self.text


def draw(view: View, frame: Frame, side: int, title: str, previews: Mapping[PictureKey, Path]) -> Image.Image:
    """One frame; `side`: the long side of a picture. `previews`: stored ones, shown above the row of theirs."""
    style = Style(side)
    cell = _cell(frame, side)
    shown = [_line(view, frame, values, previews) for values in view.row_values]
    heads = _heads(view)
    left = style.margin + (style.label if view.rows or any(line.has_previews for line in shown) else 0)
    width = left + len(heads) * (cell[0] + style.gap) + style.margin
    titles = _wrapped(title, style.title, width - 2 * style.margin)
    common = _wrapped(" · ".join(frame.said), style.text, width - 2 * style.margin)
    names = [_wrapped(head, style.text, cell[0]) for head in heads]
    leading = int(style.text * 1.35)
    below = style.margin + len(titles) * int(style.title * 1.35)
    top = below + len(common) * leading + style.gap * 2
    under = top + max(map(len, names), default=0) * leading + style.gap * 2
    height = under + sum(line.height(cell, style) for line in shown) + style.margin
    image = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(image)
    _write(pen, (style.margin, style.margin), titles, style.title, _INK)
    _write(pen, (style.margin, below), common, style.text, _SOFT)
    for n, lines in enumerate(names):
        _write(pen, (left + n * (cell[0] + style.gap), top), lines, style.text, _INK)
    y = under
    for line in shown:
        _draw_line(image, line, (left, y), cell, style)
        y += line.height(cell, style)
    return image


def _draw_line(image: Image.Image, line: "_Line", at: Corner, cell: Corner, style: Style) -> None:
    """The row of previews, if it has any, and that of pictures right below. `at`: of the first picture."""
    pen, leading, (left, y) = ImageDraw.Draw(image), int(style.text * 1.35), at
    places = [left + n * (cell[0] + style.gap) for n in range(len(line.rows))]
    _label(pen, (style.margin, y), line.label, style, cell[1] - (leading if line.has_previews else 0))
    if line.has_previews:
        _write(pen, (style.margin, y + cell[1] - leading), ["preview"], style.text, _SOFT)
        for x, path in zip(places, line.previews, strict=True):
            if path:
                _place(image, (x, y), cell, _preview(path), dotted=True)
        y += cell[1] + style.gap
    for x, row in zip(places, line.rows, strict=True):
        if row is not None:
            _place(image, (x, y), cell, _picture(row))


@dataclass(frozen=True)
class _Line:
    label: str
    rows: tuple[Row | None, ...]
    previews: tuple[Path | None, ...]

    @property
    def has_previews(self) -> bool:
        return any(self.previews)

    def height(self, cell: Corner, style: Style) -> int:
        """Pixels, with the gap below."""
        return (1 + self.has_previews) * (cell[1] + style.gap) + self.has_previews * style.apart


def _line(view: View, frame: Frame, values: Values, previews: Mapping[PictureKey, Path]) -> _Line:
    rows = tuple(frame.cells.get((values, column)) for column in view.column_values)
    found = tuple(previews.get(row.key) if row else None for row in rows)
    return _Line(_said(view.rows, values), rows, found)


def _heads(view: View) -> list[str]:
    return [_said(view.columns, values) for values in view.column_values]


def _said(axes: Sequence[Axis], values: Values) -> str:
    """Texts alone, numbers by what they are."""
    return " · ".join(
        value if axis.name in ("index", "prompt", "lora", "model", "prompts") else f"{axis.title} {value}"
        for axis, value in zip(axes, values, strict=True)
    )


def _cell(frame: Frame, side: int) -> Corner:
    """Width and height of the widest and the highest picture."""
    sizes = [(row.request.sampling.width, row.request.sampling.height) for row in frame.cells.values()]
    scaled = [(round(side * w / max(w, h)), round(side * h / max(w, h))) for w, h in sizes or [(1, 1)]]
    return max(w for w, _ in scaled), max(h for _, h in scaled)


def _picture(row: Row) -> Image.Image | str:
    return _preview(Path(row.image_path)) if isinstance(row, Record) else row.status


def _preview(path: Path) -> Image.Image | str:
    """The picture, or that there is none."""
    shown = picture_shown(path)
    return "cannot be read" if isinstance(shown, ImageError) else shown


def _place(image: Image.Image, at: Corner, cell: Corner, shown: Image.Image | str, *, dotted: bool = False) -> None:
    pen = ImageDraw.Draw(image)
    pen.rectangle((*at, at[0] + cell[0] - 1, at[1] + cell[1] - 1), fill=_FILM)
    if isinstance(shown, str):
        _write(pen, (at[0] + 6, at[1] + 6), _wrapped(shown, 12, cell[0] - 12), 12, _EDGE)
        return
    scale = min(cell[0] / shown.width, cell[1] / shown.height)
    size = max(1, round(shown.width * scale)), max(1, round(shown.height * scale))
    way = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    image.paste(shown.resize(size, way), (at[0] + (cell[0] - size[0]) // 2, at[1] + (cell[1] - size[1]) // 2))
    if dotted:  # a preview has a line below it, in the colour of the page's edge
        pen.rectangle((at[0], at[1] + cell[1] - 3, at[0] + cell[0] - 1, at[1] + cell[1] - 1), fill=_EDGE)


def _label(pen: ImageDraw.ImageDraw, at: Corner, text: str, style: Style, height: int) -> None:
    leading = int(style.text * 1.35)
    lines = _wrapped(text, style.text, style.label - style.text, max(1, min(_MOST_LINES, height // leading)))
    _write(pen, at, lines, style.text, _INK)


def _write(pen: ImageDraw.ImageDraw, at: Corner, lines: Sequence[str], size: int, ink: str) -> None:
    for n, line in enumerate(lines):
        pen.text((at[0], at[1] + n * int(size * 1.35)), line, fill=ink, font=_font(size))


def _wrapped(text: str, size: int, width: int, most: int = _MOST_LINES) -> list[str]:
    """Lines of at most `width` pixels, broken between words, or within one that is too long; the last with a …

    What is not shown is not measured: a prompt may be a book, without a space in it.
    """
    lines: list[str] = []
    rest = " ".join(text.split())
    while rest and len(lines) < most:
        end = _fitting(rest, _font(size), width)
        if end < len(rest) and rest[end] != " " and (space := rest.rfind(" ", 0, end)) > 0:
            end = space
        lines.append(rest[:end].rstrip())
        rest = rest[end:].lstrip()
    return [*lines[:-1], f"{lines[-1][:-1]}…"] if rest else lines


def _fitting(text: str, font: _Font, width: int) -> int:
    """How many characters of the text, at least one, take at most `width` pixels: found from few of them."""
    most = 16
    while most < min(len(text), width) and font.getlength(text[:most]) <= width:
        most *= 2
    lengths = range(1, min(len(text), most) + 1)
    return max(1, bisect_right(lengths, float(width), key=lambda count: float(font.getlength(text[:count]))))


@cache
def _font(size: int) -> _Font:
    try:
        return ImageFont.truetype(_FONT, size)
    except OSError:
        return ImageFont.load_default(size)

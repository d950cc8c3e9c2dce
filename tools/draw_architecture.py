"""Draws docs/architecture.svg from the imports in src/darkroom: rooms as boxes, an arrow for each import between them.

    .venv/bin/python tools/draw_architecture.py           # writes the picture
    .venv/bin/python tools/draw_architecture.py --check   # status 1 when it is not that of the code

An arrow that another way of arrows implies is left out; what all rooms share is named in a box's last lines instead.
"""

import ast
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from xml.sax.saxutils import escape

REPOSITORY = Path(__file__).parents[1]
PACKAGE = REPOSITORY / "src/darkroom"
PICTURE = REPOSITORY / "docs/architecture.svg"

ROOMS = {  # top folders, from left to right, and what each is for
    "intake": "other programs' files → conf/, previews/",
    "plan": "WHAT to render: conf/ → requests",
    "render": "HOW: requests → pictures, records",
    "review": "WHAT CAME OUT: records → pages",
}
TOP = ("cli", "terminal", "machine")  # above all rooms

# Pixels
BOX, GAP, MARGIN, PADDING = 284, 44, 24, 14
ABREAST = 10  # boxes, at most
LINE, HEAD, TITLE = 15, 26, 58  # of a text; above the texts of a box; above the boxes of a room
CHARACTERS = 36  # a line of a box

STYLE = """\
text { font: 12px ui-monospace, Menlo, Consolas, monospace; fill: #222 }
.name { font-weight: 700; font-size: 13px }
.uses { fill: #777 }
.title { font: 700 16px system-ui, sans-serif }
.purpose { font: 13px system-ui, sans-serif }
.paper { fill: #fff }
.room { fill: #f5f3ee; stroke: #d8d2c4 }
.box { fill: #fff; stroke: #8a8373 }
.arrow { fill: none; stroke: #b5482a; stroke-width: 1.4 }
@media (prefers-color-scheme: dark) {
  text { fill: #ddd }
  .uses { fill: #999 }
  .paper { fill: #181715 }
  .room { fill: #22201c; stroke: #403b32 }
  .box { fill: #2c2a26 }
  .arrow { stroke: #e0805f }
}"""


@dataclass(frozen=True)
class Box:
    """A folder of the package, or a file beside them, where it stands in the picture (pixels)."""

    name: str
    lines: tuple[str, ...]
    uses: tuple[str, ...]
    x: float
    y: float

    @property
    def height(self) -> float:
        return HEAD + LINE * (len(self.lines) + len(self.uses)) + 8

    def svg(self) -> Iterator[str]:
        yield f'<rect class="box" x="{self.x:g}" y="{self.y:g}" width="{BOX}" height="{self.height:g}" rx="6"/>'
        yield f'<text class="name" x="{self.x + 10:g}" y="{self.y + 18:g}">{escape(self.name)}</text>'
        for number, line in enumerate((*self.lines, *self.uses)):
            kind = ' class="uses"' if number >= len(self.lines) else ""
            y = self.y + HEAD + LINE * number + 10
            yield f'<text{kind} x="{self.x + 10:g}" y="{y:g}">{escape(line)}</text>'


@dataclass(frozen=True)
class Frame:
    """A room around its boxes, its upper left corner at (x, y) pixels."""

    title: str
    purpose: str
    x: float
    y: float
    boxes: tuple[Box, ...]

    @property
    def width(self) -> float:
        return max(box.x for box in self.boxes) + BOX + PADDING - self.x

    @property
    def height(self) -> float:
        return max(box.y + box.height for box in self.boxes) + PADDING - self.y

    def svg(self) -> Iterator[str]:
        size = f'width="{self.width:g}" height="{self.height:g}"'
        yield f'<rect class="room" x="{self.x:g}" y="{self.y:g}" {size} rx="10"/>'
        yield f'<text class="title" x="{self.x + PADDING:g}" y="{self.y + 24:g}">{escape(self.title)}</text>'
        yield f'<text class="purpose" x="{self.x + PADDING:g}" y="{self.y + 42:g}">{escape(self.purpose)}</text>'


def folder_of(file: Path) -> str:
    """`plan/conf` for a file in it; a file beside the rooms is a box of its own."""
    folder = file.parent.relative_to(PACKAGE)
    return file.stem if folder == Path() else folder.as_posix()


def target_of(name: str) -> str | None:
    """The box of an imported name such as `darkroom.plan.conf.schema.Model`; None for other packages."""
    package, *parts = name.split(".")
    for length in range(len(parts), 0, -1) if package == "darkroom" else ():
        module = PACKAGE.joinpath(*parts[:length])
        if module.with_suffix(".py").is_file():
            return folder_of(module.with_suffix(".py"))
        if module.is_dir():
            return "/".join(parts[:length])
    return None


def imports() -> dict[str, set[str]]:
    """Each box, and the boxes that its files import."""
    found: dict[str, set[str]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        if file.parent == PACKAGE and file.stem.startswith("__"):
            continue
        arrows = found.setdefault(folder_of(file), set())
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                targets = {target_of(f"{node.module}.{alias.name}") for alias in node.names}
                arrows |= {target for target in targets if target not in (None, folder_of(file))}
    return found


def reduced(arrows: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Without the arrows that a longer way implies."""
    reach: dict[str, set[str]] = {}
    for name in TopologicalSorter(arrows).static_order():
        reach[name] = set().union(*({other} | reach[other] for other in arrows.get(name, set())))
    return {
        name: {t for t in targets if not any(t in reach[other] for other in targets - {t})}
        for name, targets in arrows.items()
    }


def levels(names: Iterable[str], arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Rows from top to bottom: each box stands below all that import it, as low as what it imports allows."""
    names = list(names)
    inside = {name: arrows[name] & set(names) for name in names}
    depth: dict[str, int] = {}
    for name in TopologicalSorter(inside).static_order():
        depth[name] = 1 + max((depth[other] for other in inside[name]), default=-1)
    rows = [[n for n in names if depth[n] == level] for level in sorted(set(depth.values()), reverse=True)]
    return [row[start : start + ABREAST] for row in rows for start in range(0, len(row), ABREAST)]


def files_of(name: str) -> tuple[str, ...]:
    """The files of a folder, wrapped into lines; none for a file."""
    stems = sorted(file.stem for file in (PACKAGE / name).glob("*.py") if not file.stem.startswith("__"))
    return tuple(textwrap.wrap(" ".join(stems), CHARACTERS))


def stacked(rows: list[list[str]], x: float, y: float, uses: Mapping[str, tuple[str, ...]]) -> Iterator[Box]:
    """Boxes row by row, those of a row side by side, from (x, y)."""
    for row in rows:
        boxes = [Box(name, files_of(name), uses[name], x + i * (BOX + GAP), y) for i, name in enumerate(row)]
        yield from boxes
        y += max(box.height for box in boxes) + GAP


def arrow(start: Box, end: Box) -> str:
    """From the lower edge of a box to the upper edge of one below it, or from side to side in a row."""
    if end.y > start.y + start.height:
        x1, y1, x2, y2 = start.x + BOX / 2, start.y + start.height, end.x + BOX / 2, end.y - 3
        bend = (y2 - y1) / 2
        curve = f"M{x1:g},{y1:g} C{x1:g},{y1 + bend:g} {x2:g},{y2 - bend:g} {x2:g},{y2:g}"
    else:
        x1, x2 = (start.x + BOX, end.x - 3) if end.x > start.x else (start.x, end.x + BOX + 3)
        y1, y2, middle = start.y + 14, end.y + 14, (x1 + x2) / 2
        curve = f"M{x1:g},{y1:g} C{middle:g},{y1:g} {middle:g},{y2:g} {x2:g},{y2:g}"
    return f'<path class="arrow" marker-end="url(#tip)" d="{curve}"/>'


def uses_of(arrows: Mapping[str, set[str]], shared: set[str]) -> dict[str, tuple[str, ...]]:
    """What a box imports of `shared`, and one of TOP of all, in words: as arrows they would hide the others."""
    words = {name: " ".join(sorted(targets & shared)) for name, targets in arrows.items() if name not in shared}
    words |= {name: " ".join(sorted(arrows[name])) for name in TOP} | {TOP[0]: "each room when it is run"}
    lines = {
        name: textwrap.wrap(f"→ {text}", CHARACTERS, subsequent_indent="  ") for name, text in words.items() if text
    }
    return {name: tuple(lines.get(name, ())) for name in arrows}


def picture() -> str:
    """The whole SVG."""
    # 1. What imports what
    arrows = imports()
    kept = reduced(arrows)
    shared = {name for name in arrows if name not in TOP and name.split("/")[0] not in ROOMS}
    uses = uses_of(kept, shared)
    # 2. Where it stands: what begins, the rooms side by side, what they share below them
    top = tuple(stacked([list(TOP)], MARGIN + PADDING, MARGIN, uses))
    frames: list[Frame] = []
    x, y = float(MARGIN), max(box.y + box.height for box in top) + GAP
    for room, purpose in ROOMS.items():
        rows = levels((name for name in arrows if name.split("/")[0] == room), arrows)
        frames.append(Frame(room, purpose, x, y, tuple(stacked(rows, x + PADDING, y + TITLE, uses))))
        x += frames[-1].width + GAP
    y = max(frame.y + frame.height for frame in frames) + GAP
    ground = tuple(stacked(levels(sorted(shared), arrows), MARGIN + PADDING, y + TITLE, uses))
    frames.append(Frame("shared", "values, and the files in which rooms meet", MARGIN, y, ground))
    # 3. The drawing
    boxes = {box.name: box for box in (*top, *(box for frame in frames for box in frame.boxes))}
    drawn = [
        arrow(boxes[name], boxes[other])
        for name, targets in kept.items()
        for other in sorted(targets if name in shared else targets - shared)
        if name not in TOP
    ]
    width = max(frame.x + frame.width for frame in frames) + MARGIN
    height = frames[-1].y + frames[-1].height + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}">',
        f"<style>\n{STYLE}\n</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0,0 L8,4 L0,8 z" fill="#b5482a"/></marker></defs>',
        f'<rect class="paper" width="{width:g}" height="{height:g}"/>',
        *(line for frame in frames for line in frame.svg()),
        *drawn,  # below the boxes, so that an arrow past one does not cross its text
        *(line for box in boxes.values() for line in box.svg()),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    drawn = picture()
    if arguments == ["--check"]:
        if PICTURE.is_file() and PICTURE.read_text(encoding="utf-8") == drawn:
            return 0
        print(
            f"{PICTURE.relative_to(REPOSITORY)} is not what the code imports: run tools/draw_architecture.py",
            file=sys.stderr,
        )
        return 1
    PICTURE.write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

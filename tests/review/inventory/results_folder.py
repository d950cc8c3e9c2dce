"""A results/ folder as runs leave it, made by hand: pictures of a few bytes, an hour and more old."""

import os
from pathlib import Path

from darkroom.files.atomic import write_json
from darkroom.store import ExperimentFolder, Store

RESULTS = Path("results")
STORE = Store(RESULTS / "store")
NOW = 1_790_000_000.0  # seconds since 1970: past, so that these files are as old to the clock
DAY = 86_400.0


def picture_id(digit: str) -> str:
    return digit * 64


def stored(digit: str, size: int = 100, *, age: float = DAY) -> Path:
    """A picture of the store."""
    return written(STORE.image(picture_id(digit), "png", 100), size, age=age)


def written(path: Path, size: int, *, age: float = DAY) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (NOW - age, NOW - age))
    return path


def experiment(name: str, *digits: str, age: float = DAY) -> ExperimentFolder:
    """One that asks for these pictures of the store, and shows none."""
    folder = ExperimentFolder(RESULTS / name)
    write_json(folder.contents, {"experiment": name, "combinations": [["m", "none", "p", len(digits), 0]]})
    requests = [{"request_id": picture_id(digit)} for digit in digits]
    write_json(folder.root / "requests/m/none/p.json", {"requests": requests})
    os.utime(folder.contents, (NOW - age, NOW - age))
    return folder


def shown(folder: ExperimentFolder, picture: Path) -> Path:
    """The link that a person opens."""
    link = folder.root / "images" / f"{picture.name[:3]}.png"
    link.parent.mkdir(parents=True, exist_ok=True)
    os.link(picture, link)
    return link

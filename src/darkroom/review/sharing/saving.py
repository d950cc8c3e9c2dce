"""A view as one file that fits where it is to be sent: a picture, an animation, or the page with its pictures.

The ending says which: .png, .jpg, .webp, and .gif of several frames; .zip is the page, which opens anywhere.
"""

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from darkroom.display import sized
from darkroom.errors import ConfigError
from darkroom.files.atomic import atomic
from darkroom.request.picture_key import PictureKey
from darkroom.review.sharing.drawing import draw
from darkroom.review.sharing.view import View
from darkroom.store import ExperimentFolder

SIDES = (1024, 768, 512, 384, 256, 192, 128, 96, 64)  # of a picture, the largest first
FRAME = 800  # ms that a frame of an animation stands
_FORMATS: Mapping[str, dict[str, Any]] = {
    ".png": {"format": "PNG", "optimize": False},
    ".jpg": {"format": "JPEG", "quality": 90},
    ".jpeg": {"format": "JPEG", "quality": 90},
    ".webp": {"format": "WEBP", "quality": 88, "method": 4},
    ".gif": {"format": "GIF"},
}
_ANIMATED = (".webp", ".gif")
_BESIDE = ("images", "thumbnails")  # folders of what a page shows
_PAGES = ("report.html", "regress.html", "verdicts.js")  # what is there of them; the sheet links to the second
_LONGEST = 16_383  # pixels of a side: WebP's, and what programs that show pictures bear
_MOST_PIXELS = 120_000_000
_BYTES = re.compile(r"([0-9.]+) ?(kB|MB|GB)?", re.IGNORECASE)
_UNITS = {"": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def bytes_of(said: str) -> int:
    """10MB, 500kB or 2000000; ConfigError for anything else."""
    found = _BYTES.fullmatch(said.strip())
    try:
        count = int(float(found[1]) * _UNITS[(found[2] or "").lower()]) if found else 0
    except (ValueError, OverflowError):  # 1.2.3; a number of 400 digits
        count = 0
    if count < 1:
        raise ConfigError(f"--most {said}: expected a size such as 10MB or 500kB")
    return count


def check_ending(output: Path, *, animated: bool) -> None:
    """ConfigError where a file of this name cannot be what is asked for."""
    known = _ANIMATED if animated else (*_FORMATS, ".zip")
    if output.suffix.lower() not in known or (not animated and output.suffix.lower() == ".gif"):
        kinds = ", ".join(_ANIMATED) if animated else ".png, .jpg, .webp, or .zip for the page with its pictures"
        raise ConfigError(f"{output}: {'an animation' if animated else 'a sheet'} ends in {kinds}")


def save(view: View, output: Path, title: str, previews: Mapping[PictureKey, Path], most: int) -> tuple[int, int]:
    """Write it with the largest pictures that `most` bytes allow; their side in pixels, and the bytes.

    Pictures are not enlarged beyond twice their size. ConfigError where even the smallest do not fit.
    """
    settings = _FORMATS[output.suffix.lower()]
    samplings = [row.request.sampling for frame in view.frames for row in frame.cells.values()]
    largest = max(max(each.width, each.height) for each in samplings)
    smallest = 0
    for side in (side for side in SIDES if side <= 2 * largest or side == SIDES[-1]):
        if not _can_be_drawn(view, side):
            continue
        drawn = [draw(view, frame, side, title, previews) for frame in view.frames]
        content = _encoded(drawn, settings)
        smallest = len(content)
        if smallest <= most:
            with atomic(output) as temporary:
                temporary.write_bytes(content)
            return side, smallest
    has = f"with pictures of {SIDES[-1]} pixels it has {sized(smallest)}" if smallest else "it is too large to draw"
    raise ConfigError(f"{output}: {has}, more than --most {sized(most)}: take less by --only, or --most more")


def save_page(folder: ExperimentFolder, output: Path) -> int:
    """The pages and what they read beside them as one archive, whose links hold wherever it is unpacked; its bytes."""
    beside = [file for part in _BESIDE for file in sorted((folder.root / part).rglob("*")) if file.is_file()]
    files = [*(page for name in _PAGES if (page := folder.root / name).is_file()), *beside]
    with atomic(output) as temporary, zipfile.ZipFile(temporary, "w", strict_timestamps=False) as archive:
        for file in files:  # one of before 1980 is dated 1980: the format has no earlier year
            archive.write(file, Path(folder.root.name, file.relative_to(folder.root)))
    return output.stat().st_size


def _can_be_drawn(view: View, side: int) -> bool:
    width, height = (1 + len(view.column_values)) * side * 1.1, (1 + 2 * len(view.row_values)) * side * 1.1
    return width < _LONGEST and height < _LONGEST and width * height * len(view.frames) < _MOST_PIXELS


def _encoded(drawn: list[Image.Image], settings: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    first, *others = drawn
    more: dict[str, Any] = {"save_all": True, "append_images": others, "duration": FRAME, "loop": 0} if others else {}
    first.save(file, **settings, **more)
    return file.getvalue()

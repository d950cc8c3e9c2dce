"""results/<experiment>/thumbnails/: a small picture for each of an experiment's, by the digest of the large one.

A page is made again with every checkpoint, and only what is new is made small anew. Few thumbnails are carried by the
page itself; of many it has the addresses, and a browser reads those that are looked at.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from darkroom.errors import ImageError
from darkroom.files.atomic import atomic
from darkroom.record.rows import Record, Row
from darkroom.review.page.data_uri import thumbnail, thumbnail_webp
from darkroom.review.page.page import link_from
from darkroom.review.sheet.page_values import Thumbnails

SIDE = 256  # pixels, of the long side
CARRIED = 1_500, 30_000_000  # the most thumbnails that a page carries, and characters of them
_AS_IT_IS = SIDE * SIDE * 3 // 4  # bytes of a file that needs no smaller one, if its pixels do not


def make_thumbnails(rows: Sequence[Row], page_folder: Path, carried: tuple[int, int] = CARRIED) -> Thumbnails:
    """Those of a page in `page_folder`; what lies in its `thumbnails/` of other pictures goes."""
    folder = page_folder / "thumbnails"
    records = {row.image_sha256: row for row in rows if isinstance(row, Record)}
    most, characters = carried
    with ThreadPoolExecutor() as threads:
        small = list(threads.map(lambda record: _small(record, folder), records.values()))
        _sweep(folder, {found for found in small if isinstance(found, Path)})
        held = list(threads.map(_held, small)) if len(small) <= most else []
    is_carried = bool(held) and sum(len(uri) for uri in held if isinstance(uri, str)) <= characters
    shown = held if is_carried else [link_from(page_folder, each) if isinstance(each, Path) else each for each in small]
    position = {sha256: number for number, sha256 in enumerate(records)}
    return Thumbnails(
        uris=tuple("" if isinstance(each, ImageError) else each for each in shown),
        codes=tuple(position[row.image_sha256] if isinstance(row, Record) else -1 for row in rows),
        is_carried=is_carried,
        problems=tuple(str(each) for each in shown if isinstance(each, ImageError)),
    )


def _small(record: Record, folder: Path) -> Path | ImageError:
    """Where the small picture lies: one that is small anyway is its own."""
    path, sampling = Path(record.image_path), record.request.sampling
    made = folder / record.image_sha256[:2] / f"{record.image_sha256}.webp"
    try:
        if path.stat().st_size <= _AS_IT_IS and max(sampling.width, sampling.height) <= SIDE:
            return path
        if not (made.is_file() and made.stat().st_size):  # empty where power failed while it was written
            content = thumbnail_webp(path, SIDE)
            with atomic(made, durable=False) as temporary:
                temporary.write_bytes(content)
    except FileNotFoundError:
        return ImageError(f"{path}: no such file")
    except ImageError as error:
        return error
    return made


def _held(small: Path | ImageError) -> str | ImageError:
    """An address that holds the small picture."""
    if isinstance(small, ImageError):
        return small
    try:
        return thumbnail(small, SIDE)
    except ImageError as error:
        return error


def _sweep(folder: Path, used: set[Path]) -> None:
    for path in folder.glob("*/*.webp"):
        if path not in used:
            path.unlink(missing_ok=True)

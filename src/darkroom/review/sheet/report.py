"""results/<experiment>/report.html: the manifest as one page that works from file://."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from darkroom.errors import ImageError
from darkroom.record import Record, Row, read_rows
from darkroom.review.page.data_uri import thumbnail
from darkroom.review.page.page import link_from, write_page
from darkroom.review.sheet.page_values import NO_THUMBNAILS, TEMPLATE, Thumbnails, page_values
from darkroom.scoring.table import read_scores

_SIDES = ((256, 1_500), (128, 6_000))  # long side of a thumbnail in pixels, for at most so many images
_PAGE = 60_000_000  # bytes of thumbnails above which smaller ones are made


def write_report(manifest: Path, output: Path, scores: Sequence[Path] = ()) -> None:
    """Write the page of an experiment beside its images: a contact sheet with every image's parameters.

    A picture that failed has a frame with the reason, one that had no turn an empty frame, and one that cannot be read
    is named on the page. `scores`: tables of them. StoreError when the manifest or one of these is damaged.
    """
    rows, _ = read_rows(manifest)
    found = [score for table in scores for score in read_scores(table)]
    links = [link_from(output.parent, row.image_path) if isinstance(row, Record) else None for row in rows]
    write_page(output, TEMPLATE, page_values(rows, links, make_thumbnails(rows), scores=found))


def make_thumbnails(rows: Sequence[Row]) -> Thumbnails:
    """The largest thumbnails that number and size of the pictures allow."""
    first: dict[str, Path] = {}
    for row in rows:
        if isinstance(row, Record):
            first.setdefault(row.image_sha256, Path(row.image_path))
    position = {sha256: number for number, sha256 in enumerate(first)}
    codes = tuple(position[row.image_sha256] if isinstance(row, Record) else -1 for row in rows)
    for side, most in _SIDES:
        if len(rows) > most:
            continue
        with ThreadPoolExecutor() as threads:
            made = list(threads.map(_thumbnail, first.values(), [side] * len(first)))
        uris, problems = tuple(uri for uri, _ in made), tuple(problem for _, problem in made if problem)
        if sum(map(len, uris)) <= _PAGE:
            return Thumbnails(side, uris, codes, problems)
    return NO_THUMBNAILS


def _thumbnail(path: Path, side: int) -> tuple[str, str]:
    """A data URI and no problem, or none and a problem."""
    try:
        return thumbnail(path, side), ""
    except ImageError as error:
        return "", str(error)

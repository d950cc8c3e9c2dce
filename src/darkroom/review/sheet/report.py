"""results/<experiment>/report.html: the manifest as one page that works from file://."""

from collections.abc import Sequence
from pathlib import Path

from darkroom.record.rows import Record, read_rows
from darkroom.review.page.page import link_from, write_page
from darkroom.review.sheet.page_values import TEMPLATE, page_values
from darkroom.review.sheet.thumbnails import make_thumbnails
from darkroom.scoring.table import read_scores


def write_report(manifest: Path, output: Path, scores: Sequence[Path] = ()) -> None:
    """Write the page of an experiment beside its images: a contact sheet with every image's parameters.

    A picture that failed has a frame with the reason, one that had no turn an empty frame, and one that cannot be read
    is named on the page. `scores`: tables of them. StoreError when the manifest or one of these is damaged, or nothing
    can be written beside it.
    """
    rows, _ = read_rows(manifest)
    found = [score for table in scores for score in read_scores(table)]
    links = [link_from(output.parent, row.image_path) if isinstance(row, Record) else None for row in rows]
    thumbnails = make_thumbnails(rows, output.parent)
    write_page(output, TEMPLATE, page_values(rows, links, thumbnails, scores=found))

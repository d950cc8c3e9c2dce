"""results/<experiment>/verdicts.js: what the contact sheet shows of a comparison beside its own pictures.

The sheet reads it by a script element, as it does a run's live.js, so that both pages are up to date after
a comparison. It shows a verdict only beside the very file that was compared.
"""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from darkroom.display import on_page
from darkroom.errors import ImageError
from darkroom.files.atomic import atomic
from darkroom.files.images.opened import COMMON, opened
from darkroom.record.rows import Record, read_rows
from darkroom.request.picture_key import PictureKey
from darkroom.review.page.data_uri import thumbnail
from darkroom.review.page.page import link_from
from darkroom.review.regress.comparison import Comparison, read_comparisons
from darkroom.review.regress.told import measures, names, worst_first
from darkroom.review.regress.verdicts import VERDICTS

_SIDE = 256  # pixels of a preview's thumbnail
_CARRIED = 1_500  # previews with thumbnails; of more the sheet reads the files


def write_sheet_verdicts(compare: Path, manifest: Path, output: Path) -> None:
    """Write it, whole or not at all. StoreError when one of the tables is missing or damaged."""
    comparisons, _ = read_comparisons(compare)
    rows, _ = read_rows(manifest)
    digests = {row.key: row.image_sha256 for row in rows if isinstance(row, Record)}
    said = sheet_verdicts(worst_first(comparisons), digests, output.parent)
    with atomic(output) as temporary:
        temporary.write_text(f"verdicts({json.dumps(said)});\n", encoding="utf-8")


def sheet_verdicts(
    comparisons: Sequence[Comparison], digests: Mapping[PictureKey, str], folder: Path, carried: int = _CARRIED
) -> dict[str, Any]:
    """What the sheet hears, of pictures that the experiment has, in the order of `comparisons`.

    `digests`: of the renders' files; `folder`: the sheet's; `carried`: the most previews with thumbnails.
    """
    paths = [Path(each.preview_path) if each.preview_path else None for each in comparisons]
    is_carried = sum(path is not None for path in paths) <= carried
    with ThreadPoolExecutor() as threads:
        previews = list(threads.map(lambda path: _preview(path, folder, is_carried=is_carried), paths))
    pairs = [
        {
            "name": name,
            "sha256": digests.get(each.key),
            "verdict": each.verdict,
            "reason": on_page(each.reason or ""),
            "measures": [[measure["name"], measure["value"]] for measure in measures(each)],
            "preview": preview,
        }
        for each, name, preview in zip(comparisons, names(comparisons), previews, strict=True)
        if each.image_name is not None
    ]
    return {"verdicts": {name: asdict(verdict) for name, verdict in VERDICTS.items()}, "pairs": pairs}


def _preview(path: Path | None, folder: Path, *, is_carried: bool) -> dict[str, Any] | None:
    """None where there is no preview that can be shown; `thumbnail` is empty where the file has to do."""
    if path is None:
        return None
    try:
        with opened(path, COMMON) as image:
            width, height = image.size
        small = thumbnail(path, _SIDE) if is_carried else ""
    except ImageError:  # the verdict is about it
        return None
    return {"link": link_from(folder, path), "thumbnail": small, "width": width, "height": height}

"""The pictures of one comparison as a page carries them: preview, render as it was compared, FLIP's error map."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from darkroom.errors import ImageError, VersionError
from darkroom.named_picture import read_record_of
from darkroom.record.embedded import EmbeddedRecord
from darkroom.review.page.data_uri import Pixels, carry
from darkroom.review.pair.measures import flip_map
from darkroom.review.pair.picture_file import as_encoded, read_picture
from darkroom.review.regress.comparison import Comparison
from darkroom.review.regress.verdicts import VERDICTS


@dataclass(frozen=True)
class Pair:
    """What a page shows of one comparison.

    `pictures`: by part, `uri` and the file's `width` and `height` in pixels. Parts are preview, render and error (its
    FLIP map, grey, 255 for 1.0, where it was measured), or `equal` alone where both have the same pixels.
    """

    pictures: Mapping[str, Mapping[str, Any]]
    scale: float  # of what is carried to the files
    lossless: bool
    record: EmbeddedRecord | None  # the render's
    problems: tuple[str, ...]  # sentences: what cannot be read, and was not missing when it was compared


def read_pair(comparison: Comparison, limit: int) -> Pair:
    """Read and reduce the pictures of a comparison to at most `limit` characters, or as few as there can be."""
    problems: list[str] = []
    preview, render, record = None, None, None
    try:
        if comparison.image_path is not None:
            render = read_picture(Path(comparison.image_path)).pixels
            if comparison.encoding is not None:
                render = as_encoded(render, comparison.encoding)
            record = read_record_of(Path(comparison.image_path))
    except (ImageError, VersionError) as error:  # of another version it is a picture all the same
        problems.append(str(error))
    try:
        if comparison.preview_path is not None:
            preview = read_picture(Path(comparison.preview_path)).pixels
    except ImageError as error:
        if VERDICTS[comparison.verdict].lacks != "preview":  # else its reason says so
            problems.append(str(error))
    parts = _parts(preview, render, measured=comparison.flip is not None)
    if not parts:
        return Pair({}, 1.0, True, record, tuple(problems))
    carried = carry(list(parts.values()), limit)
    pictures = {
        part: {"uri": uri, "width": pixels.shape[1], "height": pixels.shape[0]}
        for (part, pixels), uri in zip(parts.items(), carried.uris, strict=True)
    }
    return Pair(pictures, carried.scale, carried.lossless, record, tuple(problems))


def _parts(preview: Pixels | None, render: Pixels | None, *, measured: bool) -> dict[str, Pixels]:
    """The pictures there are, by name; the error map only where the comparison has its mean."""
    if preview is None or render is None:
        return {part: pixels for part, pixels in (("preview", preview), ("render", render)) if pixels is not None}
    if preview.shape == render.shape and np.array_equal(preview, render):
        return {"equal": render}
    both = {"preview": preview, "render": render}
    if not measured or preview.shape != render.shape:
        return both
    return both | {"error": np.round(flip_map(preview, render) * 255).astype(np.uint8)}

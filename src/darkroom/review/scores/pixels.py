"""Scores that need no model: how far a picture is from the base model's, and how unlike each other seeds are.

Both are root mean squares of the difference of sRGB levels, from 0 to 1, of pictures reduced to `SIDE` pixels: what
one sees at a glance, and no noise. 0 is the same picture; black against white is 1.

`change` is the distance to the picture that the base model makes of the same prompt with the same seed. `diversity`
is the mean distance to the pictures of the other seeds, whose mean over a group is the mean distance between all its
pairs: the measure of Zhu et al. 2017 (Toward Multimodal Image-to-Image Translation, arXiv:1711.11586), in pixels.
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt

from darkroom.errors import DarkroomError, StoreError, raise_together
from darkroom.files.images.opened import COMMON, opened_whole, read_bytes
from darkroom.record.rows import Record
from darkroom.scoring.compared import but_for_seed, is_of_base, scene

SIDE = 64  # pixels, the longer
Levels = npt.NDArray[np.float32]  # (height, width, 3), 0 to 1


def change(records: Sequence[Record]) -> dict[str, float]:
    """By request_id, of each picture whose base picture is there. StoreError where none is."""
    bases: dict[Hashable, Record] = {scene(each.request): each for each in records if is_of_base(each.request)}
    if not bases:
        raise StoreError("score change: there is no picture of the base model: add none to matrix.lora")
    pairs = [(each, base) for each in records if (base := bases.get(scene(each.request)))]
    seen = _seen([*{id(each): each for pair in pairs for each in pair}.values()])
    distances = {each.request_id: distance(seen[each.request_id], seen[base.request_id]) for each, base in pairs}
    return {request: value for request, value in distances.items() if value is not None}


def diversity(records: Sequence[Record]) -> dict[str, float]:
    """By request_id, of each picture that another seed made as well. StoreError where there is one seed only."""
    groups: dict[Hashable, dict[str, Record]] = defaultdict(dict)
    for each in records:
        groups[but_for_seed(each.request)][each.request_id] = each
    several = [list(group.values()) for group in groups.values() if len(group) > 1]
    if not several:
        raise StoreError("score diversity: no prompt has two seeds: add seed: 1..4 to matrix")
    seen = _seen([each for group in several for each in group])
    distances: dict[str, list[float]] = defaultdict(list)
    for group in several:
        for one, other in combinations((each.request_id for each in group), 2):
            if (value := distance(seen[one], seen[other])) is not None:
                distances[one].append(value)
                distances[other].append(value)
    return {request: sum(values) / len(values) for request, values in distances.items()}


def distance(one: Levels, other: Levels) -> float | None:
    """0 to 1; None for pictures of two shapes."""
    if one.shape != other.shape:
        return None
    return float(np.sqrt(np.mean(np.square(one - other, dtype=np.float64))))


def levels(path: Path) -> Levels:
    """A picture, reduced by averaging boxes of pixels. ImageError when it cannot be read whole."""
    from PIL import Image

    with opened_whole(read_bytes(path), path, COMMON) as image:
        image = image.convert("RGB")
        shrink = SIDE / max(image.size)
        if shrink < 1:
            size = tuple(max(1, round(each * shrink)) for each in image.size)
            image = image.resize((size[0], size[1]), Image.Resampling.BOX)
        return np.asarray(image, dtype=np.float32) / np.float32(255)


def _seen(records: Sequence[Record]) -> Mapping[str, Levels]:
    def read(record: Record) -> Levels | DarkroomError:
        try:
            return levels(Path(record.image_path))
        except DarkroomError as error:
            return error

    with ThreadPoolExecutor() as threads:
        found = dict(zip((each.request_id for each in records), threads.map(read, records), strict=True))
    raise_together(each for each in found.values() if isinstance(each, DarkroomError))
    return {request: each for request, each in found.items() if not isinstance(each, DarkroomError)}

"""A picture's own floor: how far rounding alone can take it, which its nudged repeats tell; and the file that keeps it.

previews/<experiment>/floors.parquet     a row a picture and environment, so that a second night renders no repeats
"""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from darkroom.files.table_file import read_values, write_values
from darkroom.record.circumstances import Environment
from darkroom.record.rows import Record
from darkroom.request.speedups import numerics_in_full
from darkroom.review.pair.measures import PSNR, Measures

REPEATS = 4  # nudged repeats of a picture
CLOSER_REPEATS = 16  # of one that lies beyond what four allow, but not far

# Measured (docs/regress.md): processors stay within, and another schedule does in a quarter of the pictures.
_WIDE = 6.0  # dB between the mean repeat and the floor: twice as far
_DOUBT = 6.0  # dB beyond the floor within which more repeats may say otherwise


class FloorKey(NamedTuple):
    """What a floor goes for: one request on one kind of machine, measured in one way."""

    request_id: str
    environment: Environment
    image_format: str  # of the render and its repeats
    encoding: str | None  # what both went through before they were measured, a value of ENCODINGS; None: nothing

    @classmethod
    def of(cls, render: Record, encoding: str | None) -> "FloorKey":
        return cls(render.request_id, render.environment, render.image_format, encoding)


@dataclass(frozen=True, kw_only=True)
class OwnFloor:
    """How far each nudged repeat of a picture is from its render; the fields are columns of floors.parquet."""

    request_id: str
    image_format: str
    encoding: str | None
    repeats: tuple[Measures, ...]
    environment: Environment

    @property
    def key(self) -> FloorKey:
        return FloorKey(self.request_id, self.environment, self.image_format, self.encoding)


@dataclass(frozen=True)
class Floors:
    """Those that are known, and by request_id why others are not."""

    known: Mapping[FloorKey, OwnFloor] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)

    def of(self, render: Record, encoding: str | None) -> OwnFloor | None:
        return self.known.get(FloorKey.of(render, encoding))

    def lack(self, render: Record) -> str:
        """Why a render's is not known."""
        if render.request.base.numerics != "exact":
            return f"numerics {numerics_in_full(render.request.base)}: never compared, so that it needs none"
        said = self.failed.get(render.request_id)
        name = render.request.title.experiment
        return f"its nudged repeats failed: {said}" if said else f"darkroom regress {name} --fresh renders its repeats"


NO_FLOORS = Floors()


def allowed(repeats: Sequence[Measures], margin: float) -> float | None:
    """PSNR in dB that a render keeps to its preview within its own floor; None: only an identical one is within.

    As far as the farthest repeat, a share of how far repeats are from each other, and a margin: half of that for up to
    four, which say little of what a fifth would be, a fourteenth for sixteen.
    """
    known = [each.psnr for each in repeats if each.psnr is not None]
    return min(known) - (max(known) - min(known)) / max(2, len(repeats) - 2) - margin if known else None


def is_wide(repeats: Sequence[Measures], margin: float) -> bool:
    """Whether a floor is so far beyond its repeats that even another schedule could pass."""
    known = [each.psnr for each in repeats if each.psnr is not None]
    least = allowed(repeats, margin)
    return least is not None and statistics.fmean(known) - least > _WIDE


def is_in_doubt(psnr: float | None, repeats: Sequence[Measures], margin: float) -> bool:
    """Whether a picture is beyond its floor, but not far, by the few repeats there are: four can be near by chance."""
    least = allowed(repeats, margin)
    if psnr is None or least is None or len(repeats) >= CLOSER_REPEATS:
        return False
    return least - _DOUBT <= psnr < least


def told(repeats: Sequence[Measures]) -> str:
    """Such as `4 nudged repeats 46.10, 47.21, 48.30 and 49.62 dB from the render`."""
    texts = [PSNR.text(each.psnr).removesuffix(PSNR.unit) for each in repeats]
    return f"{len(texts)} nudged repeats {', '.join(texts[:-1])} and {texts[-1]} dB from the render"


def read_floors(path: Path) -> dict[FloorKey, OwnFloor]:
    """None where there is no file yet; StoreError for one that is damaged, VersionError for a newer one."""
    if not path.is_file():
        return {}
    found, _ = read_values(path, OwnFloor, again=_AGAIN, restore=f"delete it, and {_AGAIN}")
    return {each.key: each for each in found}


def add_floors(path: Path, experiment: str, floors: Iterable[OwnFloor]) -> dict[FloorKey, OwnFloor]:
    """All that the file then has: of each the one with the most repeats. Where nothing is new it is not written."""
    before = read_floors(path)
    counts = {key: len(floor.repeats) for key, floor in before.items()}
    new = {each.key: each for each in floors if len(each.repeats) > counts.get(each.key, 0)}
    if new:
        write_values(path, OwnFloor, list((merged := before | new).values()), {"experiment": experiment})
        return merged
    return before


_AGAIN = "darkroom regress renders the repeats again"

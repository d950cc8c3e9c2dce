"""What results/ remembers of pictures that were rendered: how long each took, for how much work, and its size."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from darkroom.errors import DarkroomError
from darkroom.record.rows import Record, read_records
from darkroom.request.request import Request
from darkroom.request.speedups import numerics_in_full

MOST = 2_000  # pictures, the latest: enough to know a pace by
_PIXELS_PER_TOKEN = 16 * 16  # of every family


@dataclass(frozen=True)
class CostClass:
    """Pictures of one class take as long for as much work, on one device."""

    checkpoint: str  # as configured
    dtype: str
    quantized: str | None
    numerics: str

    @classmethod
    def of(cls, request: Request) -> "CostClass":
        base = request.base
        return cls(request.source.checkpoint, base.dtype, base.quantize_transformer, numerics_in_full(base))


@dataclass(frozen=True, kw_only=True)
class PastPicture:
    """One that was rendered, not taken from the store. Seconds of wall time, bytes."""

    cost_class: CostClass
    device: str  # the GPU's name, or cpu
    started_at: str  # ISO 8601, UTC
    work: float
    seconds_load: float  # 0 where the base model was loaded already
    seconds: float  # all else
    pixels: int
    size: int  # of its file


def work_of(request: Request) -> float:
    """Tokens that go through the transformer for a picture: what its seconds grow with."""
    sampling = request.sampling
    tokens = (1 + len(sampling.ctrl_images)) * sampling.width * sampling.height / _PIXELS_PER_TOKEN
    return (tokens + request.encoder.max_sequence_length) * passes_of(request)


def passes_of(request: Request) -> int:
    """How often the transformer runs for a picture."""
    return request.sampling.sample_steps * (2 if request.uses_neg else 1)


def alike(past: Sequence[PastPicture], cost_class: CostClass) -> list[PastPicture]:
    """Those of a class, of the device that rendered the latest of them."""
    same = [picture for picture in past if picture.cost_class == cost_class]
    device = max(same, key=lambda picture: picture.started_at).device if same else None
    return [picture for picture in same if picture.device == device]


def seconds_for_work(pictures: Sequence[PastPicture]) -> float:
    """Of wall time, for one of what `work_of` counts: the median, each picture counting by its work.

    No mean: the first picture of a size may have waited a minute for compiled blocks, and the next takes a moment.
    """
    by_pace = sorted(pictures, key=_pace)
    work = list(accumulate(picture.work for picture in by_pace))
    half = work[-1] / 2
    return (_pace(by_pace[bisect_left(work, half)]) + _pace(by_pace[bisect_right(work, half)])) / 2


def _pace(picture: PastPicture) -> float:
    return picture.seconds / picture.work


def past_pictures(manifests: Iterable[Path]) -> tuple[PastPicture, ...]:
    """Of the latest manifests, at most MOST. A manifest that cannot be read tells nothing: `darkroom list` names it."""
    found: list[PastPicture] = []
    for manifest in sorted(manifests, key=lambda path: -path.stat().st_mtime):
        if len(found) >= MOST:
            break
        try:
            records, _ = read_records(manifest)
        except DarkroomError:
            continue
        found += [_past(record) for record in records if record.cost]
    return tuple(found[:MOST])


def _past(record: Record) -> PastPicture:
    cost, environment, sampling = record.cost, record.environment, record.request.sampling
    assert cost is not None
    path = Path(record.image_path)
    return PastPicture(
        cost_class=CostClass.of(record.request),
        device=environment.gpu_name or environment.device,
        started_at=cost.started_at,
        work=work_of(record.request),
        seconds_load=cost.seconds_load,
        seconds=cost.seconds_switch + cost.seconds_denoise + cost.seconds_decode,
        pixels=sampling.width * sampling.height,
        size=path.stat().st_size if path.is_file() else 0,
    )

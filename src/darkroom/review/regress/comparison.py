"""A row of compare.parquet: what came of comparing one picture with its stored preview.

The columns are the fields of Comparison.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, fields, replace
from pathlib import Path

from darkroom.errors import StoreError
from darkroom.files.columns import SINCE
from darkroom.files.table_file import read_values, write_values
from darkroom.previews import maker_in_words
from darkroom.record.rows import Record
from darkroom.request.digest import digest_of
from darkroom.request.picture_key import PictureKey
from darkroom.review.pair.differences import Difference
from darkroom.review.pair.measures import Measures
from darkroom.review.regress.verdicts import NOT_RENDERED, NOT_REPRODUCIBLE, VERDICTS
from darkroom.thresholds import ModelThresholds

# How files of before tell a picture that is not rendered any more: "not reproducible" for this reason.
_ONCE_NOT_RENDERED = (NOT_REPRODUCIBLE.name, "the experiment renders no such picture")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One preview, or one picture without any; which picture of the experiment it is, as in previews.parquet."""

    experiment: str
    model: str
    lora: str
    prompts: str
    index: int
    axes: str
    # the render; None: there is none, and without a name the experiment renders no such picture
    image_name: str | None
    request_id: str | None
    image_path: str | None
    # the preview; None: there is none
    preview_path: str | None
    preview_origin: str | None  # as in previews.parquet, as is `preview_drawn_by`
    step: int | None  # of the training run
    prompt: str | None
    seed: int | None
    # what came of it
    verdict: str  # a name of VERDICTS
    reason: str | None  # why it is that one, where the measures do not say it
    note: str | None  # what to know when it differs
    # None where they were not taken; levels are those of 8 bits
    max_abs: int | None  # levels
    mean_abs: float | None  # levels
    psnr: float | None  # dB; None for equal pixels too
    ssim: float | None
    flip: float | None  # mean of the error map: 0 (equal) to 1
    encoding: str | None  # how the render was encoded before it was measured; None: measured as it is
    thresholds: str  # canonical JSON: `thresholds_text` of those that the measures were held against
    differs: tuple[Difference, ...]
    accepted_by: str | None
    accepted_at: str | None
    # how far its nudged repeats are from the render: its own floor; none where it is not asked for or not known
    repeats: tuple[Measures, ...] = field(default=(), metadata={SINCE: 2})
    preview_drawn_by: str | None = field(default=None, metadata={SINCE: 3})

    @property
    def key(self) -> PictureKey:
        """Which picture of the experiment it is."""
        return PictureKey(self.model, self.lora, self.prompts, self.index, self.axes)

    @property
    def preview_maker(self) -> str | None:
        """The program that drew the preview, in words; None without a preview."""
        return maker_in_words(self.preview_origin, self.preview_drawn_by) if self.preview_origin else None

    @property
    def measures(self) -> Measures | None:
        """None where they were not taken."""
        if self.max_abs is None:
            return None
        return Measures(**{each.name: getattr(self, each.name) for each in fields(Measures)})

    @property
    def held_against(self) -> ModelThresholds | None:
        """The thresholds that the measures were held against; None where there are no measures."""
        values = json.loads(self.thresholds)
        return ModelThresholds.from_json(values) if values else None


def thresholds_text(thresholds: ModelThresholds | None) -> str:
    """The column `thresholds`: canonical JSON, {} for none."""
    values = thresholds.to_json() if thresholds else {}
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def renders_digest(records: Iterable[Record]) -> str:
    """64 hex digits over the renders of a manifest: `renders` in the metadata says which were compared."""
    found = ([*astuple(each.key), each.request_id, each.image_path, each.image_sha256] for each in records)
    return digest_of(sorted(found))


def write_comparisons(path: Path, comparisons: Sequence[Comparison], metadata: Mapping[str, str]) -> None:
    """Write them as Parquet, whole or not at all."""
    write_values(path, Comparison, comparisons, metadata)


def read_comparisons(path: Path) -> tuple[tuple[Comparison, ...], dict[str, str]]:
    """The comparisons and the metadata that `write_comparisons` was given; errors as for `read_table`."""
    again = "run Snakemake with the target regress again"
    found, metadata = read_values(path, Comparison, again=again, restore=f"delete it and {again}")
    comparisons = tuple(
        replace(each, verdict=NOT_RENDERED.name, reason=None)
        if (each.verdict, each.reason) == _ONCE_NOT_RENDERED
        else each
        for each in found
    )
    if unknown := {each.verdict for each in comparisons} - VERDICTS.keys():
        raise StoreError(
            f"{path}: verdict: expected one of {', '.join(VERDICTS)}, got {', '.join(sorted(unknown))}: of another "
            f"version of Darkroom; delete it and {again}"
        )
    return comparisons, metadata

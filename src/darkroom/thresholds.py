"""The limits that a comparison asks renders to keep, as conf/compare/ has them and as they go from room to room.

results/<experiment>/thresholds.json     by model: plan writes what conf/ says, review compares by it

A picture's *own floor* is how far rounding alone can take it: what its nudged repeats are from its render. `own_floor`
asks for that, whatever the picture; the other limits are the same for all pictures of a model.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from darkroom.errors import StoreError
from darkroom.files.atomic import read_json, write_json
from darkroom.record.circumstances import Environment


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How far a render may be from its preview, by measure; None asks nothing."""

    psnr: float | None = field(default=None, metadata={"range": (0, 200)})  # dB, at least
    ssim: float | None = field(default=None, metadata={"range": (-1, 1)})  # at least
    flip: float | None = field(default=None, metadata={"range": (0, 1)})  # mean of FLIP's error map, at most
    mean_abs: float | None = field(default=None, metadata={"range": (0, 255)})  # levels of 255, at most
    max_abs: float | None = field(default=None, metadata={"range": (0, 255)})  # levels of 255, at most

    @property
    def asked(self) -> dict[str, float]:
        """Those that ask something, by measure."""
        values = {each.name: getattr(self, each.name) for each in fields(Limits)}
        return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Thresholds(Limits):
    """conf/compare/<model>.yaml, else default.yaml: the limits within which a render has not drifted."""

    # dB that a render may be farther from its preview than its nudged repeats say that rounding can take it
    own_floor: float | None = field(default=None, metadata={"range": (0, 20)})
    encoded: Limits | None = None  # in their place where the preview is lossy, whose encoding adds its own rounding
    learned: str | None = None  # when and from what, in files that an earlier `darkroom floor` wrote
    environment: Environment | None = None  # where it was learned


@dataclass(frozen=True, kw_only=True)
class ModelThresholds(Thresholds):
    """The thresholds of one model, and where they are written."""

    source: str  # a file of conf/compare/
    lossy: bool = False  # True: chosen for a lossy preview

    def of_previews(self, *, lossy: bool) -> Self:
        """What goes for lossy previews, or for the others; where nothing is said of lossy ones, it is the same."""
        if not (lossy and self.encoded):
            return replace(self, encoded=None)
        return replace(self, **asdict(self.encoded), encoded=None, lossy=True)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`; TypeError for a key that there is not."""
        encoded, environment = values.get("encoded"), values.get("environment")
        nested = {
            "encoded": Limits(**encoded) if encoded else None,
            "environment": Environment(**environment) if environment else None,
        }
        return cls(**{**values, **nested})


NO_THRESHOLDS = ModelThresholds(source="")  # of a model that was not rendered: nothing but equality will do


def write_thresholds(path: Path, thresholds: Mapping[str, ModelThresholds]) -> None:
    """Write those of an experiment, by model."""
    write_json(path, {model: each.to_json() for model, each in thresholds.items()})


def read_thresholds(path: Path) -> dict[str, ModelThresholds]:
    """What `write_thresholds` was given; StoreError when the file is missing, unreadable or of another version."""
    values = read_json(path)
    try:
        return {model: ModelThresholds.from_json(each) for model, each in values.items()}
    except (TypeError, AttributeError) as error:
        raise StoreError(f"{path}: of another version of Darkroom ({error}); run Snakemake again") from error

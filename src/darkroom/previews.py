"""The stored pictures that an experiment's renders should reproduce, as a Parquet file of the fields of Preview.

previews/<experiment>/previews.parquet     one row a picture; written by `darkroom import` and `darkroom accept`
previews/<experiment>/images/…             pictures that were accepted; those of a trainer stay where it left them
previews/<experiment>/floors.parquet       how far rounding alone takes its pictures (review/pair/own_floor.py)

`previews/` is no part of results/: it cannot be made again, and belongs under version control.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from darkroom import OWN_FOLDER
from darkroom.display import named
from darkroom.errors import StoreError
from darkroom.files.columns import SINCE
from darkroom.files.table_file import read_values, write_values
from darkroom.request.picture_key import PictureKey

PREVIEWS = Path("previews")  # relative to the working directory, beside conf/ and results/
TRAINER, DARKROOM = "ai-toolkit", "darkroom"  # values of `origin`


@dataclass(frozen=True)
class Replaced:
    """A picture that was the preview before, and who had accepted it (None: a trainer made it)."""

    path: str
    sha256: str
    accepted_by: str | None = None
    accepted_at: str | None = None


@dataclass(frozen=True, kw_only=True)
class Preview:
    """One stored picture, or one that is known to be lacking. Two may be previews of the same picture (after a resume).

    `then` is what is known of how it was made: of a trainer's what its configuration says, of an accepted one its whole
    embedded record. Keys are columns of the manifest.
    """

    # which picture of the experiment it is
    model: str
    lora: str
    prompts: str
    index: int
    axes: str = "{}"  # `request.picture_key.axes_text`
    # where it lies
    path: str | None  # relative to the folder with previews/ where it is below it; None: there never was one
    sha256: str | None = None  # of the file when it was taken in
    width: int | None = None
    height: int | None = None
    # how it was made
    origin: str  # TRAINER: in Pillow's default encoding | DARKROOM: as a render is written
    step: int | None = None
    made_at: str | None = None  # ISO 8601, UTC
    trainer: str | None = field(default=None, metadata={SINCE: 2})  # with its version, by the checkpoint; None: unknown
    drawn_by: str | None = field(default=None, metadata={SINCE: 3})  # in the place of `origin`; None: that drew it
    then: Mapping[str, Any]
    # why it is no measure
    reason: str | None = None  # why it cannot be reproduced; None if it can
    note: str | None = None  # what to know when it differs
    # who said that it is right
    accepted_by: str | None = None
    accepted_at: str | None = None  # ISO 8601, UTC
    accepted_because: str | None = None  # the verdict that it had
    replaced: tuple[Replaced, ...] = ()  # the latest first

    @property
    def key(self) -> PictureKey:
        """Which picture of the experiment it should be."""
        return PictureKey(self.model, self.lora, self.prompts, self.index, self.axes)

    @property
    def is_by_trainer(self) -> bool:
        """True where a trainer drew it, not another program that saves as it does."""
        return self.origin == TRAINER and self.drawn_by is None

    @property
    def maker_in_words(self) -> str:
        return maker_in_words(self.origin, self.drawn_by)


def maker_in_words(origin: str, drawn_by: str | None) -> str:
    """The program that drew a preview, for people."""
    return f"{drawn_by}, saved as {origin} saves" if drawn_by else origin


def previews_file(experiment: str) -> Path:
    """Where an experiment's previews are written down."""
    return PREVIEWS / experiment / "previews.parquet"


def floors_file(experiment: str) -> Path:
    """Where an experiment's own floors are kept: in the folder one works in, also where its previews are Darkroom's."""
    return PREVIEWS / experiment / "floors.parquet"


def stored_previews(*experiments: str) -> Path:
    """The list of the first of these experiments that has one; Darkroom's own lists come after those of the folder."""
    files = [previews_file(experiment) for experiment in experiments]
    return next((file for file in (*files, *map(OWN_FOLDER.joinpath, files)) if file.is_file()), files[0])


def no_previews(path: Path) -> StoreError:
    """What to say where an experiment has none."""
    return StoreError(
        f"{path}: there are no stored previews: `darkroom import aitk JOB` takes them from a training run, "
        "`darkroom accept EXPERIMENT` from what was rendered"
    )


def write_previews(path: Path, experiment: str, previews: Sequence[Preview]) -> None:
    """Write the list, whole or not at all."""
    write_values(path, Preview, previews, {"experiment": experiment})


def read_previews(path: Path) -> tuple[Preview, ...]:
    """What `write_previews` was given; StoreError when it is missing or damaged, VersionError when it is newer."""
    if not path.is_file():
        raise no_previews(path)
    previews, _ = read_values(path, Preview, again="import it again", restore="restore it, or import it again")
    seen: set[tuple[PictureKey, str | None]] = set()
    for preview in previews:
        if (place := (preview.key, preview.path)) in seen:
            raise StoreError(f"{path}: lists {preview.path or 'the lack of a picture'} twice for {preview.key}")
        seen.add(place)
    return tuple(_from_here(preview, path) for preview in previews)


def _from_here(preview: Preview, file: Path) -> Preview:
    """With a path from the working directory; Darkroom's own lists have them from Darkroom's folder."""
    if preview.path is None or not file.is_relative_to(OWN_FOLDER):
        return preview
    return replace(preview, path=str(OWN_FOLDER / preview.path))


def refuse_fast(numerics: Mapping[str, str]) -> None:
    """StoreError where a picture that others are to be compared with was rendered fast. `numerics`: by picture."""
    fast = [picture for picture, computed in numerics.items() if computed != "exact"]
    if fast:
        raise StoreError(f"numerics fast is never a baseline; render with numerics exact: {named(fast)}")

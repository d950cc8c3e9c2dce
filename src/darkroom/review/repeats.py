"""Own floors that a comparison lacks: the sheets of pictures to repeat, and what their nudged repeats tell.

results/<experiment>/floor/<model>/trials.json       which pictures of a model: written here, rendered by render
results/<experiment>/floor/<model>/outcomes.json     their repeats' files, which are measured here and kept as floors
results/<experiment>/closer/<model>/…                the same of pictures that these leave a little beyond their floor
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.display import printable
from darkroom.errors import ImageError
from darkroom.planned import Contents, PlannedCombination
from darkroom.previews import TRAINER, Preview, floors_file, read_previews
from darkroom.record.embedded import read_embedded_record
from darkroom.record.rows import Record, read_records
from darkroom.request.picture_key import PictureKey
from darkroom.request.request import Request
from darkroom.review.pair.measures import measure
from darkroom.review.pair.own_floor import (
    CLOSER_REPEATS,
    REPEATS,
    FloorKey,
    Floors,
    OwnFloor,
    add_floors,
    read_floors,
    told,
)
from darkroom.review.pair.picture_file import ENCODINGS, as_encoded, read_picture
from darkroom.review.regress.judged_pair import floor_asked_for, floor_in_doubt
from darkroom.store import ExperimentFolder, format_of
from darkroom.thresholds import read_thresholds
from darkroom.trials import CLOSER, FLOOR, OUTCOMES, Outcome, Outcomes, Trial, TrialSheet, sheet_of

_REPEATS = {FLOOR: REPEATS, CLOSER: CLOSER_REPEATS}  # by folder
_THREADS = 2  # as compare reads pictures
_Asked = Callable[[Record, Preview | None], FloorKey | None]  # the floor that a pair asks for


@dataclass(frozen=True)
class _Planned:
    """A request as it was planned, and how its picture is written."""

    request: Request
    label: str  # for people
    output: Mapping[str, Any]  # conf's section of that name


def write_sheet(folder: ExperimentFolder, model: str, previews: Path) -> int:
    """Write the sheet of a model's pictures that are not identical to their preview, and whose floor is not known.

    How many those are; none where conf/compare/ does not ask for own floors. Beside it that of pictures that a floor
    which is known leaves in doubt. Errors as for `compare`.
    """
    stored = read_previews(previews)
    _write_closer_sheet(folder, model, stored, Floors(read_floors(floors_file(folder.root.name))))
    asks = read_thresholds(folder.thresholds)[model].own_floor is not None
    return _write_sheet(folder, model, stored, floor_asked_for) if asks else _write(folder, model, ())


def write_closer_sheet(folder: ExperimentFolder, model: str, previews: Path) -> int:
    """Write the sheet of a model's pictures that few repeats leave a little beyond their floor; how many those are.

    Four repeats of a shaky picture can lie near each other by chance; so many more seldom do. What is rendered by now
    is learned first.
    """
    return _write_closer_sheet(folder, model, read_previews(previews), learn_floors(folder, previews))


def _write_closer_sheet(folder: ExperimentFolder, model: str, stored: Sequence[Preview], floors: Floors) -> int:
    margin = read_thresholds(folder.thresholds)[model].own_floor

    def asked(render: Record, preview: Preview | None) -> FloorKey | None:
        return None if margin is None else floor_in_doubt(render, preview, floors, margin)

    # Only of these pictures are files read: of a night with JPEG previews all of them differ before they are encoded.
    few = {key.request_id for key, floor in floors.known.items() if len(floor.repeats) < CLOSER_REPEATS}
    records = read_records(folder.manifest)[0]
    rows = [row for row in records if row.request.title.model == model and row.request_id in few]
    return _write(folder, model, list(_lacking(rows, stored, {}, asked).values()), CLOSER)


def write_sheets_ahead(folder: ExperimentFolder, previews: Path | None) -> dict[str, int]:
    """By model, the sheet of all its pictures whose floor is not known, and how many those are."""
    models = dict.fromkeys(each.names.model for each in Contents.read(folder.contents).combinations)
    stored = read_previews(previews) if previews else ()
    return {model: _write_sheet(folder, model, stored, _asked_ahead) for model in models}


def learn_floors(folder: ExperimentFolder, previews: Path | None, *, ahead: bool = False) -> Floors:
    """Keep what the rendered sheets of an experiment tell; all its floors, and why others are not known.

    A picture of which no repeats could be rendered, or read, has no floor.
    """
    stored = read_previews(previews) if previews else ()
    asked = _asked_ahead if ahead else floor_asked_for
    failed = {id_: said for look in _REPEATS for id_, said in _learn(folder, look, stored, asked).items()}
    return Floors(read_floors(floors_file(folder.root.name)), failed)


def _learn(folder: ExperimentFolder, look: str, stored: Sequence[Preview], asked: _Asked) -> dict[str, str]:
    """Keep what the rendered sheets of one look tell; by request_id, why some tell nothing."""
    file, count, outcomes = floors_file(folder.root.name), _REPEATS[look], _outcomes(folder, look)
    rows = [row for row in read_records(folder.manifest)[0] if row.request_id in outcomes]
    lacking = _lacking(rows, stored, read_floors(file), asked, count)
    with ThreadPoolExecutor(_THREADS) as threads:
        measured = list(threads.map(lambda key: _measured(key, outcomes[key.request_id], count), lacking))
    add_floors(file, folder.root.name, (floor for floor in measured if isinstance(floor, OwnFloor)))
    return {key.request_id: said for key, said in zip(lacking, measured, strict=True) if isinstance(said, str)}


def _outcomes(folder: ExperimentFolder, look: str) -> dict[str, Outcome]:
    """By request_id."""
    files = sorted((folder.root / look).glob(f"*/{OUTCOMES}"))
    return {outcome.request_id: outcome for path in files for outcome in Outcomes.read(path).outcomes}


def floors_told(folder: ExperimentFolder, floors: Floors) -> str:
    """A line a picture, the shakiest first: how far its nudged repeats are from it, or why that is not known."""
    rows = read_records(folder.manifest)[0]
    found = [(floor, row) for row in rows if (floor := floors.of(row, None) or _encoded(floors, row))]
    found.sort(key=lambda each: min(repeat.psnr or math.inf for repeat in each[0].repeats))
    lines = [f"{row.key}: {told(floor.repeats)}" for floor, row in found]
    known = {row.key for _, row in found}
    lines += [f"{row.key}: not known: {floors.lack(row)}" for row in rows if row.key not in known]
    return "\n".join(map(printable, lines)) + "\n"


def _encoded(floors: Floors, row: Record) -> OwnFloor | None:
    return next((floor for name in ENCODINGS.values() if (floor := floors.of(row, name))), None)


def _write_sheet(folder: ExperimentFolder, model: str, previews: Sequence[Preview], asked: _Asked) -> int:
    rows = [row for row in read_records(folder.manifest)[0] if row.request.title.model == model]
    lacking = _lacking(rows, previews, read_floors(floors_file(folder.root.name)), asked)
    return _write(folder, model, list(lacking.values()))


def _write(folder: ExperimentFolder, model: str, rows: Sequence[Record], look: str = FLOOR) -> int:
    """Write the sheet of these pictures, each once."""
    distinct = {row.request_id: row for row in rows}
    planned = _planned(folder, model) if distinct else {}
    wanted = [planned[name] for name in distinct if name in planned]
    TrialSheet(
        name=f"{folder.root.name} {model}",
        checkpoint=str(folder.checkpoint(model)),
        image_format=wanted[0].output["format"] if wanted else "png",
        quality=wanted[0].output["quality"] if wanted else 100,
        threads=rows[0].environment.threads if rows else 1,
        trials=tuple(Trial(each.label, each.request) for each in wanted),
        repeats=_REPEATS[look],
    ).write(sheet_of(folder.root, model, look))
    return len(wanted)


def _planned(folder: ExperimentFolder, model: str) -> dict[str, _Planned]:
    """By request_id."""
    names = [each.names for each in Contents.read(folder.contents).combinations if each.names.model == model]
    return {
        request.request_id: _Planned(request, f"{each.lora} {each.prompts} {request.title.image_name}", plan.output)
        for each in names
        for plan in [PlannedCombination.read(folder.requests(each))]
        for request in plan.requests
    }


def _lacking(
    rows: Sequence[Record],
    previews: Sequence[Preview],
    known: Mapping[FloorKey, OwnFloor],
    asked: _Asked,
    count: int = REPEATS,
) -> dict[FloorKey, Record]:
    """The floors that these pictures ask for and that are not known by so many repeats, each with its picture."""
    pairs = list(_pairs(rows, previews))
    with ThreadPoolExecutor(_THREADS) as threads:
        keys = list(threads.map(lambda pair: asked(*pair), pairs))
    enough = {key for key, floor in known.items() if len(floor.repeats) >= count}
    return {key: row for key, (row, _) in zip(keys, pairs, strict=True) if key is not None and key not in enough}


def _pairs(rows: Sequence[Record], previews: Sequence[Preview]) -> Iterator[tuple[Record, Preview | None]]:
    by_key: dict[PictureKey, list[Preview]] = {}
    for preview in previews:
        by_key.setdefault(preview.key, []).append(preview)
    for row in rows:
        own = by_key.get(row.key)
        yield from ((row, preview) for preview in own) if own else [(row, None)]


def _asked_ahead(render: Record, preview: Preview | None) -> FloorKey | None:
    """The floor that a pair would ask for if it were not identical; None for a fast render, which is never compared."""
    if render.request.base.numerics != "exact":
        return None
    by_trainer = preview.path if preview and preview.origin == TRAINER else None
    encoding = ENCODINGS.get(format_of(Path(by_trainer or "")).upper())
    return FloorKey.of(render, encoding if render.image_format == "png" else None)


def _measured(key: FloorKey, outcome: Outcome, count: int) -> OwnFloor | str:
    """How far a picture's repeats are from it; or why nobody can tell."""
    if outcome.image is None or len(outcome.repeats) != count:
        return outcome.error or f"expected {count} repeats, got {len(outcome.repeats)}"
    try:
        if read_embedded_record(Path(outcome.image)).environment != key.environment:
            return "they are of a render on another machine"
        render, *repeats = [read_picture(Path(path)).pixels for path in (outcome.image, *outcome.repeats)]
    except ImageError as error:
        return str(error)
    if key.encoding is not None:
        render, *repeats = [as_encoded(pixels, key.encoding) for pixels in (render, *repeats)]
    return OwnFloor(
        request_id=key.request_id,
        image_format=key.image_format,
        encoding=key.encoding,
        repeats=tuple(measure(render, pixels) for pixels in repeats),
        environment=key.environment,
    )

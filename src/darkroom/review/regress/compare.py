"""compare.parquet of an experiment: each picture beside its stored previews, with a verdict.

What is wrong with one picture is said in its row, and the others are compared.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path

from darkroom import __version__
from darkroom.errors import StoreError
from darkroom.files.columns import columns_of
from darkroom.previews import TRAINER, Preview, read_previews
from darkroom.record.circumstances import Environment
from darkroom.record.rows import Record, Row, read_rows
from darkroom.request.picture_key import PictureKey
from darkroom.review.page.training_step import step_of
from darkroom.review.pair.differences import differences
from darkroom.review.pair.measures import Measures
from darkroom.review.pair.own_floor import NO_FLOORS, Floors
from darkroom.review.regress.comparison import Comparison, renders_digest, thresholds_text, write_comparisons
from darkroom.review.regress.judged_pair import judge
from darkroom.thresholds import NO_THRESHOLDS, ModelThresholds, read_thresholds

_Pair = tuple[PictureKey, Row | None, Preview | None]  # one of the two at least

_THREADS = 2  # one decodes while FLIP, which has threads of its own, holds Python's lock; 200 bytes a pixel each


def compare(manifest: Path, previews: Path, thresholds: Path, output: Path, floors: Floors = NO_FLOORS) -> None:
    """Write compare.parquet: a row for each preview, and for each rendered picture that has none.

    `thresholds`: the experiment's thresholds.json; `floors`: its pictures' own, as far as they are known. Paths of
    previews start at the working directory. StoreError for files of ours that are missing or damaged; a picture that
    is becomes a row that says so.
    """
    rows, metadata = read_rows(manifest)
    by_model = read_thresholds(thresholds)
    if unknown := {row.request.title.model for row in rows} - by_model.keys():
        raise StoreError(f"{thresholds}: no thresholds for {', '.join(sorted(unknown))}; run Snakemake again")
    found = compare_all(metadata["experiment"], rows, read_previews(previews), by_model, floors)
    records = [row for row in rows if isinstance(row, Record)]
    renders = {"experiment": metadata["experiment"], "renders": renders_digest(records)}
    write_comparisons(output, found, renders | _versions(records))


def compare_all(
    experiment: str,
    rows: Sequence[Row],
    previews: Sequence[Preview],
    thresholds: Mapping[str, ModelThresholds],
    floors: Floors = NO_FLOORS,
) -> list[Comparison]:
    """Sorted by picture, then by the preview's step and place.

    Where the previews are a training run's, a LoRA that none of them is of is a checkpoint that came later.
    """
    rendered = {row.key: row for row in rows}
    known = {preview.key for preview in previews}
    loras = {preview.lora for preview in previews}
    of_a_training = any(preview.step is not None for preview in previews)
    pairs: list[_Pair] = [(each.key, rendered.get(each.key), each) for each in previews]
    pairs += [(key, row, None) for key, row in rendered.items() if key not in known]

    def compared(pair: _Pair) -> Comparison:
        limits = thresholds.get(pair[0].model, NO_THRESHOLDS)
        return _compared(experiment, pair, limits, floors, is_awaited=of_a_training and pair[0].lora not in loras)

    with ThreadPoolExecutor(_THREADS) as threads:
        found = list(threads.map(compared, pairs))
    return sorted(found, key=lambda each: (each.key, each.step or 0, each.preview_path or ""))


def _compared(
    experiment: str, pair: _Pair, thresholds: ModelThresholds, floors: Floors, *, is_awaited: bool
) -> Comparison:
    key, row, preview = pair
    judged = judge(row, preview, thresholds, floors, is_awaited=is_awaited)
    record = row if isinstance(row, Record) else None
    facts = row.row() if row else preview.then if preview else {}
    own = _notes(record, preview, thresholds) if record and preview else []
    return Comparison(
        experiment=experiment,
        **vars(key),
        image_name=row.request.title.image_name if row else None,
        request_id=record.request_id if record else None,
        image_path=record.image_path if record else None,
        preview_path=preview.path if preview else None,
        preview_origin=preview.origin if preview else None,
        preview_drawn_by=preview.drawn_by if preview else None,
        step=_step(row, preview),
        prompt=facts.get("prompt"),
        seed=facts.get("seed"),
        verdict=judged.verdict.name,
        reason=judged.reason,
        note="; ".join([*own, *judged.notes]) or None,
        **(asdict(judged.measures) if judged.measures else dict.fromkeys(f.name for f in fields(Measures))),
        encoding=judged.encoding,
        thresholds=thresholds_text(judged.thresholds),
        differs=differences(preview.then, record) if record and preview else (),
        accepted_by=preview.accepted_by if preview else None,
        accepted_at=preview.accepted_at if preview else None,
        repeats=judged.repeats,
    )


def _step(row: Row | None, preview: Preview | None) -> int | None:
    """The preview's, else that of the LoRA."""
    if row is None or (preview and preview.step is not None):
        return preview.step if preview else None
    return step_of(row.request)


def _notes(record: Record, preview: Preview, thresholds: ModelThresholds) -> list[str]:
    """What is known before any pixel is read."""
    notes = [preview.note] if preview.note else []
    if preview.origin == TRAINER:
        notes += [f"no trainer previews so: {reason}" for reason in record.request.remarks.not_comparable]
    here = asdict(record.environment)
    learned = thresholds.environment.known if thresholds.environment else {}
    if elsewhere := [f"{name} {value}" for name, value in learned.items() if value != here[name]]:
        notes.append(f"the floor was learned elsewhere: {', '.join(elsewhere)}")
    return notes


def _versions(records: Sequence[Record]) -> dict[str, str]:
    """What rendered, and what measured: metadata of compare.parquet."""
    environments = {record.environment for record in records}
    found = {name: {getattr(each, name) for each in environments} - {None} for name in columns_of(Environment)}
    rendered = {name: ", ".join(sorted(map(str, values))) for name, values in found.items()}
    packages = ("pillow", "scikit-image", "flip-evaluator")
    return {
        **{f"rendered_{name}": value for name, value in rendered.items() if value},
        "darkroom_version": __version__,
        **{f"{package.replace('-', '_')}_version": version(package) for package in packages},
    }

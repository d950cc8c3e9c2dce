"""Says why a picture is not its preview, as far as records tell; what trials tell is in trial_results.py.

Which recorded facts differ between then and now, and what was not recorded.
"""

import textwrap
from collections.abc import Iterator
from pathlib import Path

from darkroom.display import labelled, printable
from darkroom.errors import StoreError
from darkroom.files.columns import groups_of
from darkroom.named_picture import list_of_previews, previews_of, read_render
from darkroom.previews import TRAINER, Preview, floors_file
from darkroom.record.embedded import EmbeddedRecord
from darkroom.record.rows import Record
from darkroom.review.pair.differences import differences
from darkroom.review.pair.own_floor import Floors, read_floors, told
from darkroom.review.regress.judged_pair import judge
from darkroom.review.trial_results import trial_results
from darkroom.store import RESULTS, ExperimentFolder, format_of
from darkroom.thresholds import NO_THRESHOLDS, ModelThresholds, read_thresholds
from darkroom.trials import Outcomes

# Groups of what may explain a difference and is not recorded by everybody: weights, and the machine.
_NOT_BY_EVERYBODY = ("base", "encoder", "adapters", "environment")
# What decides how a machine rounds, by what it is; these come first.
_OF_THE_MACHINE = ("device", "gpu_name", "gpu_capability", "processor", "cpu_capability", "onednn_max_cpu_isa")
_WIDTH = 110  # characters of a line


def explain(
    image: Path, outcomes_file: Path | None = None, results: Path = RESULTS, preview: Path | None = None
) -> str:
    """Text for people on a render and its previews, or the one of them that `preview` picks.

    `outcomes_file`: of its trials, rendered. ImageError for a file that is no render, StoreError where there are no
    previews, or none that is `preview`.
    """
    record = read_render(image)
    experiment = record.request.title.experiment
    previews = previews_of(record, results, preview)
    if not previews:
        raise StoreError(
            f"{list_of_previews(record, results)}: has no preview of {record.request.title.image_name} ({record.key}); "
            f"`darkroom accept {experiment}` takes the render for one"
        )
    render = Record.found(record, image, format_of(image))
    thresholds = _thresholds(ExperimentFolder(results / experiment).thresholds, record.request.title.model)
    floors = Floors(read_floors(floors_file(experiment)))
    lines = [str(image), f"  {record.key}"]
    for each in previews:
        lines += ["", *_against(each, render, thresholds, floors)]
    if outcomes_file is not None:
        lines += ["", *_with_trials(outcomes_file, previews)]
    return "\n".join(map(printable, lines)) + "\n"


def _thresholds(file: Path, model: str) -> ModelThresholds:
    """Of the last run; none before the first one."""
    return (read_thresholds(file) if file.is_file() else {}).get(model, NO_THRESHOLDS)


def _against(preview: Preview, render: Record, thresholds: ModelThresholds, floors: Floors) -> Iterator[str]:
    """One preview: how close, what is recorded otherwise, what is not recorded."""
    step = "" if preview.step is None else f", step {preview.step}"
    made = "" if preview.made_at is None else f", made {preview.made_at}"
    yield f"against {preview.path or 'no picture'} ({_maker(preview)}{step}{made})"
    if preview.accepted_by:
        yield f"  accepted by {preview.accepted_by}, {preview.accepted_at}; it was: {preview.accepted_because}"
    judged = judge(render, preview, thresholds, floors)
    encoding = f"encoded as {judged.encoding}" if judged.encoding else None
    said = [str(each) for each in (judged.reason, judged.measures, encoding) if each]
    yield f"  {judged.verdict.name}: {', '.join(said)}"
    if judged.repeats:
        yield from _wrapped(f"its own floor: {told(judged.repeats)}")
    for note in (preview.note, *judged.notes):
        if note:
            yield from _wrapped(note)
    differing = sorted(differences(preview.then, render), key=lambda each: each.name not in _OF_THE_MACHINE)
    if any(each.name in _OF_THE_MACHINE for each in differing):
        yield from _wrapped("rendered on another machine, which rounds otherwise: a small distance may be that alone")
    yield f"  {'recorded otherwise:' if differing else 'nothing that is recorded of both differs'}"
    yield from (f"    {labelled(each.name, f'{each.then} → {each.now}')}" for each in differing)
    groups = groups_of(EmbeddedRecord)
    unknown = [name for group in _NOT_BY_EVERYBODY for name in groups[group] if name not in preview.then]
    if unknown:
        who = "the trainer does not record" if preview.is_by_trainer else "not recorded:"
        yield from _wrapped(f"{who} {', '.join(unknown)}")


def _maker(preview: Preview) -> str:
    """Darkroom, or the trainer with its version."""
    return preview.trainer or (f"{TRAINER} of unknown version" if preview.is_by_trainer else preview.maker_in_words)


def _with_trials(outcomes_file: Path, previews: list[Preview]) -> list[str]:
    outcomes = Outcomes.read(outcomes_file)
    preview = next((each for each in previews if each.path == outcomes.preview), None)
    if preview is None:
        raise StoreError(f"{outcomes.preview}: not a preview of this picture any more; run explain --try again")
    return trial_results(outcomes, preview)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ")

"""Says why a picture is not its preview, as far as records tell; what trials tell is in trial_results.py.

Which recorded facts differ between then and now, and what was not recorded.
"""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from darkroom.display import printable
from darkroom.embedded_record import previews_of, read_render
from darkroom.errors import StoreError
from darkroom.files.atomic import read_json
from darkroom.files.weight_file import sha256_of
from darkroom.previews import TRAINER, Preview, previews_file
from darkroom.review.pair.differences import differences
from darkroom.review.pair.measures import Measures
from darkroom.review.regress.judged_pair import find
from darkroom.review.trial_results import tried
from darkroom.store import RESULTS, ExperimentFolder
from darkroom.trials import Outcomes

# What may explain a difference, and is not recorded by everybody.
_FACTS = (
    *("checkpoint_digest", "text_encoder_digest", "dtype", "quantize_transformer", "quantize_text_encoder"),
    *("lora_merge", "schedule", "numerics"),
    *("device", "gpu_name", "attention_backend", "threads"),
    *("torch_version", "diffusers_version", "transformers_version"),
)
_NAME = 24  # characters of the column of names
_WIDTH = 110  # characters of a line


def explain(
    image: Path, outcomes_file: Path | None = None, results: Path = RESULTS, preview: Path | None = None
) -> str:
    """Text for people on a render and its previews, or the one of them that `preview` picks.

    `outcomes_file`: of its trials, rendered. ImageError for a file that is no render, StoreError where there are no
    previews, or none that is `preview`.
    """
    record = read_render(image)
    previews = previews_of(record, preview)
    if not previews:
        raise StoreError(
            f"{previews_file(record['experiment'])}: has no preview of {record['image_name']} "
            f"({record['model']} / {record['lora']} / {record['prompts']}); "
            f"`darkroom accept {record['experiment']}` takes the render for one"
        )
    row = {**record, "image_path": str(image), "image_sha256": sha256_of(image)}
    floor = _floor(ExperimentFolder(results / record["experiment"]).thresholds, record["model"])
    lines = [str(image), f"  {record['model']} / {record['lora']} / {record['prompts']}, picture {record['index']}"]
    for each in previews:
        lines += ["", *_against(each, row, floor)]
    if outcomes_file is not None:
        lines += ["", *_with_trials(outcomes_file, previews)]
    return "\n".join(map(printable, lines)) + "\n"


def _floor(thresholds: Path, model: str) -> Mapping[str, Any]:
    """Of the last run; none before the first one."""
    found: Mapping[str, Any] = read_json(thresholds).get(model, {}) if thresholds.is_file() else {}
    return found


def _against(preview: Preview, row: Mapping[str, Any], floor: Mapping[str, Any]) -> Iterator[str]:
    """One preview: how close, what is recorded otherwise, what is not recorded."""
    step = "" if preview.step is None else f", step {preview.step}"
    made = "" if preview.made_at is None else f", made {preview.made_at}"
    yield f"against {preview.path or 'no picture'} ({preview.origin}{step}{made})"
    if preview.accepted_by:
        yield f"  accepted by {preview.accepted_by}, {preview.accepted_at}; it was: {preview.accepted_because}"
    finding = find(row, preview, floor)
    measured = _measured(finding.measures) if finding.measures else None
    encoding = f"encoded as {finding.encoding}" if finding.encoding else None
    yield f"  {finding.verdict.name}: {', '.join(said for said in (finding.reason, measured, encoding) if said)}"
    for note in (preview.note, *finding.notes):
        if note:
            yield from _wrapped(note)
    differing = differences(preview.then, row)
    yield f"  {'recorded otherwise:' if differing else 'nothing that is recorded of both differs'}"
    yield from (f"    {each.name + ':':{_NAME}}{each.then} → {each.now}" for each in differing)
    unknown = [name for name in _FACTS if name not in preview.then]
    if unknown:
        who = "the trainer does not record" if preview.origin == TRAINER else "not recorded:"
        yield from _wrapped(f"{who} {', '.join(unknown)}")


def _with_trials(outcomes_file: Path, previews: list[Preview]) -> list[str]:
    outcomes = Outcomes.read(outcomes_file)
    preview = next((each for each in previews if each.path == outcomes.preview), None)
    if preview is None:
        raise StoreError(f"{outcomes.preview}: not a preview of this picture any more; run explain --try again")
    return tried(outcomes, preview)


def _measured(measures: Measures) -> str:
    if measures.psnr is None:
        return "every pixel is equal"
    return (
        f"PSNR {measures.psnr:.2f} dB, SSIM {measures.ssim:.4f}, FLIP {measures.flip:.4f}, "
        f"mean |Δ| {measures.mean_abs:.3f} and max |Δ| {measures.max_abs} of 255"
    )


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="    ")

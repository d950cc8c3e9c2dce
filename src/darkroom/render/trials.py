"""Renders a sheet of trials in this process: texts first, then pictures into a store, then their nudged repeats.

One that fails is reported with its reason, and the others are rendered. What the store has is not rendered again.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from PIL import Image

from darkroom.checkpoint import Checkpoint
from darkroom.errors import DarkroomError, WorkerError
from darkroom.files.atomic import atomic, link
from darkroom.files.weight_file import is_whole
from darkroom.render.device.mode import AUTO
from darkroom.render.families.sampling import generator
from darkroom.render.job import Destination, check_named_files
from darkroom.render.loop import Loop, Task, Unrendered, as_told
from darkroom.render.nudge import nudged_repeats
from darkroom.render.pipelines import Pipelines
from darkroom.render.progress import Progress, ProgressLine
from darkroom.render.texts import check_encoders, check_model, encode
from darkroom.request import Encoder, Request
from darkroom.store import ENDINGS, STORE, Store
from darkroom.trials import Outcome, Outcomes, Trial, TrialSheet

_SHOWN = re.compile(r"\d{2,}_.*\.(png|jpg|webp)")  # names of pictures beside the outcomes

# Our own errors, and how torch, diffusers, transformers and quanto refuse what nobody asked of this model before:
# shapes, dtypes and kernels (NotImplementedError and lack of memory are RuntimeErrors), values, a file or a library
# that is not there. Nothing else: an interrupt stops it all, and a KeyError or an AttributeError is our mistake.
_SURVIVED = (DarkroomError, RuntimeError, ValueError, TypeError, OSError, ImportError)


@dataclass(frozen=True)
class _Run:
    """One sheet on its way."""

    sheet: TrialSheet
    checkpoint: Checkpoint
    files: Store  # whose digests of weight files are known
    store: Store  # where embeddings and pictures go
    folder: Path  # where people look at the pictures
    offload: str
    failed: dict[str, str]  # by request_id

    def repeats(self, trial: Trial) -> list[Path]:
        """Files of its nudged repeats: for people and for measuring, in no store."""
        stem, numbers = self.destination(trial).shown.stem, range(1, self.sheet.repeats + 1)
        return [self.folder / "repeats" / f"{stem}_{number}.png" for number in numbers]

    def destination(self, trial: Trial) -> Destination:
        kind, quality = self.sheet.image_format, self.sheet.quality
        number = self.sheet.trials.index(trial)
        name = re.sub(r"[^\w.=-]+", "_", trial.factor)[:60].strip("_")
        return Destination(
            request_id=trial.request.request_id,
            stored=self.store.image(trial.request.request_id, kind, quality),
            shown=self.folder / f"{number:02d}_{name}.{ENDINGS[kind]}",
            image_format=kind,
            quality=quality,
            stored_latents=None,
            shown_latents=None,
            directory=Path.cwd(),
        )


def render_trials(sheet_file: Path, results: Path, store: Path | None = None, offload: str = AUTO) -> Path:
    """Render what `store` lacks, and write outcomes.json and links to the pictures beside the sheet; its path.

    `store`: a folder for embeddings and pictures, by default results/store. CheckpointError when the base model is
    not what it was when the experiment was planned.
    """
    # 1. What is asked for
    sheet, files = TrialSheet.read(sheet_file), Store(results / STORE)
    checkpoint = Checkpoint.read(Path(sheet.checkpoint))
    run = _Run(sheet, checkpoint, files, Store(store) if store else files, sheet_file.parent, offload, {})
    missing = [trial for trial in sheet.trials if run.destination(trial).stored_record() is None]
    # 2. Is it there, and still what it was?
    for component in checkpoint.rendering if missing else ():
        component.check_unchanged(files.sha256)
    for trial in missing:
        _note(run, [trial.request], _caught(partial(_check, trial.request, files)))
    # 3. Texts, then pictures
    torch.set_num_threads(sheet.threads)
    _encode(run, [trial.request for trial in missing if trial.request.request_id not in run.failed])
    pipelines = Pipelines()
    _render(run, [trial for trial in missing if trial.request.request_id not in run.failed], pipelines)
    # 4. The same as other machines might round it, where that is asked for
    _repeat(run, [trial for trial in sheet.trials if trial.request.request_id not in run.failed], pipelines)
    # 5. What came of it
    return _write(run)


def render_afresh(sheet_file: Path, results: Path, offload: str = AUTO) -> Path:
    """`render_trials` in a process of its own, with a store beside the sheet: nothing rendered elsewhere counts."""
    store = sheet_file.parent / "store"
    try:
        with ProcessPoolExecutor(max_workers=1, mp_context=get_context("spawn")) as process:
            return process.submit(render_trials, sheet_file, results, store, offload).result()
    except BrokenProcessPool as error:
        raise WorkerError(f"{sheet_file}: the process that rendered it ended; is there enough memory?") from error


def _check(request: Request, files: Store) -> None:
    """Before a base model is loaded for it: its files, and a GPU if its noise comes from one."""
    check_named_files([request], files.sha256)
    generator(request.sampling.seed, request.sampling.noise_device)


def _note(run: _Run, requests: Iterable[Request], errors: Iterable[DarkroomError]) -> None:
    for error in errors:
        run.failed.update({request.request_id: str(error) for request in requests})


def _caught(work: Callable[[], object]) -> list[DarkroomError]:
    """The error that `work` raises, or none: one of ours, or of a library."""
    try:
        work()
    except _SURVIVED as error:
        return [as_told(error)]
    return []


def _encode(run: _Run, requests: Iterable[Request]) -> None:
    """One text encoder after the other: those with the same settings at once."""
    groups: dict[Encoder, list[Request]] = {}
    for request in requests:
        groups.setdefault(request.encoder, []).append(request)
    for encoder, group in groups.items():
        paths = {run.store.embedding(r.encoder.embedding_id(text)): text for r in group for text in r.texts}
        missing = {path: text for path, text in paths.items() if not is_whole(path)}
        if missing:
            _note(run, group, _caught(partial(_encode_group, run, encoder, group, missing)))


def _encode_group(run: _Run, encoder: Encoder, group: Sequence[Request], texts: Mapping[Path, str]) -> None:
    check_encoders(run.checkpoint, run.files)
    embeds = {request.text.prompt_embeds for request in group if request.text.prompt_embeds}
    check_model(run.checkpoint, group[0].base, embeds)
    encode(encoder, run.checkpoint, texts, run.offload)


def _render(run: _Run, trials: list[Trial], pipelines: Pipelines) -> None:
    """Those on the base model that the first one needs before all others, in the sheet's order otherwise."""
    if not trials:
        return
    first, line = run.sheet.trials[0].request.base, ProgressLine()
    ordered = sorted(trials, key=lambda t: (t.request.base != first, str(t.request.base)))

    def report(done: int) -> None:
        what = ordered[done].factor if done < len(ordered) else "done"
        line.show(Progress(run.sheet.name, what, done, len(ordered), pipelines.pace.seconds_per_image))

    loop = Loop(
        pipelines=pipelines,
        checkpoint=run.checkpoint,
        store=run.store,
        offload=run.offload,
        survived=_SURVIVED,
    )
    try:
        outcomes = loop.render([Task(trial.request, run.destination(trial)) for trial in ordered], report)
    finally:
        line.close()
    for outcome in outcomes:
        if isinstance(outcome, Unrendered):
            _note(run, [outcome.task.request], [outcome.error])


def _repeat(run: _Run, trials: list[Trial], pipelines: Pipelines) -> None:
    """Each trial as often as the sheet says; without a record in the files, so that none is taken for the picture."""
    count, line = run.sheet.repeats, ProgressLine()
    if not count:
        return

    def repeat(request: Request, files: list[Path]) -> None:
        pictures = nudged_repeats(pipelines, run.checkpoint, run.store, request, count, offload=run.offload)
        for file, pixels in zip(files, pictures, strict=True):
            with atomic(file) as temporary:
                Image.fromarray(pixels, "RGB").save(temporary, "PNG")

    def report(done: int, what: str) -> None:
        pace = pipelines.pace.seconds_per_image
        line.show(Progress(f"{run.sheet.name}, repeats", what, done * count, len(trials) * count, pace))

    try:
        for done, trial in enumerate(trials):
            report(done, trial.factor)
            _note(run, [trial.request], _caught(partial(repeat, trial.request, run.repeats(trial))))
        report(len(trials), "done")
    finally:
        line.close()


def _write(run: _Run) -> Path:
    wanted = {run.destination(trial).shown for trial in run.sheet.trials}
    for file in run.folder.iterdir():
        if _SHOWN.fullmatch(file.name) and file not in wanted:
            file.unlink()  # of an earlier sheet
    outcomes = tuple(_outcome(run, trial) for trial in run.sheet.trials)
    path = run.folder / "outcomes.json"
    sheet = run.sheet
    Outcomes(outcomes=outcomes, not_tried=sheet.not_tried, image=sheet.image, preview=sheet.preview).write(path)
    return path


def _outcome(run: _Run, trial: Trial) -> Outcome:
    name, to = trial.request.request_id, run.destination(trial)
    outcome = Outcome(trial.factor, trial.change, name, is_baseline=trial.is_baseline)
    if name in run.failed:
        return replace(outcome, error=run.failed[name])
    link(to.stored, to.shown)
    return replace(outcome, image=str(to.shown), repeats=tuple(map(str, run.repeats(trial))))

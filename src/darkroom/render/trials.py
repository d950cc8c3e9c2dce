"""Renders a sheet of trials: texts first, then pictures into a store, then their nudged repeats.

One that fails is reported with its reason, and the others are rendered. What the store has is not rendered again.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from darkroom.checkpoint import Checkpoint
from darkroom.errors import DarkroomError, DeviceLostError, PictureError
from darkroom.files.atomic import atomic
from darkroom.files.content import is_intact
from darkroom.files.images.image_file import encode_image, without_record
from darkroom.record.embedded import EmbeddedRecord
from darkroom.render.attempts.ways_out import NONE, WaysOut
from darkroom.render.device.environment import environment_of
from darkroom.render.device.mode import AUTO
from darkroom.render.families.sampling import generator
from darkroom.render.job import check_named_files
from darkroom.render.loaded import Loaded
from darkroom.render.loop import Loop, Task, Unrendered, as_told
from darkroom.render.nudge import nudged_repeats
from darkroom.render.pipelines import Pipelines
from darkroom.render.progress import Progress
from darkroom.render.sheet_run import Report, SheetRun
from darkroom.render.texts import check_encoders, check_model, encode
from darkroom.request.parts import Encoder
from darkroom.request.request import Request
from darkroom.store import STORE, Store
from darkroom.trials import Trial, TrialSheet

# Our own errors, and how torch, diffusers and transformers refuse what nobody asked of this model before: shapes,
# dtypes and kernels (NotImplementedError and lack of memory are RuntimeErrors), values, a file or a library that is
# not there. Nothing else: an interrupt stops it all, as a lost device does, and a KeyError or an AttributeError
# is our mistake.
_SURVIVED = (DarkroomError, RuntimeError, ValueError, TypeError, OSError, ImportError)


def render_trials(
    sheet_file: Path,
    results: Path,
    store: Path | None = None,
    offload: str = AUTO,
    *,
    pipelines: Pipelines | None = None,
    report: Report = lambda progress: None,
    ways_out: WaysOut = NONE,
) -> Path:
    """Render what `store` lacks, and write outcomes.json and links to the pictures beside the sheet; its path.

    `store`: a folder for embeddings and pictures, by default results/store. CheckpointError when the base model is not
    what it was when the experiment was planned.
    """
    # 1. What is asked for
    sheet, files = TrialSheet.read(sheet_file), Store(results / STORE)
    run = SheetRun(
        sheet=sheet,
        checkpoint=Checkpoint.read(Path(sheet.checkpoint)),
        files=files,
        store=Store(store) if store else files,
        folder=sheet_file.parent,
        offload=offload,
        pipelines=pipelines or Pipelines(),
        report=report,
        ways_out=ways_out,
        failed={},
    )
    missing = [trial for trial in sheet.trials if run.destination(trial).stored_record() is None]
    # 2. Is it there, and still what it was?
    if missing or sheet.repeats:
        run.checkpoint.check_rendering(files.sha256)
    for trial in sheet.trials if sheet.repeats else missing:
        run.note([trial.request], _caught(partial(_check, trial.request, files)))
    with _threads(sheet.threads):
        # 3. Texts, then pictures
        _encode(run, [trial.request for trial in missing if trial.request.request_id not in run.failed])
        _render(run, [trial for trial in missing if trial.request.request_id not in run.failed])
        # 4. The same as other machines might round it, where that is asked for
        _repeat(run, [trial for trial in sheet.trials if trial.request.request_id not in run.failed])
    # 5. What came of it
    return run.write()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Have torch compute on so many within one operation; a worker's next job has its own number again."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check(request: Request, files: Store) -> None:
    """Before a base model is loaded for it: its files, and a GPU if its noise comes from one."""
    check_named_files([request], files.sha256)
    generator(request.sampling.seed, request.sampling.noise_device)


def _caught(work: Callable[[], object]) -> list[DarkroomError]:
    """The error that `work` raises, or none: one of ours, or of a library."""
    try:
        work()
    except DeviceLostError:
        raise
    except _SURVIVED as error:
        return [as_told(error)]
    return []


def _encode(run: SheetRun, requests: Iterable[Request]) -> None:
    """One text encoder after the other: those with the same settings at once."""
    groups: dict[Encoder, list[Request]] = {}
    for request in requests:
        groups.setdefault(request.encoder, []).append(request)
    for encoder, group in groups.items():
        paths = {run.store.embedding(r.encoder.embedding_id(text)): text for r in group for text in r.texts}
        missing = {path: text for path, text in paths.items() if not is_intact(path)}
        if missing:
            run.note(group, _caught(partial(_encode_group, run, encoder, group, missing)))


def _encode_group(run: SheetRun, encoder: Encoder, group: Sequence[Request], texts: Mapping[Path, str]) -> None:
    check_encoders(run.checkpoint, run.files)
    embeds = {request.text.prompt_embeds for request in group if request.text.prompt_embeds}
    check_model(run.checkpoint, group[0].base, embeds)
    encode(encoder, run.checkpoint, texts, run.offload, run.files)


def _render(run: SheetRun, trials: list[Trial]) -> None:
    """Those on the base model that the first one needs before all others, in the sheet's order otherwise."""
    if not trials:
        return
    first = run.sheet.trials[0].request.base
    ordered = sorted(trials, key=lambda t: (t.request.base != first, str(t.request.base)))

    def report(done: int) -> None:
        what = ordered[done].factor if done < len(ordered) else "done"
        run.report(Progress(run.sheet.name, what, done, len(ordered), run.pipelines.pace.seconds_per_image))

    loop = Loop(
        pipelines=run.pipelines,
        checkpoint=run.checkpoint,
        store=run.store,
        offload=run.offload,
        survived=_SURVIVED,
        confirm=partial(run.checkpoint.check_rendering, run.files.sha256),
        ways_out=run.ways_out,
    )
    for outcome in loop.render([Task(trial.request, run.destination(trial)) for trial in ordered], report):
        if isinstance(outcome, Unrendered):
            run.note([outcome.task.request], [outcome.error])


def _repeat(run: SheetRun, trials: list[Trial]) -> None:
    """Each trial as often as the sheet says."""
    count = run.sheet.repeats
    for done, trial in enumerate(trials if count else ()):
        run.ways_out.at_picture(trial.request)
        pace = run.pipelines.pace.seconds_per_image
        run.report(Progress(f"{run.sheet.name}, repeats", trial.factor, done * count, len(trials) * count, pace))
        run.note([trial.request], _caught(partial(_repeat_one, run, trial)))


def _repeat_one(run: SheetRun, trial: Trial) -> None:
    """Files of a trial's repeats, written as its picture is; without a record, so that none is taken for it.

    PictureError where the picture was rendered elsewhere: then its repeats would be off by more than their nudges.
    """
    request, to = trial.request, run.destination(trial)
    picture = to.stored_record()
    if picture is None:
        raise PictureError(f"{to.stored}: not the picture that its repeats are to be measured against")
    run.pipelines.with_base(run.checkpoint, request, partial(_check_environment, picture), offload=run.offload)
    made = nudged_repeats(
        run.pipelines,
        run.checkpoint,
        run.store,
        request,
        run.sheet.repeats,
        offload=run.offload,
        check=run.ways_out.at_step,
    )
    for file, pixels in zip(run.repeats(trial), made, strict=True):
        data = without_record(encode_image(pixels, picture.to_json(), to.image_format, to.quality))
        with atomic(file) as temporary:
            temporary.write_bytes(data)


def _check_environment(picture: EmbeddedRecord, loaded: Loaded) -> None:
    here, there = environment_of(loaded.base.device, loaded.base.dtype).known, picture.environment.known
    names = [name for name in there.keys() | here.keys() if there.get(name) != here.get(name)]
    if names:
        said = ", ".join(f"{name} {there.get(name, 'unknown')} there, {here.get(name)} here" for name in sorted(names))
        raise PictureError(f"the picture was rendered elsewhere ({said}); --fresh renders both here")

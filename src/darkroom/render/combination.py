"""Renders one combination: requests in, pictures into the store, records out. Knows no socket and no Snakemake.

What the store has is not rendered again; what it lacks is ordered so that weights change least.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from darkroom.errors import DarkroomError, PictureError, StoreError, raise_together
from darkroom.files.content import is_intact
from darkroom.files.weight_file import sha256_of
from darkroom.job_errors import JobError
from darkroom.record.circumstances import Cost
from darkroom.record.embedded import EmbeddedRecord
from darkroom.record.rows import Record, write_records
from darkroom.render.attempts.costs import note_cost, read_costs
from darkroom.render.attempts.ways_out import NONE, WaysOut
from darkroom.render.device.mode import Workload
from darkroom.render.job import Combination, Job, read_combination
from darkroom.render.loop import FoundInStore, Loop, Rendered, Task, Unrendered
from darkroom.render.pipelines import Pipelines
from darkroom.render.progress import Pace, Progress, images_elsewhere
from darkroom.render.writer import show
from darkroom.request.request import Request
from darkroom.written import Written, seen_in

_OURS = re.compile(r"\d{3,}_.*\.(png|jpg|webp|safetensors)")  # names that resolve gives to pictures and latents


def render_combination(
    job: Job, pipelines: Pipelines, report: Callable[[Progress], None], ways_out: WaysOut = NONE
) -> None:
    """Render what is missing and write the combination's records.

    `report` hears of each finished image.
    """
    # 1. What is asked for, and what of it the store has.
    combination = read_combination(job)
    kept = {
        request.request_id: record
        for request in combination.requests
        if (record := combination.destination(request).stored_record())
    }
    asked = {request.request_id: request for request in combination.requests}  # of equal ones, the last
    tasks = _tasks(combination, [request for name, request in asked.items() if name not in kept])
    _check_embeddings(combination, (task.request for task in tasks))
    # 2. What is there already, shown under this combination's names.
    digests: dict[Path, str] = {}  # of what is shown
    _show(combination, kept, digests)
    # 3. The rest, in the order in which weights change least.
    loop = _loop(combination, pipelines, ways_out)
    outcomes = loop.render(tasks, _counter(combination, len(tasks), pipelines.pace, report))
    digests |= {each.task.to.shown: each.image_sha256 for each in outcomes if isinstance(each, Rendered)}
    # 4. What others have rendered meanwhile, and what is equal to a rendered one, shown too; nothing else stays.
    made = {each.task.request.request_id: each.record for each in outcomes if isinstance(each, Rendered | FoundInStore)}
    _show(combination, made, digests)
    _remove_stale(combination)
    _raise_together(combination, [each for each in outcomes if isinstance(each, Unrendered)])
    # 5. Records, once every picture is on disk.
    # Of this attempt, of those before it, and of devices that have helped.
    costs = read_costs(combination.folder.costs(combination.names))
    took = [costs.get(each.request_id) if asked[each.request_id] is each else None for each in combination.requests]
    records = [
        _record(combination, request, (kept | made)[request.request_id], digests, cost)
        for request, cost in zip(combination.requests, took, strict=True)
    ]
    write_records(job.records, records, {"experiment": combination.folder.root.name})
    # 6. What all of it is now, for whoever looks later
    shown = seen_in(combination.folder.images(combination.names))
    written = Written(sha256_of(job.requests), job.records.stat().st_size, shown)
    written.write(combination.folder.written(combination.names))


def help_combination(job: Job, pipelines: Pipelines, ways_out: WaysOut = NONE) -> None:
    """Render pictures of a combination that another device has begun, from its end, until none is left."""
    combination = read_combination(job)
    asked = {request.request_id: request for request in combination.requests}
    missing = [each for each in asked.values() if not combination.destination(each).stored_record()]
    if not missing:
        return
    tasks, loop = _tasks(combination, missing)[::-1], _loop(combination, pipelines, ways_out)
    # Loaded before it is the turn of a picture, for which whoever has begun would wait at the end.
    pictures = frozenset(Workload.of(task.request) for task in tasks)
    pipelines.with_base(
        loop.checkpoint, tasks[0].request, lambda loaded: None, pictures, loop.offload, confirm=loop.confirm
    )
    loop.render(tasks, lambda done: None)


def _tasks(combination: Combination, missing: Iterable[Request]) -> list[Task]:
    """In the order in which weights change least."""
    return [Task(request, combination.destination(request)) for request in sorted(missing, key=_order)]


def _loop(combination: Combination, pipelines: Pipelines, ways_out: WaysOut) -> Loop:
    noted = combination.folder.costs(combination.names)
    return Loop(
        pipelines=pipelines,
        checkpoint=combination.checkpoint,
        store=combination.store,
        offload=combination.offload,
        survived=(PictureError,),
        confirm=partial(combination.checkpoint.check_rendering, combination.store.sha256),
        ways_out=ways_out,
        note=lambda task, cost: note_cost(noted, task.request.request_id, cost),
    )


def _check_embeddings(combination: Combination, requests: Iterable[Request]) -> None:
    """StoreError where some are missing or damaged: gone from then on, so that the next run knows what to encode."""
    wanted = {
        combination.store.embedding(request.encoder.embedding_id(text)): text
        for request in requests
        for text in request.texts
    }
    gone = {path: text for path, text in wanted.items() if not is_intact(path)}
    for path in gone:
        path.unlink(missing_ok=True)
    if gone:
        raise StoreError(
            f"{combination.store.root / 'embeddings'}: {len(gone)} of {len(wanted)} embeddings are missing or damaged, "
            f"the first for {next(iter(gone.values()))!r}; the next run encodes them again"
        )


def _raise_together(combination: Combination, failed: Sequence[Unrendered]) -> None:
    """The errors of pictures, each also left for the picture's own row of the manifest."""
    try:
        raise_together(each.error for each in failed)
    except DarkroomError as error:
        pictures = {each.task.request.request_id: str(each.error) for each in failed}
        JobError(str(error), pictures).write(combination.folder.log("render", *combination.names))
        raise


def _order(request: Request) -> tuple[Any, ...]:
    loras = [(lora.sha256, lora.network_multiplier) for lora in request.adapters.active]
    return (loras, request.sampling.width, request.sampling.height)


def _show(combination: Combination, stored: Mapping[str, EmbeddedRecord], digests: dict[Path, str]) -> None:
    """Show what of these pictures is not shown yet. `stored`: their records, by request_id."""
    for request in combination.requests:
        to, record = combination.destination(request), stored.get(request.request_id)
        if record and to.shown not in digests:
            digests[to.shown] = show(to, record, record.reused_for(request))


def _record(
    combination: Combination,
    request: Request,
    stored: EmbeddedRecord,
    digests: Mapping[Path, str],
    cost: Cost | None,
) -> Record:
    """The record of one request. `cost`: None where its picture was there, or is another request's too."""
    to = combination.destination(request)
    return Record(
        **vars(stored.reused_for(request)),
        image_path=str(to.shown),
        image_sha256=digests[to.shown],
        image_format=to.image_format,
        latents_path=str(to.shown_latents) if to.shown_latents else None,
        reused=cost is None,
        cost=cost,
    )


def _remove_stale(combination: Combination) -> None:
    """Take away the links of pictures that the combination no longer asks for; the store keeps them."""
    wanted = set()
    for request in combination.requests:
        to = combination.destination(request)
        wanted |= {to.shown, to.shown_latents}
    images = combination.folder.images(combination.names)
    for file in images.iterdir() if images.is_dir() else ():
        if _OURS.fullmatch(file.name) and file not in wanted:
            file.unlink()


def _counter(
    combination: Combination, to_render: int, pace: Pace, report: Callable[[Progress], None]
) -> Callable[[int], None]:
    """Reports so many of this job's images as rendered, on top of its others and those of the other combinations."""
    elsewhere, total = images_elsewhere(combination.folder, combination.names)
    before = elsewhere + len(combination.requests) - to_render
    experiment, title = combination.folder.root.name, " / ".join(combination.names)
    return lambda done: report(Progress(experiment, title, before + done, total, pace.seconds_per_image))

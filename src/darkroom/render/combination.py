"""Renders one combination: requests in, pictures into the store, records out. Knows no socket and no Snakemake.

What the store has is not rendered again; what it lacks is ordered so that weights change least.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from darkroom.errors import DarkroomError, PictureError, StoreError, raise_together
from darkroom.files.content import is_intact
from darkroom.files.weight_file import sha256_of
from darkroom.job_errors import JobError
from darkroom.record import EmbeddedRecord, Record, write_records
from darkroom.render.job import Combination, Job, read_combination
from darkroom.render.loop import Loop, Rendered, Task, Unrendered
from darkroom.render.pipelines import Pipelines
from darkroom.render.progress import Pace, Progress, images_elsewhere
from darkroom.render.writer import show
from darkroom.request import Request
from darkroom.store import Written, seen_in

_OURS = re.compile(r"\d{3,}_.*\.(png|jpg|webp|safetensors)")  # names that resolve gives to pictures and latents


def render_combination(
    job: Job, pipelines: Pipelines, report: Callable[[Progress], None], check: Callable[[], None] = lambda: None
) -> None:
    """Render what is missing and write the combination's records.

    `report` hears of each finished image; `check` is called after each denoising step and may raise to abandon the job.
    """
    # 1. What is asked for, and what of it the store has.
    combination = read_combination(job)
    kept = {
        request.request_id: record
        for request in combination.requests
        if (record := combination.destination(request).stored_record())
    }
    missing = {r.request_id: r for r in combination.requests if r.request_id not in kept}
    _check_embeddings(combination, missing.values())
    # 2. What is there already, shown under this combination's names.
    digests: dict[Path, str] = {}  # of what is shown
    for request in combination.requests:
        if stored := kept.get(request.request_id):
            to = combination.destination(request)
            digests[to.shown] = show(to, stored, stored.reused_for(request))
    # 3. The rest, in the order in which weights change least.
    loop = Loop(
        pipelines=pipelines,
        checkpoint=combination.checkpoint,
        store=combination.store,
        offload=combination.offload,
        survived=(PictureError,),
        confirm=partial(combination.checkpoint.check_rendering, combination.store.sha256),
        check=check,
    )
    tasks = [Task(request, combination.destination(request)) for request in sorted(missing.values(), key=_order)]
    outcomes = loop.render(tasks, _counter(combination, len(tasks), pipelines.pace, report))
    rendered = {each.task.request.request_id: each for each in outcomes if isinstance(each, Rendered)}
    digests |= {made.task.to.shown: made.image_sha256 for made in rendered.values()}
    # 4. The same pictures for requests that are equal to a rendered one; nothing else stays.
    for request in combination.requests:
        made = rendered.get(request.request_id)
        if made and made.task.request is not request:
            to = combination.destination(request)
            digests[to.shown] = show(to, made.record, made.record.reused_for(request))
    _remove_stale(combination)
    _raise_together(combination, [each for each in outcomes if isinstance(each, Unrendered)])
    # 5. Records, once every picture is on disk.
    records = [_record(combination, request, kept, rendered, digests) for request in combination.requests]
    write_records(job.records, records, {"experiment": combination.folder.root.name})
    # 6. What all of it is now, for whoever looks later
    shown = seen_in(combination.folder.images(combination.names))
    written = Written(sha256_of(job.requests), job.records.stat().st_size, shown)
    written.write(combination.folder.written(combination.names))


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


def _record(
    combination: Combination,
    request: Request,
    kept: dict[str, EmbeddedRecord],
    rendered: dict[str, Rendered],
    digests: dict[Path, str],
) -> Record:
    """The record of one request; of several with the same id one was rendered, the others reuse its picture."""
    to, made = combination.destination(request), rendered.get(request.request_id)
    fresh = made if made and made.task.request is request else None
    own = (made.record if made else kept[request.request_id]).reused_for(request)
    return Record(
        **vars(own),
        image_path=str(to.shown),
        image_sha256=digests[to.shown],
        image_format=to.image_format,
        latents_path=str(to.shown_latents) if to.shown_latents else None,
        reused=fresh is None,
        cost=fresh.cost if fresh else None,
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

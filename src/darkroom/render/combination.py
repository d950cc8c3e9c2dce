"""Renders one combination: requests in, pictures into the store, records out. Knows no socket and no Snakemake.

What the store has is not rendered again; what it lacks is ordered so that weights change least.
"""

import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from darkroom.errors import DarkroomError, ImageError, PictureError, StoreError, raise_together
from darkroom.files.image_file import read_record
from darkroom.files.weight_file import is_whole, sha256_of
from darkroom.record import Cost, Environment, Record, embedded_record, is_embedded_record, write_records
from darkroom.render.device.mode import Picture
from darkroom.render.job import Combination, Job, read_combination
from darkroom.render.picture import AdapterRead, lora_uses, make_picture
from darkroom.render.pipelines import Pipelines
from darkroom.render.progress import Progress, images_elsewhere
from darkroom.render.writer import Saved, Writer, show
from darkroom.request import Request

_OURS = re.compile(r"\d{3,}_.*\.(png|jpg|webp|safetensors)")  # names that resolve gives to pictures and latents


@dataclass(frozen=True)
class Rendered:
    """A picture that was made in this job and is being saved."""

    request: Request
    record: dict[str, Any]
    saved: Future[Saved]
    cost: dict[str, Any]  # Cost, but for seconds_save


def render_combination(
    job: Job, pipelines: Pipelines, report: Callable[[Progress], None], check: Callable[[], None] = lambda: None
) -> None:
    """Render what is missing and write the combination's records.

    `report` hears of each finished image; `check` is called after each denoising step and may raise to abandon the job.
    """
    # 1. What is asked for, and what of it the store has.
    combination = read_combination(job)
    kept = {request.request_id: record for request in combination.requests if (record := _stored(combination, request))}
    missing = {r.request_id: r for r in combination.requests if r.request_id not in kept}
    _check_embeddings(combination, missing.values())
    # 2. What is there already, shown under this combination's names.
    for request in combination.requests:
        if stored := kept.get(request.request_id):
            show(combination.destination(request), stored, _own_record(request, stored))
    progress = _Counter(combination, len(combination.requests) - len(missing), pipelines, report)
    # 3. The rest, in the order in which weights change least.
    rendered: dict[str, Rendered] = {}
    failed: list[DarkroomError] = []
    pictures = frozenset(map(Picture.of, missing.values()))
    with Writer() as writer:
        for request in sorted(missing.values(), key=_order):
            pipelines.pace.begin()
            try:
                rendered[request.request_id] = _render_one(combination, request, pictures, pipelines, writer, check)
            except PictureError as error:
                failed.append(error)
            pipelines.pace.count()
            progress.count()
    raise_together(failed)
    # 4. Records, once every picture is on disk.
    _remove_stale(combination)
    records = [_record(combination, request, kept, rendered) for request in combination.requests]
    write_records(job.records, [record.row() for record in records], {"experiment": combination.folder.root.name})


def _render_one(
    combination: Combination,
    request: Request,
    pictures: frozenset[Picture],
    pipelines: Pipelines,
    writer: Writer,
    check: Callable[[], None],
) -> Rendered:
    """`pictures`: all that the job will render, of which the largest decides where weights rest."""
    # 1. The picture; once more with less on the device if memory runs out.
    made = pipelines.with_base(
        combination.checkpoint,
        request,
        lambda loaded: make_picture(combination.store, request, loaded, check),
        pictures=pictures,
        offload=combination.offload,
    )
    # 2. The file, on the writer's thread
    record = embedded_record(request, made.environment, made.loras, made.sigmas)
    saved = writer.save(combination.destination(request), made.pixels, made.latents, record)
    return Rendered(request, record, saved, made.cost)


def _check_embeddings(combination: Combination, requests: Iterable[Request]) -> None:
    wanted = {text: request.embedding_id(text) for request in requests for text in request.texts}
    gone = [text for text, name in wanted.items() if not is_whole(combination.store.embedding(name))]
    if gone:
        raise StoreError(
            f"{combination.store.root / 'embeddings'}: {len(gone)} of {len(wanted)} embeddings are missing, the first "
            f"for {gone[0]!r}; the same Snakemake command with --forcerun encode brings them back"
        )


def _stored(combination: Combination, request: Request) -> dict[str, Any] | None:
    """The record of a picture that the store has whole, None where it has to be rendered."""
    to = combination.destination(request)
    if not to.stored.is_file() or (to.stored_latents and not is_whole(to.stored_latents)):
        return None
    try:
        record = read_record(to.stored)
    except ImageError:  # damaged after it was written: rendering it again mends it
        return None
    return record if is_embedded_record(record) and record["request_id"] == request.request_id else None


def _order(request: Request) -> tuple[Any, ...]:
    return ([(lora.sha256, lora.network_multiplier) for lora in request.active_loras], request.width, request.height)


def _record(
    combination: Combination, request: Request, kept: dict[str, dict[str, Any]], rendered: dict[str, Rendered]
) -> Record:
    """The record of one request; of several with the same id one was rendered, the others reuse its picture."""
    to = combination.destination(request)
    made = rendered.get(request.request_id)
    saved = made.saved.result() if made else None
    fresh = made is not None and made.request is request
    stored = made.record if made else kept[request.request_id]
    if made and not fresh:
        show(to, stored, _own_record(request, stored))
    return Record(
        request=request,
        environment=Environment.from_row(stored),
        loras=tuple(lora_uses(request, _formats(stored))),
        sigmas=tuple(stored["sigmas"]),
        image_path=str(to.shown),
        image_sha256=saved.image_sha256 if saved and fresh else sha256_of(to.shown),
        image_format=to.image_format,
        latents_path=str(to.shown_latents) if to.shown_latents else None,
        reused=not fresh,
        cost=_cost(made, saved) if made and saved and fresh else None,
    )


def _own_record(request: Request, stored: dict[str, Any]) -> dict[str, Any]:
    """This request's record for a picture that was rendered for another one with the same id."""
    uses = lora_uses(request, _formats(stored))
    return embedded_record(request, Environment.from_row(stored), uses, stored["sigmas"])


def _formats(stored: dict[str, Any]) -> dict[str, AdapterRead]:
    names = ("format", "matched_keys", "left_out_keys", "warning")
    return {use["sha256"]: tuple(use[name] for name in names) for use in stored["loras"]}


def _cost(made: Rendered, saved: Saved) -> Cost:
    return Cost(worker_pid=os.getpid(), seconds_save=saved.seconds, **made.cost)


def _remove_stale(combination: Combination) -> None:
    """Take away the links of pictures that the combination no longer asks for; the store keeps them."""
    wanted = set()
    for request in combination.requests:
        to = combination.destination(request)
        wanted |= {to.shown, to.shown_latents}
    images = combination.folder.images(*combination.names)
    for file in images.iterdir() if images.is_dir() else ():
        if _OURS.fullmatch(file.name) and file not in wanted:
            file.unlink()


class _Counter:
    """Counts one job's images: `here`, those it need not render, on top of what the other combinations have."""

    def __init__(
        self, combination: Combination, here: int, pipelines: Pipelines, report: Callable[[Progress], None]
    ) -> None:
        elsewhere, self._total = images_elsewhere(combination.folder, combination.names)
        self._done = elsewhere + here
        self._experiment, self._combination = combination.folder.root.name, " / ".join(combination.names)
        self._pipelines, self._report = pipelines, report
        self._tell()

    def count(self) -> None:
        self._done += 1
        self._tell()

    def _tell(self) -> None:
        pace = self._pipelines.pace.seconds_per_image
        self._report(Progress(self._experiment, self._combination, self._done, self._total, pace))

"""Renders one combination: requests in, pictures into the store, records out. Knows no socket and no Snakemake.

What the store has is not rendered again; what it lacks is ordered so that weights change least.
"""

import re
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

from darkroom.errors import DarkroomError, PictureError, StoreError, raise_together
from darkroom.files.weight_file import is_whole, sha256_of
from darkroom.record import Cost, EmbeddedRecord, LoraUse, Record, write_records
from darkroom.render.device.mode import Picture
from darkroom.render.job import Combination, Job, read_combination
from darkroom.render.picture import make_picture
from darkroom.render.pipelines import Pipelines
from darkroom.render.progress import Progress, images_elsewhere
from darkroom.render.writer import Saved, Writer, show
from darkroom.request import Request

_OURS = re.compile(r"\d{3,}_.*\.(png|jpg|webp|safetensors)")  # names that resolve gives to pictures and latents


@dataclass(frozen=True)
class Rendered:
    """A picture that was made in this job and is being saved."""

    request: Request
    record: EmbeddedRecord
    saved: Future[Saved]
    cost: Cost  # but for seconds_save


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
    write_records(job.records, records, {"experiment": combination.folder.root.name})


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
    saved = writer.save(combination.destination(request), made.pixels, made.latents, made.record)
    return Rendered(request, made.record, saved, made.cost)


def _check_embeddings(combination: Combination, requests: Iterable[Request]) -> None:
    wanted = {text: request.encoder.embedding_id(text) for request in requests for text in request.texts}
    gone = [text for text, name in wanted.items() if not is_whole(combination.store.embedding(name))]
    if gone:
        raise StoreError(
            f"{combination.store.root / 'embeddings'}: {len(gone)} of {len(wanted)} embeddings are missing, the first "
            f"for {gone[0]!r}; the same Snakemake command with --forcerun encode brings them back"
        )


def _order(request: Request) -> tuple[Any, ...]:
    loras = [(lora.sha256, lora.network_multiplier) for lora in request.adapters.active]
    return (loras, request.sampling.width, request.sampling.height)


def _record(
    combination: Combination, request: Request, kept: dict[str, EmbeddedRecord], rendered: dict[str, Rendered]
) -> Record:
    """The record of one request; of several with the same id one was rendered, the others reuse its picture."""
    to = combination.destination(request)
    made = rendered.get(request.request_id)
    saved = made.saved.result() if made else None
    fresh = made is not None and made.request is request
    stored = made.record if made else kept[request.request_id]
    own = _own_record(request, stored)
    if made and not fresh:
        show(to, stored, own)
    return Record(
        **vars(own),
        image_path=str(to.shown),
        image_sha256=saved.image_sha256 if saved and fresh else sha256_of(to.shown),
        image_format=to.image_format,
        latents_path=str(to.shown_latents) if to.shown_latents else None,
        reused=not fresh,
        cost=replace(made.cost, seconds_save=saved.seconds) if made and saved and fresh else None,
    )


def _own_record(request: Request, stored: EmbeddedRecord) -> EmbeddedRecord:
    """This request's record for a picture that was rendered for another one with the same id."""
    uses = {use.sha256: use for use in stored.loras}
    found = [(lora, uses.get(lora.sha256, LoraUse.of_none(lora))) for lora in request.adapters.loras]
    loras = [replace(use, path=lora.path, network_multiplier=lora.network_multiplier) for lora, use in found]
    return EmbeddedRecord.of(request, stored.environment, loras, stored.sigmas)


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

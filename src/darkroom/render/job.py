"""What a worker is asked to render, a combination or a sheet of trials, and where every file of it lies. No torch."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from darkroom.checkpoint import Checkpoint
from darkroom.errors import CheckpointError, ImageError, StoreError
from darkroom.files.content import is_intact, read_content
from darkroom.files.weight_file import is_whole, read_header
from darkroom.names import Names
from darkroom.planned import PlannedCombination
from darkroom.record.embedded import EmbeddedRecord, embedded_record_in
from darkroom.render.device.mode import AUTO
from darkroom.request.request import Request
from darkroom.store import ENDINGS, RESULTS, STORE, ExperimentFolder, Store
from darkroom.trials import TrialSheet

_MOMENT = 0.2  # seconds
TOKENS_CUT = "tokens_cut"  # key in an embedding's metadata: tokens of the text that were too many


@dataclass(frozen=True, kw_only=True)
class Job:
    """One combination to render. Relative paths count from `directory`, which is absolute."""

    directory: Path
    requests: Path
    checkpoint: Path
    records: Path
    results: Path
    store: Path  # what is there is not rendered again
    offload: str = AUTO  # of mode.WISHES: where weights rest between uses; changes no pixel
    latency: float = 0.0  # seconds in which what other machines have written is seen here

    @property
    def file(self) -> Path:
        """By which people know the job."""
        return self.requests

    def base(self) -> str | None:
        """What a run names the base model by, for whoever looks for a device that has it."""
        return str(self.checkpoint)


@dataclass(frozen=True, kw_only=True)
class Help(Job):
    """A combination that another device has begun: some of its pictures, and no records."""


@dataclass(frozen=True, kw_only=True)
class SheetJob:
    """A sheet of trials to render. Relative paths count from `directory`, which is absolute."""

    directory: Path
    sheet: Path
    results: Path
    store: Path  # what is there is not rendered again
    offload: str = AUTO

    @property
    def file(self) -> Path:
        return self.sheet

    def base(self) -> str | None:
        return TrialSheet.read(self.sheet).checkpoint

    @classmethod
    def here(cls, sheet: Path, offload: str, store: Path = RESULTS / STORE) -> Self:
        """Of a sheet in results/ of the working directory."""
        return cls(directory=Path.cwd(), sheet=sheet, results=RESULTS, store=store, offload=offload)


@dataclass(frozen=True, kw_only=True)
class EncodeJob:
    """One model's texts to encode. Relative paths count from `directory`, which is absolute."""

    directory: Path
    model: Path
    checkpoint: Path
    store: Path  # what is there is not encoded again
    offload: str = AUTO  # where the text encoder rests (mode.WISHES); changes no embedding

    @property
    def file(self) -> Path:
        return self.model

    def base(self) -> str | None:
        return None


@dataclass(frozen=True)
class Destination:
    """Where one picture goes: content in the store, and the links that a person opens."""

    request_id: str
    stored: Path
    shown: Path
    image_format: str
    quality: int
    stored_latents: Path | None  # None where latents are not asked for
    shown_latents: Path | None
    metadata: str = "full"  # conf's key of that name: what is shown; the store's picture has its whole record
    is_signed: bool = False  # what is shown; the store's picture is not
    directory: Path = Path()  # from which what is shown names the files below it

    def shown_record(self, own: EmbeddedRecord) -> EmbeddedRecord | None:
        """The record in what is shown; None where there is to be none."""
        if self.metadata == "none":
            return None
        return own.public if self.metadata == "public" else own.seen_from(self.directory)

    def stored_record(self) -> EmbeddedRecord | None:
        """The record of a picture that the store has whole, None where it has to be rendered.

        VersionError where a newer Darkroom rendered it: its record is not to be lost.
        """
        if not self.stored.is_file() or (self.stored_latents and not is_intact(self.stored_latents)):
            return None
        try:
            record = embedded_record_in(read_content(self.stored), self.stored)
        except (StoreError, ImageError):  # damaged after it was written: rendering it again mends it
            return None
        return record if record.request_id == self.request_id else None


@dataclass(frozen=True)
class Combination:
    """A render job, read."""

    directory: Path  # Job.directory
    names: Names
    requests: tuple[Request, ...]
    checkpoint: Checkpoint
    output: Mapping[str, Any]  # conf's output section: format, quality, save_latents, metadata, provenance
    folder: ExperimentFolder
    store: Store
    offload: str  # Job.offload

    def destination(self, request: Request) -> Destination:
        request_id, images = request.request_id, self.folder.images(self.names)
        image_format, quality, latents = (self.output[key] for key in ("format", "quality", "save_latents"))
        return Destination(
            request_id=request_id,
            stored=self.store.image(request_id, image_format, quality),
            shown=images / f"{request.title.image_name}.{ENDINGS[image_format]}",
            image_format=image_format,
            quality=quality,
            stored_latents=self.store.latents(request_id) if latents else None,
            shown_latents=images / f"{request.title.image_name}.safetensors" if latents else None,
            metadata=self.output["metadata"],
            is_signed=self.output["provenance"] == "c2pa",
            directory=self.directory,
        )


def read_combination(job: Job) -> Combination:
    """The job's files, read; CheckpointError or StoreError when files changed since the plan was made."""
    planned, store = PlannedCombination.read(job.requests), Store(job.store)
    await_files(list(_embeddings(planned, store)), job.latency)
    first = planned.requests[0].title
    combination = Combination(
        directory=job.directory,
        names=first.names,
        requests=tuple(_noting_cuts(request, store) for request in planned.requests),
        checkpoint=Checkpoint.read(job.checkpoint),
        output=planned.output,
        folder=ExperimentFolder(job.results / first.experiment),
        store=store,
        offload=job.offload,
    )
    _check_unchanged(combination)
    return combination


def pictures_of(requests: Path, store: Store) -> Iterator[Path]:
    """Where the store has a combination's pictures, or will have them; StoreError for what is no file of requests."""
    planned = PlannedCombination.read(requests)
    for request in planned.requests:
        yield store.image(request.request_id, planned.output["format"], planned.output["quality"])


def _embeddings(planned: PlannedCombination, store: Store) -> Iterator[Path]:
    """Those that rendering will need."""
    image_format, quality = planned.output["format"], planned.output["quality"]
    for request in planned.requests:
        if not store.image(request.request_id, image_format, quality).is_file():
            yield from (store.embedding(request.encoder.embedding_id(text)) for text in request.texts)


def await_files(paths: Collection[Path], seconds: float) -> None:
    """Give files that another machine has written the time to be seen here; they may be missing all the same."""
    ends = time.monotonic() + seconds
    while not all(path.is_file() for path in paths) and time.monotonic() < ends:
        time.sleep(_MOMENT)
        for folder in {path.parent for path in paths if path.parent.is_dir()}:
            list(folder.iterdir())  # so that a network's file system asks its server again


def _noting_cuts(request: Request, store: Store) -> Request:
    """The request with a warning for each text of which the text encoder saw the beginning only."""
    paths = {text: store.embedding(request.encoder.embedding_id(text)) for text in request.texts}
    cuts = {
        text: int(read_header(path).metadata.get(TOKENS_CUT, "0")) for text, path in paths.items() if is_whole(path)
    }
    longest = request.encoder.max_sequence_length
    notes = [
        f"the last {cut} tokens have no effect, max_sequence_length is {longest}: …{text[-40:]!r}"
        for text, cut in cuts.items()
        if cut
    ]
    return request.changed(warnings=(*request.remarks.warnings, *notes))


def _check_unchanged(combination: Combination) -> None:
    """Ids were made from digests: a picture of other weights must not be stored under them."""
    checkpoint, sha256 = combination.checkpoint, combination.store.sha256
    if combination.requests[0].base.checkpoint_digest != checkpoint.digest:
        raise CheckpointError(f"{checkpoint.name}: planned with other files than the checkpoint's; run Snakemake again")
    checkpoint.check_rendering(sha256)
    check_named_files(combination.requests, sha256)


def check_named_files(requests: Iterable[Request], sha256: Callable[[Path], str]) -> None:
    """StoreError where an adapter, a reference image or an encoded prompt is not the file that was planned."""
    for path, planned in {named for request in requests for named in _named_files(request)}:
        if not Path(path).is_file() or sha256(Path(path)) != planned:
            raise StoreError(f"{path}: changed or gone after the plan was made; run Snakemake again")


def _named_files(request: Request) -> Iterator[tuple[str, str | None]]:
    """Path and planned digest of each file that conf/ names for a request."""
    yield from ((lora.path, lora.sha256) for lora in request.adapters.loras)
    yield from ((image.path, image.sha256) for image in request.sampling.ctrl_images)
    if request.text.prompt_embeds:
        yield request.text.prompt_embeds, request.text.prompt_embeds_sha256

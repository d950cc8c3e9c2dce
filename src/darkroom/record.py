"""What was done for one image: the record that a picture carries, and with its cost the row of the manifest.

The fields of Record are the columns of the manifest; a picture that is not there has a row too (`Failure`). Rows
travel in Parquet files (`write_records`, `read_rows`), and without what a second run would change inside the picture
(`EmbeddedRecord.to_json`, `read_embedded_record`).
PIL is imported by the function that needs it: importing this file is cheap.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Self

from darkroom.errors import ImageError
from darkroom.files.columns import GROUP, MAY_BE_NULL, SINCE, columns_of, fault, row_of, value_of, version_of
from darkroom.files.table_file import FORMAT, UNVERSIONED, check_version, read_table, read_values, write_values
from darkroom.request import Lora, Request

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, order=True)
class PictureKey:
    """Which picture of an experiment: what its renders and its stored previews have in common."""

    model: str
    lora: str
    prompts: str
    index: int
    axes: str  # `axes_text`

    @classmethod
    def of(cls, request: Request) -> Self:
        title = request.title
        return cls(*title.names, title.index, axes_text(title.axes))

    def __str__(self) -> str:
        axes = "" if self.axes == "{}" else f" {self.axes}"
        return f"{self.model} / {self.lora} / {self.prompts}, picture {self.index}{axes}"


def axes_text(axes: Iterable[tuple[str, Any]]) -> str:
    """Further axes of the matrix, as canonical JSON: {"seed":1}."""
    return json.dumps(dict(axes), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class Environment:
    """Where an image was rendered and with what. `threads`: torch's threads within one operation.

    Of a CPU: its model, the instructions that torch's own kernels use, and those that oneDNN is held to, if it is. Of a
    GPU: its compute capability (9.0), and versions. None for what is not there or not known.
    """

    device: str
    gpu_name: str | None  # None on a CPU
    attention_backend: str
    threads: int
    torch_version: str
    diffusers_version: str
    transformers_version: str
    darkroom_version: str
    processor: str | None = field(default=None, metadata={SINCE: 3})
    cpu_capability: str | None = field(default=None, metadata={SINCE: 3})
    onednn_max_cpu_isa: str | None = field(default=None, metadata={SINCE: 3})
    gpu_capability: str | None = field(default=None, metadata={SINCE: 3})
    driver_version: str | None = field(default=None, metadata={SINCE: 3})
    cuda_version: str | None = field(default=None, metadata={SINCE: 3})
    cudnn_version: str | None = field(default=None, metadata={SINCE: 3})

    @property
    def known(self) -> dict[str, str | int]:
        """By column, without what there is none of."""
        return {name: value for name, value in row_of(self).items() if value is not None}


@dataclass(frozen=True)
class LoraUse:
    """One LoRA or LoKr file as it was applied. `format`: what is in it; `matched_keys`: those of its keys applied.

    `left_out_keys` is 0 but for an adapter of a kindred base, which `warning` then says it is. `tool`: whose names its
    keys are, in words. `dead`: a sentence on a file that changes nothing. `trainer`: who trained it, with the version,
    by its header; `step`: of that training, by its header too. None where that is not known.
    """

    path: str
    sha256: str
    network_multiplier: float
    format: str
    matched_keys: int
    left_out_keys: int = 0
    warning: str | None = None
    tool: str = field(default="", metadata={SINCE: 2})
    dead: str | None = field(default=None, metadata={SINCE: 2})
    trainer: str | None = field(default=None, metadata={SINCE: 4})
    step: int | None = field(default=None, metadata={SINCE: 6})

    @classmethod
    def of_none(cls, lora: Lora) -> Self:
        """A file at multiplier 0, which is never opened."""
        return cls(lora.path, lora.sha256, lora.network_multiplier, "not applied", 0, step=lora.step)

    def of_file(self, lora: Lora) -> Self:
        """The use of a file with the same content, as another request names it; in sentences too."""
        warning, dead = (said and said.replace(self.path, lora.path) for said in (self.warning, self.dead))
        return replace(
            self,
            path=lora.path,
            network_multiplier=lora.network_multiplier,
            warning=warning,
            dead=dead,
            step=lora.step,
        )


@dataclass(frozen=True)
class Cost:
    """What one rendered image took, and on which machine. Seconds of wall time; `started_at` in ISO 8601, UTC.

    `switched_from`: where the base's own weights rested, from which those under merged adapters were made anew.
    """

    worker_pid: int
    base_load_id: str  # new for each load of a base model
    seconds_load: float
    seconds_switch: float
    seconds_denoise: float
    seconds_decode: float
    seconds_save: float | None  # None until it is saved
    peak_memory_bytes: int | None
    memory_mode: str  # resident | model | block: see render/device/mode.py
    memory_plan: str  # why, with the estimate, and what ran out before
    started_at: str
    switched_from: str | None = field(default=None, metadata={SINCE: 4})  # device | pinned | file; None: as they were
    host: str | None = field(default=None, metadata={SINCE: 5})


_OF_A_PICTURE = {MAY_BE_NULL: True}  # where there is none, in a Failure's row


@dataclass(frozen=True)
class EmbeddedRecord:
    """What a picture carries: nothing that a second run of the same request would change."""

    request: Request  # with the warnings, and the reasons for no comparison, that came of rendering it
    request_id: str = field(metadata={GROUP: "title"})  # of the Darkroom that rendered it
    environment: Environment = field(metadata=_OF_A_PICTURE)
    loras: tuple[LoraUse, ...]  # in place of the request's
    sigmas: tuple[float, ...] = field(metadata={GROUP: "sampling", **_OF_A_PICTURE})

    @classmethod
    def of(
        cls, request: Request, environment: Environment, loras: Sequence[LoraUse], sigmas: Sequence[float]
    ) -> EmbeddedRecord:
        """The record of a request as it was rendered."""
        reasons = (f"{lora.path} is an adapter of another base" for lora in loras if lora.warning)
        warnings = (said for lora in loras for said in (lora.warning, lora.dead) if said)
        noted = request.changed(
            not_comparable=(*request.remarks.not_comparable, *reasons),
            warnings=(*request.remarks.warnings, *warnings),
        )
        return cls(noted, request.request_id, environment, tuple(loras), tuple(sigmas))

    @property
    def key(self) -> PictureKey:
        """Which picture of the experiment it is."""
        return PictureKey.of(self.request)

    def reused_for(self, request: Request) -> EmbeddedRecord:
        """The record of the same picture for another request with the same id."""
        uses = {use.sha256: use for use in self.loras if use.network_multiplier != 0}
        loras = [
            uses[lora.sha256].of_file(lora) if lora in request.adapters.active else LoraUse.of_none(lora)
            for lora in request.adapters.loras
        ]
        return EmbeddedRecord.of(request, self.environment, loras, self.sigmas)

    @property
    def public(self) -> Self:
        """The same for people elsewhere: every file by its name alone, in sentences too. Ids and digests stay."""
        return self._renamed(lambda path: PurePath(path).name)

    def seen_from(self, folder: PurePath) -> Self:
        """The same with files below a folder by their paths in it, as conf/ may name them."""

        def name(path: str) -> str:
            return str(PurePath(path).relative_to(folder)) if PurePath(path).is_relative_to(folder) else path

        return self._renamed(name)

    def _renamed(self, name: Callable[[str], str]) -> Self:
        """Every file otherwise, in sentences too; a repository of the hub, whose commit is known, as it is."""
        request, source = self.request, self.request.source
        embeds, images = request.text.prompt_embeds, request.sampling.ctrl_images
        files = [*(use.path for use in self.loras), *(lora.path for lora in request.adapters.loras)]
        files += [*(image.path for image in images), *([embeds] if embeds else [])]

        def said(text: str) -> str:
            for path in sorted(files, key=len, reverse=True):
                text = text.replace(path, name(path))
            return text

        changed = request.changed(
            checkpoint=source.checkpoint if source.checkpoint_revision else name(source.checkpoint),
            text_encoder=" + ".join(map(name, source.text_encoder.split(" + "))),
            training_adapter=name(source.training_adapter) if source.training_adapter else None,
            prompt_embeds=name(embeds) if embeds else None,
            ctrl_images=tuple(replace(image, path=name(image.path)) for image in images),
            loras=tuple(replace(lora, path=name(lora.path)) for lora in request.adapters.loras),
            not_comparable=tuple(map(said, request.remarks.not_comparable)),
            warnings=tuple(map(said, request.remarks.warnings)),
        )
        loras = tuple(
            replace(
                use,
                path=name(use.path),
                warning=said(use.warning) if use.warning else None,
                dead=said(use.dead) if use.dead else None,
            )
            for use in self.loras
        )
        return replace(self, request=changed, loras=loras)

    def embedded_row(self) -> dict[str, Any]:
        """Plain values by column, of what the picture carries."""
        return row_of(self, EmbeddedRecord)

    def to_json(self) -> dict[str, Any]:
        """What goes into the picture: plain values, and the version of their columns."""
        return {FORMAT: version_of(EmbeddedRecord), **self.embedded_row()}


_FILE = {GROUP: "file", **_OF_A_PICTURE}
DONE, FAILED, NOT_RENDERED = "done", "failed", "not rendered"  # values of `status`; the last: the run ended before


@dataclass(frozen=True)
class Record(EmbeddedRecord):
    """Request, picture, circumstances and cost of one image; `cost` is None when the image came from the store."""

    image_path: str = field(metadata=_FILE)
    image_sha256: str = field(metadata=_FILE)
    image_format: str = field(metadata=_FILE)
    reused: bool = field(metadata=_FILE)
    cost: Cost | None
    latents_path: str | None = field(default=None, metadata=_FILE)
    status: str = field(default=DONE, metadata={GROUP: "file"})
    error: str | None = field(default=None, metadata={GROUP: "file", SINCE: 2})  # why there is no picture

    @property
    def embedded(self) -> EmbeddedRecord:
        """What the picture carries, or would."""
        return EmbeddedRecord(**{each.name: getattr(self, each.name) for each in fields(EmbeddedRecord)})

    def row(self) -> dict[str, Any]:
        """One row of the manifest: plain values by column."""
        return row_of(self, Record)


@dataclass(frozen=True)
class Failure:
    """A picture that is not there, and why: a row of the manifest whose other columns are null."""

    request: Request  # its files without digests where it was not planned
    request_id: str
    loras: tuple[LoraUse, ...]  # as far as they are known
    error: str
    status: str = FAILED

    @classmethod
    def of(cls, request: Request, error: str, status: str = FAILED) -> Self:
        return cls(request, request.request_id, tuple(map(LoraUse.of_none, request.adapters.loras)), error, status)

    @property
    def key(self) -> PictureKey:
        """Which picture of the experiment it is."""
        return PictureKey.of(self.request)

    def row(self) -> dict[str, Any]:
        """One row of the manifest: plain values by column."""
        return {**dict.fromkeys(columns_of(Record)), **row_of(self)}


Row = Record | Failure


def read_embedded_record(path: Path) -> EmbeddedRecord:
    """The record in a picture, whichever version of Darkroom put it there.

    ImageError where it is no whole picture, NoRecordError where it holds none of ours, VersionError where a newer
    version wrote it.
    """
    from darkroom.files.picture import read_bytes

    return embedded_record_in(read_bytes(path), path)


def embedded_record_in(content: bytes, path: Path) -> EmbeddedRecord:
    """The same of a file's bytes, which were found at `path`."""
    from darkroom.files.image_file import record_in

    values, again = record_in(content, path), "render it again"
    if not isinstance(version := values.get(FORMAT, UNVERSIONED), int):
        raise ImageError(f"{path}: its record: expected a number for {FORMAT}, got {version!r}; {again}")
    check_version(path, version, version_of(EmbeddedRecord), again)
    if said := fault(EmbeddedRecord, values.keys() - {FORMAT}, version):
        raise ImageError(f"{path}: its record is not one of Darkroom ({said}); {again}")
    try:
        return value_of(EmbeddedRecord, values)
    except ValueError as error:
        raise ImageError(f"{path}: its record: {error}; {again}") from error


def write_records(path: Path, records: Sequence[Row], metadata: Mapping[str, str]) -> None:
    """Write them as Parquet, whole or not at all."""
    write_values(path, Record, records, metadata)


def read_rows(path: Path) -> tuple[tuple[Row, ...], dict[str, str]]:
    """What `write_records` was given, and the metadata; errors as for `read_table`."""
    rows: tuple[tuple[Any, ...], dict[str, str]] = read_values(
        path, Record, again=_AGAIN, restore=_RESTORE, kind=_kind_of
    )
    return rows


def read_records(path: Path) -> tuple[tuple[Record, ...], dict[str, str]]:
    """`read_rows`, of the pictures that there are."""
    rows, metadata = read_rows(path)
    return tuple(row for row in rows if isinstance(row, Record)), metadata


def read_record_table(path: Path) -> pa.Table:
    """A file of records as an Arrow table; errors as for `read_table`."""
    return read_table(path, Record, again=_AGAIN, restore=_RESTORE, kind=_kind_of)


def _kind_of(row: Mapping[str, Any]) -> type[Row]:
    return Record if row.get("status", DONE) == DONE else Failure


_AGAIN, _RESTORE = "run Snakemake again", "delete it and run Snakemake again"

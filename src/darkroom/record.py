"""What was done for one image, as a row of the manifest. Knows neither how it was rendered nor who reads it.

Rows travel in Parquet files (`write_records`, `read_records`) and, less what a second run would change, inside the
picture itself (`embedded_record`). pyarrow is imported by the functions that need it: importing this file is cheap.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from darkroom.files.table_file import metadata_of, read_table, write_table
from darkroom.request import Request

if TYPE_CHECKING:
    import pyarrow as pa

# Every column of the manifest, in its order, with its type; "?" marks the columns that may be null.
COLUMNS = {
    "experiment": "string",
    "model": "string",
    "lora": "string",
    "prompts": "string",
    "index": "int64",
    "image_name": "string",
    "axes": "axes",  # further axes of the matrix; values as JSON, since their types differ
    "request_id": "string",
    "status": "string",
    "image_path": "string",
    "image_sha256": "string",
    "image_format": "string",
    "latents_path": "string?",
    "prompt_template": "string",
    "prompt": "string",
    "neg": "string",
    "trigger_word": "string?",
    "width_requested": "int64",
    "height_requested": "int64",
    "width": "int64",
    "height": "int64",
    "seed": "int64",
    "sample_steps": "int64",
    "guidance_scale": "float64",
    "ctrl_images": "files",
    "ctrl_idx": "int64?",
    "prompt_embeds": "string?",
    "prompt_embeds_sha256": "string?",
    "network_multiplier": "float64",
    "loras": "loras",
    "allow_foreign_lora": "bool",
    "lora_merge": "string?",
    "lora_merge_reason": "string?",
    "family": "string",
    "checkpoint": "string",
    "checkpoint_revision": "string?",
    "checkpoint_digest": "string",
    "text_encoder": "string",
    "text_encoder_digest": "string",
    "text_encoder_cast": "bool",
    "max_sequence_length": "int64",
    "attn_masking": "bool",
    "dtype": "string",
    "quantize_transformer": "string?",
    "quantize_text_encoder": "string?",
    "guidance": "string",
    "schedule": "string",
    "timestep_rounding": "string",
    "sigmas": "floats",
    "noise_device": "string",
    "numerics": "string",
    "not_comparable": "strings",
    "warnings": "strings",
    "device": "string",
    "gpu_name": "string?",
    "attention_backend": "string",
    "threads": "int64",
    "torch_version": "string",
    "diffusers_version": "string",
    "transformers_version": "string",
    "darkroom_version": "string",
    "reused": "bool",
    "worker_pid": "int64?",
    "base_load_id": "string?",
    "seconds_load": "float64?",
    "seconds_switch": "float64?",
    "seconds_denoise": "float64?",
    "seconds_decode": "float64?",
    "seconds_save": "float64?",
    "peak_memory_bytes": "int64?",
    "memory_mode": "string?",
    "memory_plan": "string?",
    "started_at": "string?",
}


@dataclass(frozen=True)
class Environment:
    """Where an image was rendered and with what. `threads`: torch's threads within one operation."""

    device: str
    gpu_name: str | None  # None on a CPU
    attention_backend: str
    threads: int
    torch_version: str
    diffusers_version: str
    transformers_version: str
    darkroom_version: str

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """The environment of a row or of an embedded record: a reused image keeps the one that rendered it."""
        return cls(**{f.name: row[f.name] for f in fields(cls)})


@dataclass(frozen=True)
class LoraUse:
    """One LoRA or LoKr file as it was applied. `format`: what is in it; `matched_keys`: those of its keys applied.

    `left_out_keys` is 0 but for an adapter of a kindred base, which `warning` then says it is.
    """

    path: str
    sha256: str
    network_multiplier: float
    format: str
    matched_keys: int
    left_out_keys: int = 0
    warning: str | None = None


@dataclass(frozen=True)
class Cost:
    """What one rendered image took. Seconds of wall time; `started_at` in ISO 8601, UTC."""

    worker_pid: int
    base_load_id: str  # new for each load of a base model
    seconds_load: float
    seconds_switch: float
    seconds_denoise: float
    seconds_decode: float
    seconds_save: float
    peak_memory_bytes: int | None
    memory_mode: str  # resident | model | block: see render/device/mode.py
    memory_plan: str  # why, with the estimate, and what ran out before
    started_at: str


@dataclass(frozen=True)
class Record:
    """Request, picture, circumstances and cost of one image; `cost` is None when the image came from the store."""

    request: Request
    environment: Environment
    loras: tuple[LoraUse, ...]
    sigmas: tuple[float, ...]
    image_path: str
    image_sha256: str
    image_format: str
    reused: bool
    cost: Cost | None
    latents_path: str | None = None
    status: str = "done"

    def row(self) -> dict[str, Any]:
        """One row of the manifest: plain values, exactly the keys of COLUMNS, in their order."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name in COLUMNS}
        cost = asdict(self.cost) if self.cost else dict.fromkeys(f.name for f in fields(Cost))
        known = embedded_record(self.request, self.environment, self.loras, self.sigmas)
        values = {**own, **cost, **known}
        return {name: values[name] for name in COLUMNS}


def embedded_record(
    request: Request, environment: Environment, loras: Sequence[LoraUse], sigmas: Sequence[float]
) -> dict[str, Any]:
    """The part of a row that goes into the picture: nothing that a second run of the same request would change.

    Absent are status, image_path, image_sha256, image_format, latents_path, reused and the columns of Cost.
    """
    values = {
        **request.to_json(),
        **asdict(environment),
        "request_id": request.request_id,
        "axes": [{"name": name, "value": json.dumps(value, ensure_ascii=False)} for name, value in request.axes],
        "not_comparable": [
            *request.not_comparable,
            *(f"{lora.path} is an adapter of another base" for lora in loras if lora.warning),
        ],
        "ctrl_images": [asdict(image) for image in request.ctrl_images],
        "warnings": [*request.warnings, *(lora.warning for lora in loras if lora.warning)],
        "loras": [asdict(lora) for lora in loras],
        "sigmas": list(sigmas),
    }
    return {name: values[name] for name in COLUMNS if name in values}


def is_embedded_record(record: Mapping[str, Any]) -> bool:
    """True for a record that has what this version of Darkroom writes into pictures, and nothing else."""
    own = {"status", "image_path", "image_sha256", "image_format", "latents_path", "reused"}
    return record.keys() == COLUMNS.keys() - own - {f.name for f in fields(Cost)}


@functools.cache
def schema() -> pa.Schema:
    """COLUMNS as Arrow types."""
    import pyarrow as pa

    lora = [pa.field(name, pa.string(), nullable=False) for name in ("path", "sha256")]
    lora += [pa.field("network_multiplier", pa.float64(), nullable=False)]
    lora += [pa.field("format", pa.string(), nullable=False), pa.field("matched_keys", pa.int64(), nullable=False)]
    lora += [pa.field("left_out_keys", pa.int64(), nullable=False), pa.field("warning", pa.string())]
    axis = [pa.field(name, pa.string(), nullable=False) for name in ("name", "value")]
    types = {
        "string": pa.string(),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
        "strings": pa.list_(pa.string()),
        "floats": pa.list_(pa.float64()),
        "axes": pa.list_(pa.struct(axis)),
        "loras": pa.list_(pa.struct(lora)),
        "files": pa.list_(pa.struct(lora[:2])),  # path, sha256
    }
    return pa.schema(
        [pa.field(name, types[kind.removesuffix("?")], nullable=kind.endswith("?")) for name, kind in COLUMNS.items()]
    )


def write_records(path: Path, rows: Sequence[Mapping[str, Any]], metadata: Mapping[str, str]) -> None:
    """Write rows as Parquet, whole or not at all; ValueError for a row whose keys are not those of COLUMNS."""
    import pyarrow as pa

    for number, row in enumerate(rows):
        if row.keys() != COLUMNS.keys():  # Arrow would drop the one kind and fill the other with nulls
            raise ValueError(f"{path}: row {number}: expected the keys of COLUMNS, differing: {row.keys() ^ COLUMNS}")
    write_table(path, pa.Table.from_pylist(list(rows), schema=schema()), metadata)


def read_records(path: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """The rows and the metadata that `write_records` was given; StoreError as for `read_table`."""
    table = read_record_table(path)
    return table.to_pylist(), metadata_of(table)


def read_record_table(path: Path) -> pa.Table:
    """A file of records as an Arrow table; StoreError as for `read_table`."""
    return read_table(path, schema(), again="run Snakemake again", restore="delete it and run Snakemake again")

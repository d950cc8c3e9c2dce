"""A request, and the record of a picture that was rendered for it: what tests of records and of pages begin with."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.places import DATA

from darkroom.files.images.image_file import record_in
from darkroom.files.images.opened import read_bytes
from darkroom.record.circumstances import Cost, Environment, LoraUse
from darkroom.record.embedded import EmbeddedRecord
from darkroom.record.rows import Record
from darkroom.request.request import Request

REQUEST = Request.from_json(json.loads((DATA / "record/request.json").read_text()))
ENVIRONMENT = Environment(
    device="cpu",
    gpu_name=None,
    attention_backend="sdpa",
    threads=2,
    torch_version="2.13.0",
    diffusers_version="0.42.1",
    transformers_version="5.23.0",
    darkroom_version="0.1.0",
)
LORA = LoraUse("jobs/anna/anna.safetensors", "5555555555aaaaaa", 0.5, format="ai-toolkit", matched_keys=96)
COST = Cost(
    worker_pid=4711,
    base_load_id="b41f",
    seconds_load=3.25,
    seconds_switch=0.5,
    seconds_denoise=2.0,
    seconds_decode=0.25,
    seconds_save=0.125,
    peak_memory_bytes=None,
    memory_mode="resident",
    memory_plan="fits",
    started_at="2026-01-02T03:04:05Z",
)


def embedded(request: Request = REQUEST, loras: tuple[LoraUse, ...] = (LORA,)) -> EmbeddedRecord:
    """What the picture of a request carries."""
    return EmbeddedRecord.of(request, ENVIRONMENT, loras, (1.0, 0.5, 0.0))


def record(request: Request = REQUEST, loras: tuple[LoraUse, ...] = (LORA,), **changes: Any) -> Record:
    """A row of the manifest; `changes` to its own fields."""
    outcome = {"image_path": "images/0000_7.png", "image_sha256": "ab" * 32, "image_format": "png", "reused": False}
    return replace(Record(**vars(embedded(request, loras)), **outcome, cost=COST), **changes)


def read_record(path: Path) -> dict[str, Any]:
    """The plain values that a picture carries."""
    return record_in(read_bytes(path), path)

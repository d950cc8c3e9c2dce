"""Rendered pictures and stored previews as the tests of this room need them: real files, pixels from a formula."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from tests.places import DATA

from darkroom.files.image_file import write_image
from darkroom.previews import TRAINER, Preview, key_of
from darkroom.record import Cost, Environment, LoraUse, Record, embedded_record, write_records
from darkroom.request import Request
from darkroom.thresholds import ModelThresholds

REQUEST = replace(Request.from_json(json.loads((DATA / "record/request.json").read_text())), axes=())
ENVIRONMENT = Environment("cpu", None, "sdpa", 1, "2.13.0", "0.42.1", "5.23.0", "0.1.0")
COST = Cost(4711, "b41f", 3.25, 0.5, 2.0, 0.25, 0.125, None, "resident", "fits", "2026-01-02T03:04:05Z")
LORA = LoraUse("jobs/anna/anna.safetensors", "5555555555aaaaaa", 0.5, "lora", 12)
THEN = {  # what an import knows
    **{"prompt": REQUEST.prompt, "seed": 7, "width": 64, "height": 48, "schedule": "aitk", "numerics": "exact"},
    "loras": [{"path": "elsewhere/anna.safetensors", "sha256": "5555555555aaaaaa", "network_multiplier": 0.5}],
}
THRESHOLDS = ModelThresholds(source="conf/compare/default.yaml", psnr=38.0, ssim=0.98, flip=0.05)

Pixels = npt.NDArray[np.uint8]


def picture(shift: int = 0) -> Pixels:
    """Soft gradients, 64 wide and 48 high: what a JPEG can keep. `shift`: levels added to every second row."""
    y, x = np.mgrid[:48, :64]
    pixels = np.stack([x * 3, y * 4, (x + y) * 2], axis=-1)
    pixels[::2] += shift
    return pixels.clip(0, 255).astype(np.uint8)


def render(folder: Path, pixels: Pixels, index: int = 0, image_format: str = "png", **changes: Any) -> dict[str, Any]:
    """A row of the manifest and the picture that it lists; `changes` to the request."""
    request = replace(REQUEST, index=index, image_name=f"{index:04}_7", **changes)
    path = folder / "results" / f"{request.image_name}.{'jpg' if image_format == 'jpeg' else image_format}"
    known = embedded_record(request, ENVIRONMENT, [LORA], [1.0, 0.0])
    sha256 = write_image(path, pixels, known, image_format, 90)
    return Record(request, ENVIRONMENT, (LORA,), (1.0, 0.0), str(path), sha256, image_format, False, COST).row()


def write_manifest(folder: Path, rows: list[dict[str, Any]]) -> Path:
    write_records(folder / "manifest.parquet", rows, {"experiment": "strength", "darkroom_version": "0.1.0"})
    return folder / "manifest.parquet"


def preview(folder: Path, row: dict[str, Any], pixels: Pixels | None, ending: str = "png", **changes: Any) -> Preview:
    """A trainer's picture of the row, saved as the trainer does, or the lack of one."""
    values: dict[str, Any] = dict(zip(("model", "lora", "prompts", "index", "axes"), key_of(row), strict=True))
    values |= {"path": None, "then": THEN, "origin": TRAINER, "step": 500}
    if pixels is not None:
        path = folder / "samples" / f"1700000000000__000000500_{row['index']}.{ending}"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
        values |= {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return Preview(**{**values, **changes})

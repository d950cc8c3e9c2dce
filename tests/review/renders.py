"""Rendered pictures and stored previews as the tests of this room need them: real files, pixels from a formula."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from tests.examples import record as example_record
from tests.examples.record import record

from darkroom.files.content import sha256_in
from darkroom.files.images.image_file import write_image
from darkroom.previews import TRAINER, Preview
from darkroom.record.rows import Record, write_records
from darkroom.thresholds import ModelThresholds

REQUEST = example_record.REQUEST.changed(axes=())
THEN = {  # what an import knows
    **{"prompt": REQUEST.text.prompt, "seed": 7, "width": 64, "height": 48, "schedule": "aitk", "numerics": "exact"},
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


def render(folder: Path, pixels: Pixels, index: int = 0, image_format: str = "png", **changes: Any) -> Record:
    """A row of the manifest and the picture that it lists; `changes` to the request."""
    request = REQUEST.changed(index=index, image_name=f"{index:04}_7", **changes)
    path = folder / "results" / f"{request.title.image_name}.{'jpg' if image_format == 'jpeg' else image_format}"
    made = record(request, image_path=str(path), image_format=image_format)
    return replace(made, image_sha256=sha256_in(write_image(path, pixels, made.to_json(), image_format, 90)))


def write_manifest(folder: Path, records: list[Record]) -> Path:
    write_records(folder / "manifest.parquet", records, {"experiment": "strength", "darkroom_version": "0.1.0"})
    return folder / "manifest.parquet"


def preview(folder: Path, render: Record, pixels: Pixels | None, ending: str = "png", **changes: Any) -> Preview:
    """A trainer's picture of the same key, saved as the trainer does, or the lack of one."""
    values: dict[str, Any] = vars(render.key) | {"path": None, "then": THEN, "origin": TRAINER, "step": 500}
    if pixels is not None:
        path = folder / "samples" / f"1700000000000__000000500_{render.request.title.index}.{ending}"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
        values |= {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    return Preview(**{**values, **changes})

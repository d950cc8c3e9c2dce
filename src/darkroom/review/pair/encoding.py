"""Pixels as they come back from the encoder through which a trainer's preview went. Knows no file.

ai-toolkit saves previews with nothing but a path, so in Pillow's defaults, which are written out here.
"""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

# What a preview of a format went through: `encoding` of compare.parquet.
ENCODINGS = {"JPEG": "JPEG quality 75, 4:2:0", "WEBP": "WebP quality 80"}
_SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    ENCODINGS["JPEG"]: ("JPEG", {"quality": 75, "subsampling": "4:2:0"}),
    ENCODINGS["WEBP"]: ("WEBP", {"quality": 80, "method": 4}),
}


def as_encoded(pixels: npt.NDArray[np.uint8], encoding: str) -> npt.NDArray[np.uint8]:
    """(H, W, 3) pixels after encoding and decoding; `encoding` is a value of ENCODINGS."""
    image_format, settings = _SETTINGS[encoding]
    buffer = io.BytesIO()
    Image.fromarray(pixels, "RGB").save(buffer, image_format, **settings)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))

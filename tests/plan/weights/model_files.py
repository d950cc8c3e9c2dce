"""Files of base models, made or copied for a test, and what is found or said of them."""

import json
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from tests.places import DATA

from darkroom.checkpoint import Checkpoint
from darkroom.errors import DarkroomError
from darkroom.plan.conf.schema import CheckpointSource
from darkroom.plan.weights.checkpoint_files import find_checkpoint
from darkroom.store import Store

KLEIN = DATA / "parity/klein"
SOURCE = CheckpointSource(
    repo=str(KLEIN),
    transformer=str(KLEIN / "flux-2-klein-base-4b.safetensors"),
    vae=str(KLEIN / "ae.safetensors"),
    text_encoder=str(KLEIN / "qwen3"),
)
HEADER = json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}).encode()
WEIGHTS = struct.pack("<Q", len(HEADER)) + HEADER + bytes(16)  # a whole .safetensors file of one tensor


def put(folder: Path, *names: str) -> Path:
    """Files of these names: weights where the ending says so, else empty JSON."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".gguf":
            write_gguf(path)
        else:
            path.write_bytes(WEIGHTS if path.suffix == ".safetensors" else b"{}")
    return folder


def find(where: Path, source: CheckpointSource, needs_text: bool = True, family: str = "flux2") -> Checkpoint:
    return find_checkpoint(source, family, "m.yaml", Store(where / "store"), needs_text)


def refusal(where: Path, source: CheckpointSource, needs_text: bool = True, family: str = "flux2") -> str:
    with pytest.raises(DarkroomError) as caught:
        find(where, source, needs_text, family)
    return str(caught.value)


def write_gguf(path: Path, dtype: type[np.floating[Any]] = np.float32) -> None:
    """A whole .gguf file of one tensor."""
    writer = gguf.GGUFWriter(path, "flux")
    writer.add_tensor("img_in.weight", np.zeros((4, 32), dtype))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

"""Files of base models, made or copied for a test, and what is found or said of them."""

import json
import struct
from pathlib import Path

import pytest

from darkroom.checkpoint import Checkpoint
from darkroom.errors import DarkroomError
from darkroom.plan.checkpoint_files import find_checkpoint
from darkroom.plan.schema import CheckpointSource
from darkroom.store import Store

KLEIN = Path(__file__).parents[1] / "data/parity/klein"
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
        path.write_bytes({".safetensors": WEIGHTS, ".gguf": b"GGUF" + bytes(20)}.get(path.suffix, b"{}"))
    return folder


def find(where: Path, source: CheckpointSource, needs_text: bool = True, family: str = "flux2") -> Checkpoint:
    return find_checkpoint(source, family, "m.yaml", Store(where / "store"), needs_text)


def refusal(where: Path, source: CheckpointSource, needs_text: bool = True, family: str = "flux2") -> str:
    with pytest.raises(DarkroomError) as caught:
        find(where, source, needs_text, family)
    return str(caught.value)

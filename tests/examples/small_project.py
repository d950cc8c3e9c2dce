"""A small project in an empty folder: its own conf/ ahead of the built-in one, one whole LoRA file."""

import json
import struct
from pathlib import Path

import pytest
from tests.places import REPOSITORY

from darkroom.errors import DarkroomError
from darkroom.plan.experiment import Experiment
from darkroom.plan.load import load_experiment

BUILT_IN = REPOSITORY / "conf"
LAYERS = {
    "flux2": "diffusion_model.double_blocks.0.img_attn.proj",
    **dict.fromkeys(("flux", "flex2"), "transformer.transformer_blocks.0.attn.to_q"),
}

MODEL = """# a base model of the hub
family: flux2
checkpoint: {repo: someone/klein}
defaults: {width: 512, height: 512, sample_steps: 4, guidance_scale: 4.0, seed: 42}
"""
LORA = """# one file at strength 0.8
trigger_word: sks
loras:
  - {path: sks.safetensors, network_multiplier: 0.8}
"""
PROMPTS = """# two prompts
prompts:
  - "[trigger] a photo of a person"
  - a cat
"""
EXPERIMENT = """# darkroom run e
matrix:
  model: [m]
  lora: [l]
  prompts: [p]
"""


class Project:
    """Files of the working directory, and what loading the experiment `e` gives."""

    def __init__(self) -> None:
        self.write("conf/model/m.yaml", MODEL)
        self.write("conf/lora/l.yaml", LORA)
        self.write("conf/prompts/p.yaml", PROMPTS)
        self.write("conf/experiment/e.yaml", EXPERIMENT)
        self.write_weights("sks.safetensors")

    def write(self, path: str, text: str) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")

    def write_weights(self, path: str, family: str = "flux2") -> None:
        """A LoRA of rank 1 on one layer, for the smallest base of the family."""
        tensors = {
            f"{LAYERS[family]}.lora_A.weight": {"dtype": "BF16", "shape": [1, 3072], "data_offsets": [0, 6144]},
            f"{LAYERS[family]}.lora_B.weight": {"dtype": "BF16", "shape": [3072, 1], "data_offsets": [6144, 12288]},
        }
        header = json.dumps(tensors).encode()
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_bytes(struct.pack("<Q", len(header)) + header + bytes(12288))

    def load(self, *overrides: str) -> Experiment:
        return load_experiment("e", [Path("conf"), BUILT_IN], overrides)

    def error(self, *overrides: str) -> str:
        with pytest.raises(DarkroomError) as caught:
            self.load(*overrides)
        return str(caught.value)


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Project()


def values(request, *names):
    """Of a request, by the names of its fields, whichever part has them."""
    return tuple(request.row()[name] for name in names)

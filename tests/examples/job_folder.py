"""An ai-toolkit job folder as the trainer leaves it: configuration, samples, checkpoints. Trains nothing."""

import copy
import json
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml
from PIL import Image
from tests import places

DATA = places.DATA / "parity"
KLEIN = DATA / "klein"  # the folder that a job names as model.name_or_path
ADAPTER = DATA / "adapters/lora_bf16.safetensors"

MS = 1_750_000_000_000  # when the first sample was saved, ms since 1970
_PER_STEP, _PER_PICTURE = 10_000, 100  # ms from one step to the next, from one picture to the next

Pixels = npt.NDArray[np.uint8]  # (height, width, 3)


def job_config(name: str = "my_job", **sections: Any) -> dict[str, Any]:
    """A klein job as the trainer's interface writes it, bfloat16 and unquantised; `sections` change its process."""
    process: dict[str, Any] = {
        "type": "diffusion_trainer",
        "training_folder": "output",
        "device": "cuda",
        "trigger_word": "sks",
        "network": {"type": "lora", "linear": 4, "linear_alpha": 4},
        "save": {"dtype": "bf16", "save_every": 250, "max_step_saves_to_keep": 4},
        "train": {"steps": 500, "dtype": "bf16", "lr": 1e-4, "ema_config": {"use_ema": False}},
        "model": {"name_or_path": "klein", "arch": "flux2_klein_4b", "quantize": False, "low_vram": False},
        "sample": {
            "sampler": "flowmatch",
            "sample_every": 250,
            "width": 64,
            "height": 64,
            "samples": [{"prompt": "[trigger] a photo of a person"}, {"prompt": "a cat", "seed": 7}],
            "neg": "",
            "seed": 42,
            "walk_seed": True,
            "guidance_scale": 4,
            "sample_steps": 4,
        },
    }
    for key, value in sections.items():
        known = process.get(key)
        process[key] = {**known, **value} if isinstance(known, dict) and isinstance(value, Mapping) else value
    return {"job": "extension", "config": {"name": name, "process": [process]}, "meta": {"name": name, "version": "1"}}


def write_job(
    folder: Path,
    config: Mapping[str, Any],
    pictures: Mapping[tuple[int, int], Pixels] = {},
    checkpoints: Mapping[int, Path] = {},
    *,
    ms: int = MS,
    image_format: str = "jpg",
    final: int | None = None,
    trainer: str | None = "0.12.26",
) -> Path:
    """The folder, with pictures by (step, index), and adapter files by step. `final`: the step of the last file.

    `trainer`: the version of ai-toolkit; None where headers do not say it.
    """
    name, process = config["config"]["name"], config["config"]["process"][0]
    (folder / "samples").mkdir(parents=True)
    config_file = folder / "config.yaml"
    config_file.write_text(yaml.safe_dump(copy.deepcopy(config)), encoding="utf-8")
    touch(config_file, ms - 60_000)
    (folder / "optimizer.pt").write_bytes(b"PK")
    (folder / "log.txt").write_text("Loading klein\n", encoding="utf-8")
    arch = str(process["model"].get("arch")).partition(":")[0]
    version = "flux.1" if arch in ("flux", "flex1") else arch
    for step, adapter in checkpoints.items():
        tail = "" if step == final else f"_{step:09d}"
        path = folder / f"{name}{tail}.safetensors"
        write_checkpoint(path, adapter, step, trainer, ss_base_model_version=version, ss_output_name=name)
        touch(path, ms + step * _PER_STEP - 1_000)
    for (step, index), pixels in pictures.items():
        write_sample(folder, step, index, pixels, ms=ms + step * _PER_STEP + index * _PER_PICTURE, ending=image_format)
    return folder


def write_sample(folder: Path, step: int, index: int, pixels: Pixels, *, ms: int, ending: str = "jpg") -> Path:
    """One sample in Pillow's default encoding, and its thumbnail."""
    path = folder / f"samples/{ms}__{step:09d}_{index}.{ending}"
    thumbnail = folder / f"samples/.thumbs/{path.name}.jpg"
    thumbnail.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    image.resize((30, 30)).save(thumbnail, format="JPEG", quality=90)
    image.save(path)
    touch(path, ms)
    return path


def write_checkpoint(path: Path, adapter: Path, step: int | None, trainer: str | None = None, **metadata: str) -> None:
    """The tensors of an adapter file under the header that the trainer writes; without what is not given."""
    content = adapter.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    entries = json.loads(content[8 : 8 + length])
    info = {} if step is None else {"training_info": json.dumps({"step": step, "epoch": 1})}
    software = {"software": json.dumps({"name": "ai-toolkit", "version": trainer})} if trainer else {}
    entries["__metadata__"] = {"format": "pt", **info, **software, **metadata}
    header = json.dumps(entries).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(header)) + header + content[8 + length :])


def touch(path: Path, ms: int) -> None:
    """Set when a file was written, ms since 1970."""
    os.utime(path, ns=(ms * 1_000_000, ms * 1_000_000))

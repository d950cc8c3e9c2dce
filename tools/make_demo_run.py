"""Makes the demo's training run: checkpoints of four steps, and previews as its trainer would have saved them.

    python tools/make_demo_run.py        # a minute; the same files each time, on one kind of processor

Nothing is trained: a checkpoint is the trained LoKr, its change weaker at earlier steps and stronger at later ones.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from math import exp
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors.torch import load_file

from darkroom.files.weight_file import sha256_of
from darkroom.previews import DARKROOM, TRAINER, Preview, previews_file, write_previews
from darkroom.record.rows import Record, read_rows
from demo_training.adapter_file import adapter_bytes

REPOSITORY = Path(__file__).parents[1]
NAME = "demo_training"
FOLDER = Path("demo/training")
STEPS = (250, 500, 750, 1000)
TRAINED = 750  # the step whose change is the trained LoKr's
FIRST_SAMPLE = 1_764_000_000_000  # ms since 1970, as ai-toolkit begins the names of its samples
PER_STEP, PER_PICTURE = 400, 2_000  # ms
# What a preview is known to have been made with, by columns of the manifest; and its LoRA.
SETTINGS = ("prompt", "neg", "seed", "width", "height", "sample_steps", "guidance_scale", "lora_merge", "ctrl_images")


def main() -> None:
    folder = REPOSITORY / FOLDER
    (folder / "samples").mkdir(parents=True, exist_ok=True)
    # 1. The checkpoints
    for step in STEPS:
        (folder / checkpoint_name(step)).write_bytes(checkpoint(step))
    # 2. Their pictures, and from these the files that ai-toolkit writes
    with tempfile.TemporaryDirectory() as project:
        command = [sys.executable, "-P", "-m", "darkroom", "run", NAME, "--yes"]
        subprocess.run(command, cwd=project, check=True)
        rows, _ = read_rows(Path(project, "results", NAME, "manifest.parquet"))
        records = [row for row in rows if isinstance(row, Record)]
        previews = list(saved(Path(project), records))
    # 3. What each is a preview of
    write_previews(REPOSITORY / previews_file(NAME), NAME, previews)


def checkpoint_name(step: int) -> str:
    """The last one has no step in its name."""
    return f"{NAME}.safetensors" if step == STEPS[-1] else f"{NAME}_{step:09d}.safetensors"


def checkpoint(step: int) -> bytes:
    """The trained LoKr with its change at this step: the product of its factors grows with the first of them."""
    trained = load_file(REPOSITORY / "demo/demo_lokr.safetensors")
    tensors = {name: tensor * growth(step) if name.endswith("lokr_w1") else tensor for name, tensor in trained.items()}
    return adapter_bytes(NAME, {name: tensor.to(torch.bfloat16) for name, tensor in tensors.items()}, step)


def growth(step: int) -> float:
    """How far training has come by a step, 1 at TRAINED: fast at first, then ever slower."""
    return (1 - exp(-step / TRAINED)) / (1 - exp(-1))


def saved(project: Path, records: list[Record]) -> Iterator[Preview]:
    """Each render in Pillow's default JPEG, under the name of a sample. `project`: where its path starts."""
    steps = {f"{NAME}_{step:09d}": step for step in STEPS} | {"none": 0}
    strengths = sorted({strength_of(record) for record in records})
    for record in records:
        step, title = steps[record.request.title.lora], record.request.title
        index = title.index * len(strengths) + strengths.index(strength_of(record))
        ms = FIRST_SAMPLE + step * PER_STEP + index * PER_PICTURE
        path = FOLDER / f"samples/{ms}__{step:09d}_{index}.jpg"
        with Image.open(project / record.image_path) as image:
            image.save(REPOSITORY / path)
        yield Preview(
            **vars(record.key),
            path=str(path),
            sha256=sha256_of(REPOSITORY / path),
            width=record.request.sampling.width,
            height=record.request.sampling.height,
            origin=TRAINER,
            drawn_by=DARKROOM,
            step=step,
            made_at=datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds"),
            then=settings_of(record),
        )


def strength_of(record: Record) -> float:
    return float(dict(record.request.title.axes)["network_multiplier"])


def settings_of(record: Record) -> dict[str, Any]:
    row = record.row()
    loras = [{**lora, "path": str(FOLDER / Path(lora["path"]).name)} for lora in row["loras"]]
    kept = ("path", "sha256", "network_multiplier")
    return {
        **{name: row[name] for name in SETTINGS},
        "loras": [{name: lora[name] for name in kept} for lora in loras],
    }


if __name__ == "__main__":
    main()

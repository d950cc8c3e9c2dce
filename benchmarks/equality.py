"""How far from its preview a picture lands when one thing is done otherwise. Knows commands and pixels; times nothing.

    python benchmarks/equality.py      on the tiny klein of tests/data/parity: the figures of docs/regress.md

One experiment through Snakemake; then pairs of its pictures that differ in one thing. Prints one line a thing: the
median, lowest and highest PSNR in dB over prompts and seeds.
"""

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

REPOSITORY = Path(__file__).parents[1]
PARITY = REPOSITORY / "tests/data/parity"
KLEIN = PARITY / "klein"
BASE = {
    "family": "flux2",
    "checkpoint": {
        "repo": str(KLEIN),
        "transformer": str(KLEIN / "flux-2-klein-base-4b.safetensors"),
        "vae": str(KLEIN / "ae.safetensors"),
        "text_encoder": str(KLEIN / "qwen3"),
    },
    "text_encoder_cast": True,
    "defaults": {"width": 128, "height": 128, "sample_steps": 25, "guidance_scale": 4.0},
}
MODELS: dict[str, dict[str, Any]] = {
    "trainers": {},
    "live": {"lora_merge": "live"},
    "in_dtype": {"lora_merge": "merged_in_dtype"},
    "quantised": {"quantize": {"transformer": "qfloat8", "text_encoder": "qfloat8"}},
    "quantised_text": {"quantize": {"text_encoder": "qfloat8"}},
    "other_schedule": {"schedule": "diffusers"},
    "other_timestep": {"timestep_rounding": "diffusers"},
    "fast": {"numerics": "fast"},
    "batched": {"numerics": "fast", "batched_guidance": True},
    "compiled": {"numerics": "fast", "compiled_blocks": True},
    "no_cast": {"text_encoder_cast": False},
    "steps_24": {"defaults": BASE["defaults"] | {"sample_steps": 24}},
}
PROMPTS = ("a photo of a cat", "a red cube on a table", "a forest at night, fog", "portrait of a woman, studio light")
# What is done otherwise: (model, lora, strength, seed) there, in place of ("trainers", "fp32", 1.0, …).
OTHERWISE: Mapping[str, Mapping[str, Any]] = {
    "adapter file in bf16 in place of its float32 masters, merged": {"lora": "bf16"},
    "adapter file in fp16 in place of its float32 masters, merged": {"lora": "fp16"},
    "adapter live in place of merged": {"model": "live"},
    "adapter merged in the model's dtype": {"model": "in_dtype"},
    "text encoder's rotary frequencies not cast": {"model": "no_cast"},
    "timestep rounded as stock diffusers does": {"model": "other_timestep"},
    "numerics: fast, neither batched nor compiled": {"model": "fast"},
    "numerics: fast, batched_guidance": {"model": "batched"},
    "numerics: fast, compiled_blocks": {"model": "compiled"},
    "text encoder quantised to qfloat8": {"model": "quantised_text"},
    "transformer and text encoder quantised to qfloat8, adapter live": {"model": "quantised"},
    "strength 0.9 in place of 1.0": {"strength": 0.9},
    "24 steps in place of 25": {"model": "steps_24"},
    "schedule of stock diffusers": {"model": "other_schedule"},
    "seed + 1": {"seed": 1},
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_project(Path(folder))
        command = [sys.executable, "-m", "snakemake", "-s", str(REPOSITORY / "Snakefile"), "--cores", "1"]
        done = subprocess.run(
            [*command, "--config", "experiment=equality"], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(done.stderr)
        pictures = dict(read_pictures(Path(folder)))
    for what, change in OTHERWISE.items():
        found = sorted(psnrs(pictures, change))
        print(f"{what:66} {statistics.median(found):5.1f}   {found[0]:5.1f} to {found[-1]:5.1f}   of {len(found)}")


def write_project(folder: Path) -> None:
    """conf/ and adapters: one in float32, and what remains of it in the dtypes that training jobs save."""
    masters = load_file(PARITY / "adapters/lora_fp32.safetensors")
    for name, dtype in (("fp32", "float32"), ("bf16", "bfloat16"), ("fp16", "float16")):
        save_file(
            {key: value.to(getattr(torch, dtype)) for key, value in masters.items()}, folder / f"{name}.safetensors"
        )
        write(folder / f"conf/lora/{name}.yaml", {"loras": [str(folder / f"{name}.safetensors")]})
    for name, change in MODELS.items():
        write(folder / f"conf/model/{name}.yaml", BASE | change)
    write(folder / "conf/prompts/four.yaml", {"prompts": [*PROMPTS]})
    strengths, seeds = [1.0, 0.9], [1, 2]
    matrix = {"model": [*MODELS], "lora": ["fp32", "bf16", "fp16"], "prompts": ["four"]}
    exclude = [{"model": model, "lora": lora} for model in MODELS for lora in ("bf16", "fp16") if model != "trainers"]
    exclude += [{"model": model, "network_multiplier": 0.9} for model in MODELS if model != "trainers"]
    experiment = {"matrix": {**matrix, "network_multiplier": strengths, "seed": seeds}, "exclude": exclude}
    write(folder / "conf/experiment/equality.yaml", experiment)


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))


def read_pictures(folder: Path) -> Iterator[tuple[tuple[Any, ...], np.ndarray[Any, Any]]]:
    """(model, lora, strength, seed, prompt) → pixels."""
    for row in pq.read_table(folder / "results/equality/manifest.parquet").to_pylist():
        name = (row["model"], row["lora"], row["network_multiplier"], row["seed"], row["index"])
        yield name, np.asarray(Image.open(folder / row["image_path"])).astype(float)


def psnrs(pictures: Mapping[tuple[Any, ...], np.ndarray[Any, Any]], change: Mapping[str, Any]) -> Iterator[float]:
    """In dB, of each picture made the trainer's way against the one made otherwise; 100 where they are equal."""
    for prompt in range(len(PROMPTS)):
        for seed in (1,) if "seed" in change else (1, 2):
            trainers = pictures["trainers", "fp32", 1.0, seed, prompt]
            other = pictures[
                change.get("model", "trainers"),
                change.get("lora", "fp32"),
                change.get("strength", 1.0),
                seed + change.get("seed", 0),
                prompt,
            ]
            error = float(np.mean((trainers - other) ** 2))
            yield 10 * np.log10(255**2 / error) if error else 100.0


if __name__ == "__main__":
    main()

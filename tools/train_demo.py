"""Trains the demo's tiny klein, its LoRA and its LoKr from scratch, on pictures that code draws.

    python tools/train_demo.py                      # about two hours on two cores; much less on a GPU
    python tools/train_demo.py --until vae          # one stage; run again to go on, also after a kill

State, logs and sheets of samples lie in `.train/`; the weights in `demo/`. Knows the order of the stages only.
"""

import argparse
import os
import tempfile
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKLFlux2
from torch import Tensor
from torch.multiprocessing.spawn import spawn
from transformers import Qwen2Tokenizer

from demo_training import team
from demo_training.adapter_file import adapter_bytes
from demo_training.adapters import AdapterData, lokr_scenes, lora_scenes, train_adapter
from demo_training.export import export, export_reference
from demo_training.flow import Data, encode_data, make_data, train_flow
from demo_training.latents import cached, encode_scenes, normalised, set_statistics
from demo_training.models import Model
from demo_training.scenes import Scene
from demo_training.stage import DEVICE
from demo_training.text import train_tokenizer
from demo_training.vae import train_vae

# A batch of `flow` grows with the processes: these many steps are for two.
_STEPS = {"vae": 3000, "flow": 10000, "lora": 1200, "lokr": 1200}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, default=Path(".train"))
    parser.add_argument("--out", type=Path, default=Path("demo"))
    parser.add_argument("--until", choices=_STEPS, default="lokr", help="the last stage to train")
    parser.add_argument(
        "--processes",
        type=int,
        default=1 if DEVICE.type == "cuda" else os.cpu_count() or 1,
    )
    options = parser.parse_args()
    options.state.mkdir(parents=True, exist_ok=True)
    stages = list(_STEPS)[: list(_STEPS).index(options.until) + 1]
    torch.set_num_threads(1)  # sums do not depend on the number of cores
    # 1. Pixels to latents and back
    vae, data = train_autoencoder(options.state)
    if "flow" not in stages:
        return
    # 2. The transformer with its text encoder
    with tempfile.TemporaryDirectory() as meeting:
        arguments = (options.processes, Path(meeting) / "team", options.state)
        spawn(_train_flow_together, arguments, nprocs=options.processes)  # type: ignore[no-untyped-call]
    tokenizer = train_tokenizer()
    model = train_flow(options.state, _STEPS["flow"], data, tokenizer, vae)  # only reads the state, which is done
    # 3. Adapters on the finished model, and files
    train_adapters(options.state, options.out, stages, vae, model, tokenizer)
    export(options.out / "klein", vae, model, tokenizer)
    export_reference(options.out / "reference.png")


def train_autoencoder(state: Path) -> tuple[AutoencoderKLFlux2, Data]:
    """The VAE, its statistics set from the latents of all pictures, and these."""
    vae = train_vae(state, _STEPS["vae"])
    latents = cached(state / "latents.pt", lambda: encode_data(vae))
    set_statistics(vae, latents["pictures"])
    return vae, make_data(vae, **latents)


def _train_flow_together(rank: int, processes: int, meeting_place: Path, state: Path) -> None:
    torch.set_num_threads(1)
    vae, data = train_autoencoder(state)  # only reads
    if processes > 1:
        team.join(rank, processes, meeting_place)
    train_flow(state, _STEPS["flow"], data, train_tokenizer(), vae)


def train_adapters(
    state: Path,
    out: Path,
    stages: list[str],
    vae: AutoencoderKLFlux2,
    model: Model,
    tokenizer: Qwen2Tokenizer,
) -> None:
    """The files of those adapters that are among `stages`."""
    out.mkdir(parents=True, exist_ok=True)
    for kind, scenes in (("lora", lora_scenes()), ("lokr", lokr_scenes())):
        if kind in stages:
            pictures = cached(state / f"{kind}.pt", partial(_encode, vae, scenes, kind))["pictures"]
            data = AdapterData(scenes, normalised(vae, pictures))
            tensors = train_adapter(state, kind, _STEPS[kind], model, tokenizer, data)
            (out / f"demo_{kind}.safetensors").write_bytes(adapter_bytes(f"demo_{kind}", tensors, _STEPS[kind]))


def _encode(vae: AutoencoderKLFlux2, scenes: list[Scene], kind: str) -> dict[str, Tensor]:
    return {"pictures": encode_scenes(vae, scenes, kind, outlined=kind == "lokr")}


if __name__ == "__main__":
    main()

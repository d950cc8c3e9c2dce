"""A tiny klein in both layouts, requests, adapters, and what this machine's arithmetic can be compared with."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel
from diffusers.loaders.single_file_utils import (
    convert_flux2_transformer_checkpoint_to_diffusers,
    convert_ldm_vae_checkpoint,
)
from safetensors.torch import load_file
from tests.machine.canary import canary
from tests.places import DATA
from tests.render.bench import Bench

from darkroom.checkpoint import DIFFUSERS, SINGLE_FILE, Checkpoint, Component
from darkroom.render.families.flux2 import flux2
from darkroom.render.weights.base import Base
from darkroom.request.parts import Asked, BaseModel, Encoder, Sampling, Source, Text, Title
from darkroom.request.request import Request

PARITY = DATA / "parity"
CPU = torch.device("cpu")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """The goldens were made with one thread; more would add in another order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def canary_here(one_thread: None) -> str:
    return canary()


@pytest.fixture
def our_canary(canary_here: str, record_property: Callable[[str, object], None]) -> str:
    """By which goldens are found; the suite's last line tells it."""
    record_property("canary", canary_here)
    return canary_here


REQUEST = Request(
    title=Title(experiment="test", model="tiny_klein", lora="none", prompts="test", index=0, image_name="0"),
    base=BaseModel(family="flux2", dtype="float32", guidance="cfg", numerics="exact"),
    encoder=Encoder(family="flux2", dtype="float32", max_sequence_length=512),
    sampling=Sampling(width=64, height=64, seed=42, sample_steps=4, guidance_scale=4.0, schedule="aitk"),
    text=Text(prompt="a cat"),
    source=Source(checkpoint="tiny_klein", text_encoder="tiny_qwen3"),
    asked=Asked(prompt_template="a cat", width_requested=64, height_requested=64),
)


@pytest.fixture
def make_request() -> Callable[..., Request]:
    """A request of the tiny klein, 64x64, 4 steps, float32, with changes."""
    return REQUEST.changed


@pytest.fixture(scope="session")
def klein() -> Checkpoint:
    """The tiny klein as single files in ai-toolkit's naming."""
    return checkpoint(
        transformer=_single("klein/flux-2-klein-base-4b.safetensors"),
        vae=_single("klein/ae.safetensors"),
        text_encoder=Component(str(PARITY / "klein" / "qwen3"), DIFFUSERS, digest=""),
        tokenizer=Component(str(PARITY / "klein" / "qwen3"), DIFFUSERS, digest=""),
    )


@pytest.fixture(scope="session")
def dev() -> Checkpoint:
    """A tiny guidance-embedded FLUX.2 with klein's VAE; its prompts come encoded."""
    return checkpoint(transformer=_single("dev/flux2-dev.safetensors"), vae=_single("klein/ae.safetensors"))


def checkpoint(**components: Component) -> Checkpoint:
    return Checkpoint("tiny", None, components)


def _single(name: str) -> Component:
    return Component(str(PARITY / name), SINGLE_FILE, digest="")


@pytest.fixture(scope="session")
def klein_folder(klein: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """The same weights as diffusers folders, converted and saved by diffusers itself."""
    root = tmp_path_factory.mktemp("klein")
    transformer = Flux2Transformer2DModel(
        num_layers=2,
        num_single_layers=3,
        attention_head_dim=32,
        num_attention_heads=3,
        joint_attention_dim=96,
        axes_dims_rope=(8, 8, 8, 8),
        guidance_embeds=False,
    ).to(torch.bfloat16)
    stored = load_file(klein["transformer"].path)
    transformer.load_state_dict(convert_flux2_transformer_checkpoint_to_diffusers(stored), strict=True)
    transformer.save_pretrained(root / "transformer")
    vae = AutoencoderKLFlux2(
        block_out_channels=(32, 32, 64, 64),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
    )
    stored = load_file(klein["vae"].path)
    moved = {key.replace("encoder.quant", "quant").replace("decoder.post", "post"): stored[key] for key in stored}
    converted = convert_ldm_vae_checkpoint(moved, vae.config)
    converted |= {key: tensor for key, tensor in moved.items() if key.startswith("bn.")}
    vae.load_state_dict(converted, strict=True)
    vae.save_pretrained(root / "vae")
    parts = {part: Component(str(root / part), DIFFUSERS, "") for part in ("transformer", "vae")}
    return Checkpoint("tiny", None, {**klein.components, **parts})


@pytest.fixture
def base(klein: Checkpoint) -> Base:
    """The tiny klein in bfloat16, loaded for this test alone."""
    return flux2.load(klein, replace(REQUEST.base, dtype="bfloat16"), CPU)


@pytest.fixture
def bench(tmp_path: Path, klein: Checkpoint) -> Bench:
    return Bench(tmp_path, klein)


@pytest.fixture(scope="session")
def adapters() -> Path:
    """The folder of ai-toolkit's LoRA and LoKr files for the tiny klein."""
    return PARITY / "adapters"

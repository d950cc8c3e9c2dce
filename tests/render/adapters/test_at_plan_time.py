"""The verdict on a LoRA file before anything is rendered is the one that rendering would come to, word for word."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.places import DATA, REPOSITORY

from darkroom.checkpoint import DIFFUSERS, SINGLE_FILE, Checkpoint, Component
from darkroom.errors import ConfigError, DarkroomError, raise_together
from darkroom.lora_files.families import NAMINGS
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.schema import CheckpointSource, LoraStack, Model, StackedLora
from darkroom.plan.weights.loras import LoraCheck
from darkroom.render.adapters.file import read_adapter
from darkroom.render.family import family
from darkroom.request.request import Request

PARITY, DEMO = DATA / "parity", REPOSITORY / "demo"
BASES = {  # family, transformer, VAE
    "klein": ("flux2", PARITY / "klein/flux-2-klein-base-4b.safetensors", PARITY / "klein/ae.safetensors"),
    "dev": ("flux2", PARITY / "dev/flux2-dev.safetensors", PARITY / "klein/ae.safetensors"),
    "demo": ("flux2", DEMO / "klein/transformer", DEMO / "klein/vae"),
    "flux": ("flux", PARITY / "flux1/flux/transformer", PARITY / "flux1/flux/vae"),
    "flex2": ("flex2", PARITY / "flux1/flex2/transformer", PARITY / "flux1/flux/vae"),
}
GOOD = sorted([*(PARITY / "adapters").glob("*"), *(PARITY / "flux1/adapters").glob("*"), *DEMO.glob("*.safetensors")])
Shapes = dict[str, tuple[int, int]]


@pytest.fixture
def layers(make_request: Callable[..., Request]) -> Callable[[str], dict[str, tuple[int, int]]]:
    """The layers of a base that is loaded."""

    def load(base: str) -> dict[str, tuple[int, int]]:
        name, *paths = BASES[base]
        parts = {
            part: Component(str(path), DIFFUSERS if path.is_dir() else SINGLE_FILE, "")
            for part, path in zip(("transformer", "vae"), paths, strict=True)
        }
        request = make_request(family=name, guidance="cfg" if base in ("klein", "demo") else "embedded")
        return family(name).load(Checkpoint(base, None, parts), request.base, torch.device("cpu")).adapter_shapes()

    return load


def planned(base: str, path: Path, allow_foreign: bool) -> str:
    """What a dry run says of a LoRA on a base; "" for nothing."""
    name, transformer, _ = BASES[base]
    source = CheckpointSource(repo="someone/model", transformer=str(transformer))
    stack = LoraStack(loras=(StackedLora(path=str(path)),), allow_foreign_lora=allow_foreign)
    check, origin = LoraCheck(), Origin("l.yaml")
    check.read(stack, origin)
    check.judge(stack, origin, base, Model(family=name, checkpoint=source))
    try:
        raise_together(check.faults())
    except ConfigError as error:
        return str(error).removeprefix("l.yaml: loras[0].path: ").removeprefix(f"on model {base}: ")
    return ""


def rendered(base: str, shapes: Shapes, path: Path, allow_foreign: bool) -> str:
    """What reading it for the loaded base says."""
    try:
        read_adapter(path, shapes, NAMINGS[BASES[base][0]], allow_foreign=allow_foreign)
    except DarkroomError as error:
        return str(error)
    return ""


def bad_files(folder: Path) -> list[Path]:
    """Files that are broken, in other tools' formats, or for other bases."""
    proj = "diffusion_model.double_blocks.0.img_attn.proj"
    to_q = "transformer.transformer_blocks.0.attn.to_q"
    small = load_file(PARITY / "flux1/adapters/flux_lokr_old_bf16.safetensors")
    tensors: dict[str, dict[str, torch.Tensor]] = {
        "nine": {f"{proj}.lora_A.weight": torch.zeros(4, 4096), f"{proj}.lora_B.weight": torch.zeros(4096, 4)},
        "fullrank": {f"{proj}.lora_A.weight": torch.zeros(96, 96)},
        "misfit": {f"{proj}.lora_A.weight": torch.zeros(4, 96), f"{proj}.lora_B.weight": torch.zeros(96, 5)},
        "half": {"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": torch.zeros(4, 96)},
        "loha": {"lycoris_transformer_blocks_0_attn_to_q.hada_w1_a": torch.zeros(4, 96)},
        "texts": {"lora_te1_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": torch.zeros(4, 96)},
        "other": {"diffusion_model.layers.0.attention.to_q.diff": torch.zeros(96, 96)},
        "dora": {f"{to_q}.magnitude": torch.zeros(96)},
        "biases": {f"{to_q}.diff_b": torch.zeros(96)},
        "guidance": {"diffusion_model.guidance_in.in_layer.diff": torch.zeros(96, 256)},
        "old_guidance": {"lycoris_guidance_in_in_layer.diff": torch.zeros(96, 256)},
        "old_unknown": {"lycoris_something_else.diff": torch.zeros(96, 256)},
        "wide": {f"{to_q}.diff": torch.zeros(6144, 6144)},
        "integers": {f"{proj}.diff": torch.zeros(96, 96, dtype=torch.int64)},
        "empty": {},
        "deep": {key.replace("blocks_1_", "blocks_7_"): value for key, value in small.items()},
    }
    for name, content in tensors.items():
        save_file({key: tensor.clone() for key, tensor in content.items()}, folder / f"{name}.safetensors")
    whole = GOOD[0].read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[:-1])
    (folder / "pickle.safetensors").write_bytes(b"PK\x03\x04 and more")
    return [*sorted(folder.glob("*.safetensors")), folder / "gone.safetensors"]


@pytest.mark.parametrize(
    "base", ["klein", "flux", *(pytest.param(each, marks=pytest.mark.slow) for each in ("dev", "demo", "flex2"))]
)
def test_the_verdict_is_that_of_rendering(
    base: str, layers: Callable[[str], dict[str, tuple[int, int]]], tmp_path: Path
) -> None:
    shapes = layers(base)
    verdicts = {}
    for path in (*GOOD, *bad_files(tmp_path)):
        for allow_foreign in (False, True):
            verdicts[path.name, allow_foreign] = planned(base, path, allow_foreign)
            assert verdicts[path.name, allow_foreign] == rendered(base, shapes, path, allow_foreign)
    applied = {name for (name, allow_foreign), said in verdicts.items() if not said and not allow_foreign}
    guidance = {f"{name}.safetensors" for name in ("guidance", "old_guidance")}
    own = {
        "klein": {path.name for path in (PARITY / "adapters").glob("*")},
        "dev": {path.name for path in (PARITY / "adapters").glob("*")} | guidance,
        "demo": {path.name for path in DEMO.glob("*.safetensors")},
        "flux": {path.name for path in (PARITY / "flux1/adapters").glob("flux_*")} | guidance,
        "flex2": {path.name for path in (PARITY / "flux1/adapters").glob("flex2_*")} | guidance,
    }
    assert applied == own[base]

"""Compiled blocks: what they compute beside merged adapters and in every memory mode, and what they refuse."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from darkroom.checkpoint import Checkpoint
from darkroom.errors import ConfigError
from darkroom.lora_files.families import NAMINGS
from darkroom.render.adapters.file import Adapter, read_adapter
from darkroom.render.adapters.stack import AdapterStack
from darkroom.render.device.compiled import compile_blocks, why_not_compiled
from darkroom.render.device.mode import BLOCK, MODEL
from darkroom.render.device.offload import Residence
from darkroom.render.families.flux2 import flux2
from darkroom.render.nudge import nudged
from darkroom.render.weights.base import Base
from darkroom.request import Request

CPU = torch.device("cpu")
TRACED = "eager"  # a backend of torch that computes what it has traced as ever: bit for bit, and in no time


@pytest.fixture
def fast(make_request: Callable[..., Request]) -> Request:
    return make_request(dtype="bfloat16", numerics="fast", compiled_blocks=True, sample_steps=1)


def load(klein: Checkpoint, request: Request) -> Base:
    return flux2.load(klein, request.base, CPU)


def latents_of(base: Base, request: Request) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    prompt, neg = ({"prompt_embeds": torch.randn(1, 512, 96, generator=generator).bfloat16()} for _ in range(2))
    return flux2.denoise(base, request.sampling, prompt, neg, [], lambda step: None)[0]


def adapter(folder: Path, base: Base) -> Adapter:
    return read_adapter(folder / "lora_bf16_alpha.safetensors", base.adapter_shapes(), NAMINGS["flux2"])


def test_compiled_blocks_compute_with_the_adapters_that_are_merged_now(
    klein: Checkpoint, fast: Request, adapters: Path
) -> None:
    plain, compiled = load(klein, replace(fast, base=replace(fast.base, compiled_blocks=False))), load(klein, fast)
    compile_blocks(compiled.transformer, CPU, TRACED)
    stacks = [AdapterStack(base) for base in (plain, compiled)]
    lora = adapter(adapters, plain)
    for stack in ([], [(lora, 1.0)], [(lora, 0.5)], []):
        for each in stacks:
            each.apply(stack, "merged")
        assert torch.equal(latents_of(compiled, fast), latents_of(plain, fast))


@pytest.mark.parametrize("mode", [MODEL, BLOCK])
def test_what_brings_weights_hangs_around_compiled_blocks(klein: Checkpoint, fast: Request, mode: str) -> None:
    base = load(klein, fast)
    expected = latents_of(base, fast)
    compile_blocks(base.transformer, CPU, TRACED)
    residence = Residence(base, mode)
    for _ in range(2):
        with residence.use("transformer"):
            assert torch.equal(latents_of(base, fast), expected)


def test_nothing_runs_beside_compiled_blocks_that_they_would_not_see(
    klein: Checkpoint, fast: Request, adapters: Path
) -> None:
    base = load(klein, fast)
    with pytest.raises(ConfigError, match="compiled blocks take no adapters beside them: expected merged, or"):
        AdapterStack(base).apply([(adapter(adapters, base), 1.0)], "live")
    with pytest.raises(ConfigError, match="compiled blocks round nothing that can be nudged"), nudged(base, seed=1):
        pass


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear = torch.nn.RMSNorm(32), torch.nn.Linear(32, 32)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return states + self.linear(torch.nn.functional.silu(self.norm(states)))


class Blocks(torch.nn.Module):
    """Two blocks that a model of diffusers would say are repeated."""

    _repeated_blocks = ("Block",)

    def __init__(self) -> None:
        super().__init__()
        self.blocks = torch.nn.Sequential(Block(), Block())

    def forward(self, states: torch.Tensor) -> Any:
        return self.blocks(states)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # by torch's compiler itself
def test_torch_compiles_a_block_once_and_keeps_what_it_has_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why := why_not_compiled(CPU):
        pytest.skip(why)
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model, states = Blocks(), torch.randn(1, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        eager = model(states)
        compile_blocks(model, CPU)
        compiled = model(states)
        assert torch.equal(model(states), compiled)
    assert torch.allclose(compiled, eager, atol=1e-5)
    assert list(tmp_path.glob("darkroom/compiled/*/fxgraph/**/*"))


def test_where_nothing_can_compile_a_sentence_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    said = r"torch needs a C\+\+ compiler, and there is none here \(looked for g\+\+, clang\+\+, c\+\+\); leave it out "
    with pytest.raises(ConfigError, match=f"compiled_blocks: {said}with model.compiled_blocks: false"):
        compile_blocks(Blocks(), CPU)
    monkeypatch.setenv("CXX", "/opt/clang")
    assert why_not_compiled(CPU) == "torch needs a C++ compiler, and there is none here (looked for /opt/clang)"


def test_what_torch_cannot_compile_is_one_sentence_too() -> None:
    model = Blocks()
    model.blocks[0].norm.register_forward_hook(lambda layer, inputs, output: output * float(output.sum().item()))
    compile_blocks(model, CPU, TRACED)
    with pytest.raises(
        ConfigError, match=r"compiled_blocks: torch cannot compile the blocks here \(.+\); leave it out"
    ):
        model(torch.zeros(1, 4, 32))


def test_an_adapter_that_is_part_of_the_base_is_compiled_with_it() -> None:
    """Each layer with its own tensors, by one function: as Turbo's training adapter is cancelled."""
    model, states = Blocks(), torch.ones(1, 4, 32)
    for number, block in enumerate(model.blocks):
        block.linear.shift = number + 1.0
    model.blocks[1].linear.register_forward_hook(lambda layer, inputs, output: output + layer.shift)
    with torch.no_grad():
        expected = model(states)
        compile_blocks(model, CPU, TRACED)
        assert torch.equal(model(states), expected)

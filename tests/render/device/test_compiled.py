"""Compiled blocks: what they compute beside merged adapters and in every memory mode, and what they refuse."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from darkroom.checkpoint import Checkpoint
from darkroom.errors import ConfigError
from darkroom.lora_files.families import NAMINGS
from darkroom.render.adapters.file import Adapter, read_adapter
from darkroom.render.adapters.stack import AdapterStack
from darkroom.render.device.compiled import check_compiler, compile_blocks, why_not_compiled
from darkroom.render.device.environment import processor_digest
from darkroom.render.device.lost import ran_out_of_memory
from darkroom.render.device.mode import BLOCK, MODEL, Budget
from darkroom.render.device.offload import Residence
from darkroom.render.families.flux2 import flux2
from darkroom.render.nudge import nudged
from darkroom.render.pipelines import Pipelines
from darkroom.render.weights.base import Base
from darkroom.request.request import Request

CPU, GB = torch.device("cpu"), 10**9
TRACED = "eager"  # a backend of torch that computes what it has traced as ever: bit for bit, and in no time

FOLDER = "TORCHINDUCTOR_CACHE_DIR"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's, who has said nothing of torch's folder: this is where importing torch's compiler sets it."""
    monkeypatch.setenv(FOLDER, default_cache_dir())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


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
    compile_blocks(compiled.transformer, TRACED)
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
    compile_blocks(base.transformer, TRACED)
    residence = Residence(base, mode)
    for _ in range(2):
        with residence.use("transformer"):
            assert torch.equal(latents_of(base, fast), expected)


def test_nothing_runs_beside_compiled_blocks_that_they_would_not_see(
    klein: Checkpoint, fast: Request, adapters: Path
) -> None:
    base = load(klein, fast)
    with pytest.raises(ConfigError, match="compiled_blocks: adapters that run beside layers are not compiled with"):
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
def test_torch_compiles_a_block_once_and_keeps_what_it_has_compiled(cache: Path) -> None:
    if why := why_not_compiled(CPU):
        pytest.skip(why)
    model, states = Blocks(), torch.randn(1, 64, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        eager = model(states)
        compile_blocks(model)
        compiled = model(states)
        assert torch.equal(model(states), compiled)
    assert torch.allclose(compiled, eager, atol=1e-5)
    assert list(cache.glob(f"darkroom/compiled/*-{processor_digest()}/fxgraph/**/*"))


def test_where_nothing_can_compile_a_sentence_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    said = r"torch needs a C\+\+ compiler, and there is none here \(looked for g\+\+\); leave it out "
    with pytest.raises(ConfigError, match=f"compiled_blocks: {said}with model.compiled_blocks: false"):
        check_compiler(CPU)
    monkeypatch.setenv("CXX", "/opt/clang")
    assert why_not_compiled(CPU) == "torch needs a C++ compiler, and there is none here (looked for /opt/clang)"


def test_for_a_gpu_a_c_compiler_is_looked_for_beside_triton(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda")
    (tmp_path / "triton").mkdir()
    (tmp_path / "triton" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert why_not_compiled(cuda) == "Triton needs a C compiler, and there is none here (looked for gcc, clang)"
    monkeypatch.setenv("CC", "/opt/cc")
    assert why_not_compiled(cuda) == "Triton needs a C compiler, and there is none here (looked for /opt/cc)"
    compiler = tmp_path / "gcc"
    compiler.touch(mode=0o755)
    monkeypatch.delenv("CC")
    assert why_not_compiled(cuda) is None


def test_where_nothing_can_compile_no_model_goes_and_none_is_read(
    klein: Checkpoint, fast: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room for one."""
    pipelines = Pipelines(lambda device: Budget("cpu", 0, 64 * GB, 0))
    other = replace(fast, base=replace(fast.base, compiled_blocks=False))
    kept = pipelines.base(klein, other)
    for variable in ("CC", "CXX"):
        monkeypatch.setenv(variable, "/opt/clang")
    with pytest.raises(ConfigError, match=r"compiled_blocks: .+ compiler, and there is none here"):
        pipelines.base(klein, fast)
    assert pipelines.base(klein, other) is kept


def test_what_torch_cannot_compile_is_one_sentence_too() -> None:
    model = Blocks()
    model.blocks[0].norm.register_forward_hook(lambda layer, inputs, output: output * float(output.sum().item()))
    compile_blocks(model, TRACED)
    with pytest.raises(
        ConfigError, match=r"compiled_blocks: torch cannot compile the blocks here \(.+\); leave it out"
    ):
        model(torch.zeros(1, 4, 32))


def test_of_many_lines_of_a_compiler_its_own_fault_is_told() -> None:
    said = (
        "C++ compile error\n\nCommand:\ng++ main.cpp\n\nOutput:\nmain.cpp:1:10: fatal error: Python.h: No such file\n"
    )

    def compiler(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        raise RuntimeError(said)

    model = Blocks()
    compile_blocks(model, compiler)
    with pytest.raises(ConfigError, match=r"here \(main.cpp:1:10: fatal error: Python.h: No such file\); leave it out"):
        model(torch.zeros(1, 4, 32))


def test_beyond_the_shapes_whose_code_is_kept_it_is_compiled_anew() -> None:
    """One model's and the next one's count together, since torch counts by the code of a block."""
    with torch.no_grad():
        for model in (Blocks(), Blocks()):
            expected = [model(torch.ones(1, tokens, 32)) for tokens in (4, 5, 6, 4)]
            compile_blocks(model, TRACED, shapes=2)
            computed = [model(torch.ones(1, tokens, 32)) for tokens in (4, 5, 6, 4)]
            assert all(map(torch.equal, computed, expected))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("tried to allocate 3.00 GiB"), MemoryError()])
def test_memory_that_runs_out_while_compiling_is_told_as_such(error: Exception) -> None:
    def compiler(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        raise error

    model = Blocks()
    compile_blocks(model, compiler)
    with pytest.raises(type(error)) as raised:
        model(torch.zeros(1, 4, 32))
    assert ran_out_of_memory(raised.value)


def test_what_is_compiled_is_kept_in_the_users_cache_unless_another_folder_is_said(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_blocks(Blocks(), TRACED)
    kept = Path(os.environ[FOLDER])
    assert kept.parent == cache / "darkroom" / "compiled"
    assert kept.name.endswith(f"-{processor_digest()}")
    monkeypatch.setenv(FOLDER, "/elsewhere")
    compile_blocks(Blocks(), TRACED)
    assert os.environ[FOLDER] == "/elsewhere"


def test_what_is_compiled_is_kept_apart_for_each_kind_of_processor(tmp_path: Path) -> None:
    epyc, core = "model name\t: AMD EPYC 9655\nflags\t\t: fpu avx2", "cpu MHz\t\t: 2596.120"
    texts = [epyc, f"{epyc}\n{core}\n\n{epyc}", f"{epyc} avx512f", epyc.replace("9655", "7763")]
    digests = []
    for text in texts:
        (tmp_path / "cpuinfo").write_text(f"{text}\n", encoding="utf-8")
        digests.append(processor_digest(tmp_path / "cpuinfo"))
    assert digests[0] == digests[1]  # as many cores as there are, at any speed
    assert len({*digests}) == 3


def test_an_adapter_that_is_part_of_the_base_is_compiled_with_it() -> None:
    """Each layer with its own tensors, by one function: as Turbo's training adapter is cancelled."""
    model, states = Blocks(), torch.ones(1, 4, 32)
    for number, block in enumerate(model.blocks):
        block.linear.shift = number + 1.0
    model.blocks[1].linear.register_forward_hook(lambda layer, inputs, output: output + layer.shift)
    with torch.no_grad():
        expected = model(states)
        compile_blocks(model, TRACED)
        assert torch.equal(model(states), expected)

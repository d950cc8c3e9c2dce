"""Memory modes at work: no mode changes a picture, and what happens when memory runs out."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest
import torch
from diffusers.hooks.group_offloading import ModuleGroup
from torch.nn.attention import SDPBackend

from darkroom.checkpoint import Checkpoint
from darkroom.errors import DeviceMemoryError
from darkroom.files.weight_file import sha256_of
from darkroom.lora_files.flux2 import FLUX2_NAMING
from darkroom.render.adapters.file import Adapter, read_adapter
from darkroom.render.adapters.stack import AdapterStack
from darkroom.render.device.environment import attention_kernels, environment_of, fixed_kernels
from darkroom.render.device.lost import is_lost, ran_out_of_memory
from darkroom.render.device.mode import (
    BLOCK,
    IN_FILE,
    MODEL,
    ON_DEVICE,
    PINNED,
    RESIDENT,
    Budget,
    Workload,
    with_margin,
)
from darkroom.render.device.offload import Residence, Visit, place_text_encoder
from darkroom.render.device.pristine import Pristine
from darkroom.render.families.flux2 import flux2
from darkroom.render.families.flux2.footprint import footprints
from darkroom.render.loaded import Loaded
from darkroom.render.pipelines import Pipelines
from darkroom.render.weights.base import Base, TextEncoder
from darkroom.request.parts import Lora
from darkroom.request.request import Request

pytestmark = pytest.mark.slow  # real renders, for `make test`

GB = 10**9
CPU, META = torch.device("cpu"), torch.device("meta")


# ---- no mode changes a picture ----


@pytest.mark.parametrize("mode", [MODEL, BLOCK])
def test_every_mode_gives_the_same_picture_with_and_without_an_adapter(
    klein: Checkpoint, make_request: Callable[..., Request], adapters: Path, mode: str
) -> None:
    request = make_request(dtype="bfloat16", sample_steps=2, guidance_scale=1.0)
    resident, other = (flux2.load(klein, request.base, CPU) for _ in range(2))
    resident_home, other_home = Residence(resident, RESIDENT), Residence(other, mode)
    stacks = AdapterStack(resident), AdapterStack(other)
    adapter = read_adapter(str(adapters / "lora_bf16_alpha.safetensors"), resident.adapter_shapes(), FLUX2_NAMING)
    pictures = []
    for regime, stack in (("merged", []), ("merged", [(adapter, 1.0)]), ("live", [(adapter, 1.0)]), ("merged", [])):
        for each in stacks:  # between two uses, after a forward pass has been made
            each.apply(stack, regime)
        expected = _render(resident, resident_home, request)
        assert torch.equal(_render(other, other_home, request), expected)
        pictures.append(expected)
    assert not torch.equal(pictures[0], pictures[1])
    assert torch.equal(pictures[0], pictures[3])


@pytest.mark.parametrize("qtype", ["qfloat8", "qint4"])
def test_a_quantised_base_gives_the_same_picture_by_blocks(
    klein: Checkpoint, make_request: Callable[..., Request], qtype: str
) -> None:
    request = make_request(dtype="bfloat16", sample_steps=1, guidance_scale=1.0, quantize_transformer=qtype)
    base = flux2.load(klein, request.base, CPU)
    expected = _render(base, Residence(base, RESIDENT), request)
    assert torch.equal(_render(base, Residence(base, BLOCK), request), expected)


def test_a_visit_brings_every_tensor_and_leaves_the_resting_ones(base: Base) -> None:
    before = dict(base.vae.state_dict(keep_vars=True))
    visit = Visit(base.vae.modules(), META)
    visit.arrive()
    assert {tensor.device for tensor in base.vae.state_dict().values()} == {META}
    visit.leave()
    after = base.vae.state_dict(keep_vars=True)
    assert all(after[name] is tensor for name, tensor in before.items())


def test_what_is_merged_into_resting_weights_arrives_at_the_next_visit(base: Base, adapters: Path) -> None:
    name = "transformer_blocks.0.attn.to_q.weight"
    home = Residence(base, MODEL)
    with home.use("transformer"):
        before = base.transformer.get_parameter(name).clone()
    adapter = read_adapter(str(adapters / "lora_bf16_alpha.safetensors"), base.adapter_shapes(), FLUX2_NAMING)
    AdapterStack(base).apply([(adapter, 1.0)], "merged")
    with home.use("transformer"):
        assert not torch.equal(base.transformer.get_parameter(name), before)


def test_what_is_written_into_a_streamed_block_at_rest_is_what_arrives_next() -> None:
    layer, cpu = torch.nn.Linear(4, 4), CPU
    group = ModuleGroup(
        [layer], cpu, cpu, offload_leader=layer, stream=torch.cpu.Stream(), record_stream=True, low_cpu_mem_usage=True
    )
    group.offload_()
    with torch.no_grad():
        layer.get_parameter("weight").copy_(torch.full((4, 4), 7.0))
    assert torch.equal(group.cpu_param_dict[layer.weight], torch.full((4, 4), 7.0))  # from which diffusers onloads


def test_blocks_come_one_by_one_and_leave_even_when_one_fails(
    klein: Checkpoint, make_request: Callable[..., Request]
) -> None:
    base, seen = flux2.load(klein, make_request(dtype="bfloat16", quantize_transformer="qfloat8").base, CPU), []

    def failing(module: torch.nn.Module, inputs: Any, output: Any) -> None:
        seen.append({block: block.attn.to_out[0].weight.device for block in base.transformer.transformer_blocks})
        raise torch.OutOfMemoryError("no more")

    elsewhere = replace(base, device=META)
    home = Residence(elsewhere, BLOCK)
    block = base.transformer.transformer_blocks[0]
    block.attn.to_add_out.register_forward_hook(failing)
    with pytest.raises(torch.OutOfMemoryError), home.use("transformer"):
        _meta_forward(base)
    assert sorted(device.type for device in seen[0].values()) == ["cpu", "meta"]
    assert {tensor.device.type for tensor in base.transformer.parameters()} == {"cpu"}


@torch.no_grad()
def test_a_text_encoder_by_blocks_encodes_the_same() -> None:
    from transformers import Qwen3Config, Qwen3Model

    config = Qwen3Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
    )
    model, tokens = Qwen3Model(config).eval(), torch.arange(8)[None]
    encoder = TextEncoder(model, None, 8, torch.float32, CPU)
    expected = model(input_ids=tokens, output_hidden_states=True).hidden_states
    placed = place_text_encoder(encoder, BLOCK, CPU)
    got = placed.model(input_ids=tokens, output_hidden_states=True).hidden_states
    assert all(torch.equal(one, other) for one, other in zip(got, expected, strict=True))
    assert place_text_encoder(encoder, BLOCK, META).device == META
    assert model.embed_tokens.weight.device == META
    assert model.layers[0].mlp.up_proj.weight.device == CPU


# ---- memory that runs out ----


def test_after_the_first_time_one_step_down_and_so_for_later_jobs(
    klein: Checkpoint, make_request: Callable[..., Request], capsys: pytest.CaptureFixture[str]
) -> None:
    pipelines, request, modes = Pipelines(), make_request(), []

    def work(loaded: Loaded) -> str:
        modes.append(loaded.memory.mode)
        if len(modes) == 1:
            raise torch.OutOfMemoryError("tried to allocate 3.00 GiB")
        return loaded.memory.reason

    reason = pipelines.with_base(klein, request, work)
    assert modes == [RESIDENT, MODEL]
    assert reason.startswith("model: after memory ran out (resident: tried to allocate 3.00 GiB); estimate ")
    assert pipelines.with_base(klein, request, work) == reason  # the same load
    assert pipelines.with_base(klein, request, work, offload="block").startswith("block: after memory ran out")
    assert modes == [RESIDENT, MODEL, MODEL, BLOCK]
    assert "out of memory (resident: tried to allocate 3.00 GiB)" in capsys.readouterr().err


def test_the_second_time_is_an_error_with_the_numbers(klein: Checkpoint, make_request: Callable[..., Request]) -> None:
    def work(loaded: Loaded) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    pipelines = Pipelines()
    with pytest.raises(DeviceMemoryError) as error:
        pipelines.with_base(klein, make_request(), work)
    said = str(error.value)
    assert "64x64: out of memory twice: resident: DefaultCPUAllocator: can't allocate memory" in said
    assert "; then model: DefaultCPUAllocator" in said
    assert "Free now: " in said
    assert "quantize.transformer: qfloat8" in said
    assert pipelines.with_base(klein, make_request(), lambda loaded: loaded.memory.mode) == BLOCK


def test_a_copy_of_weights_goes_before_the_mode_does(klein: Checkpoint, make_request: Callable[..., Request]) -> None:
    request = make_request(loras=(Lora("my.safetensors", 1.0, "55"),), lora_merge="merged")
    pipelines, plans = Pipelines(), []

    def work(loaded: Loaded) -> None:
        plans.append((loaded.memory.mode, loaded.pristine.place))
        raise torch.OutOfMemoryError("no more")

    with pytest.raises(DeviceMemoryError, match="64x64: out of memory three times: resident: no more; then resident: "):
        pipelines.with_base(klein, request, work)
    assert plans == [(RESIDENT, ON_DEVICE), (RESIDENT, IN_FILE), (MODEL, IN_FILE)]


def test_another_models_copy_goes_before_the_model(klein: Checkpoint, make_request: Callable[..., Request]) -> None:
    def free(device: torch.device) -> Budget:
        return Budget("cpu", 0 if copied and copied[0].bytes else 64 * GB, 64 * GB, 64 * GB)

    copied: list[Pristine] = []
    pipelines, merging = Pipelines(free), make_request(loras=(Lora("my.safetensors", 1.0, "55"),), lora_merge="merged")
    first = pipelines.base(klein, merging)
    first.pristine.keep(["proj_out.weight"])
    copied.append(first.pristine)
    pipelines.base(klein, make_request(dtype="bfloat16"))
    assert (first.pristine.bytes, first.pristine.place) == (0, IN_FILE)
    assert pipelines.base(klein, merging) is first
    assert first.pristine.place == ON_DEVICE  # there is room again


def test_adapters_go_before_another_models_copy(
    klein: Checkpoint, make_request: Callable[..., Request], adapters: Path
) -> None:
    file = adapters / "lora_bf16.safetensors"
    merging = make_request(loras=(Lora(str(file), 1.0, sha256_of(file)),), lora_merge="merged")
    read = WeakSet[Adapter]()
    pipelines = Pipelines(lambda device: Budget("cpu", 0 if read else 64 * GB, 64 * GB, 64 * GB))
    first = pipelines.base(klein, merging)
    first.pristine.keep(["proj_out.weight"])
    read.update(first.adapters(merging).values())
    pipelines.base(klein, make_request(dtype="bfloat16"))
    assert not read
    assert first.pristine.bytes
    assert pipelines.base(klein, merging) is first


@pytest.mark.parametrize(("device", "stay"), [("cuda", True), ("cpu", False)])
def test_adapters_stay_where_the_device_alone_is_short(
    klein: Checkpoint, make_request: Callable[..., Request], adapters: Path, device: str, stay: bool
) -> None:
    """Two bases take turns, and there is room for one."""
    file, loaded = adapters / "lora_bf16.safetensors", WeakSet[Loaded]()
    pipelines = Pipelines(lambda _: Budget(device, 0 if loaded else 24 * GB, 24 * GB, 64 * GB))
    loras = (Lora(str(file), 1.0, sha256_of(file)),)
    merging = make_request(loras=loras, lora_merge="merged")
    loaded.add(first := pipelines.base(klein, merging))
    read = WeakSet[Adapter](first.adapters(merging).values())
    first_id = first.load_id
    del first
    loaded.add(pipelines.base(klein, make_request(dtype="bfloat16")))
    assert len(read) == stay
    assert pipelines.base(klein, merging).load_id != first_id


@pytest.mark.parametrize(("spare", "stay"), [(0, False), (GB, True)])
def test_a_pinned_copy_is_planned_as_if_no_adapters_were_kept(
    klein: Checkpoint, make_request: Callable[..., Request], adapters: Path, spare: int, stay: bool
) -> None:
    """They go where it has no room beside them."""
    file, read = adapters / "lora_bf16.safetensors", WeakSet[Adapter]()
    merging = make_request(loras=(Lora(str(file), 1.0, sha256_of(file)),), lora_merge="merged")
    footprint = footprints(klein, merging.base, {Workload.of(merging)})[None]
    room = with_margin(footprint.beside(MODEL) + footprint.touched) + spare
    pipelines = Pipelines(lambda _: Budget("cuda", 24 * GB, 24 * GB, room - sum(each.bytes for each in read)))
    read.update(pipelines.base(klein, make_request()).adapters(merging).values())
    memory = pipelines.base(klein, merging.changed(checkpoint_digest="other"), offload=MODEL).memory
    assert (memory.mode, memory.copy, len(read)) == (MODEL, PINNED, stay)


def test_what_fits_in_no_mode_is_refused_by_the_models_name(
    klein: Checkpoint, make_request: Callable[..., Request]
) -> None:
    pipelines = Pipelines(budget=lambda device: Budget("cuda", GB // 10, 24 * GB, 64 * GB))
    with pytest.raises(DeviceMemoryError, match=r"tiny_klein: not enough memory: 0\.1 GB of 24\.0 GB free"):
        pipelines.base(klein, make_request())


@pytest.mark.parametrize(("free", "stays"), [(64 * GB, True), (0, False)])
def test_a_model_stays_for_as_long_as_the_next_one_has_room_beside_it(
    klein: Checkpoint, make_request: Callable[..., Request], free: int, stays: bool
) -> None:
    pipelines = Pipelines(budget=lambda device: Budget("cpu", free, 64 * GB, free))
    first = pipelines.base(klein, make_request())
    pipelines.base(klein, make_request(dtype="bfloat16"))
    assert (pipelines.base(klein, make_request()) is first) == stays


def test_of_several_models_the_one_used_longest_ago_goes_first(
    klein: Checkpoint, make_request: Callable[..., Request]
) -> None:
    """Of three there is room for two."""
    loaded = WeakSet[Loaded]()
    pipelines = Pipelines(lambda device: Budget("cpu", 0 if len(loaded) > 1 else 64 * GB, 64 * GB, 64 * GB))

    def use(digest: str) -> str:
        loaded.add(base := pipelines.base(klein, make_request(checkpoint_digest=digest)))
        return base.load_id

    one, two = use("1"), use("2")
    assert use("1") == one
    use("3")
    assert use("1") == one
    assert use("2") != two


def test_other_errors_pass(klein: Checkpoint, make_request: Callable[..., Request]) -> None:
    def work(loaded: Loaded) -> None:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        Pipelines().with_base(klein, make_request(), work)


def test_the_base_is_kept_for_smaller_pictures_and_for_the_same_wish(
    klein: Checkpoint, make_request: Callable[..., Request]
) -> None:
    pipelines, request = Pipelines(), make_request()

    def picture(width: int) -> frozenset[Workload]:
        return frozenset({Workload.of(make_request(width=width))})

    first = pipelines.base(klein, request, picture(128))
    assert pipelines.base(klein, request) is first
    assert pipelines.base(klein, request, picture(256)) is first  # planned again, the mode will do
    assert pipelines.base(klein, request, offload="block") is not first


def test_a_real_failing_allocation_is_recognised() -> None:
    script = (
        "import resource, torch; from darkroom.render.device.lost import ran_out_of_memory\n"
        "resource.setrlimit(resource.RLIMIT_AS, (16 * 10**9, 16 * 10**9))\n"
        "try: torch.empty(10**11)\n"
        "except RuntimeError as error: print(ran_out_of_memory(error), type(error).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True RuntimeError\n"


def test_what_counts_as_out_of_memory() -> None:
    assert ran_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert ran_out_of_memory(MemoryError())
    assert not ran_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))


@pytest.mark.parametrize(
    ("error", "lost"),
    [
        (torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), True),
        (RuntimeError("CUDA error: unspecified launch failure"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), True),
        (torch.AcceleratorError("CUDA error: out of memory"), False),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), False),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("CUDA error"), False),
    ],
)
def test_what_counts_as_a_lost_device(error: Exception, lost: bool) -> None:
    assert is_lost(error) == lost


# ---- attention ----


def test_attention_has_one_kernel_for_each_part() -> None:
    flash, efficient = SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION
    assert attention_kernels("transformer", torch.bfloat16, (8, 9)) == [flash, efficient]  # the second if masked
    assert attention_kernels("transformer", torch.float32, (8, 9)) == [efficient]
    assert attention_kernels("transformer", torch.bfloat16, (7, 5)) == [SDPBackend.MATH]  # no bfloat16 in the others
    assert attention_kernels("vae", torch.bfloat16, (9, 0)) == [efficient]  # one head of 512, flash takes 256
    assert attention_kernels("text_encoder", torch.bfloat16, (9, 0)) == [efficient, flash]  # masked, and not


def test_records_say_how_a_cpu_computes() -> None:
    here = environment_of(CPU, torch.bfloat16)
    assert here.processor
    assert here.cpu_capability == torch.backends.cpu.get_cpu_capability()
    assert here.onednn_max_cpu_isa == os.environ.get("ONEDNN_MAX_CPU_ISA")
    assert (here.gpu_capability, here.driver_version, here.cuda_version, here.cudnn_version) == (None,) * 4


def test_a_cpu_is_left_alone() -> None:
    assert environment_of(CPU, torch.bfloat16).attention_backend == "sdpa"
    with fixed_kernels(CPU, torch.bfloat16, "transformer"):
        query = torch.ones(1, 1, 2, 4)
        assert torch.equal(torch.nn.functional.scaled_dot_product_attention(query, query, query), query)


# ---- what the tests above need ----


@torch.no_grad()
def _meta_forward(base: Base) -> None:
    config = base.transformer.config
    base.transformer(
        hidden_states=torch.empty(1, 16, config.in_channels, dtype=base.dtype, device=META),
        encoder_hidden_states=torch.empty(1, 8, config.joint_attention_dim, dtype=base.dtype, device=META),
        timestep=torch.empty(1, dtype=base.dtype, device=META),
        img_ids=torch.empty(16, 4, device=META),
        txt_ids=torch.empty(8, 4, device=META),
    )


def _render(base: Base, home: Residence, request: Request) -> torch.Tensor:
    features = base.transformer.config.joint_attention_dim
    text = torch.randn(1, 16, features, generator=torch.Generator().manual_seed(0)).to(base.dtype)
    with home.use("transformer"):
        latents, _ = flux2.denoise(base, request.sampling, {"prompt_embeds": text}, None, (), on_step=lambda step: None)
    with home.use("vae"):
        return flux2.decode(base, latents)

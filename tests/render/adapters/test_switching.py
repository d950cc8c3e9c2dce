"""Switches between adapters: the same bits from wherever pristine weights rest, and those that there always were."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.render.bench import Bench

from darkroom.checkpoint import SINGLE_FILE, Component
from darkroom.errors import WeightFileError
from darkroom.files.weight_file import sha256_of
from darkroom.lora_files.flux2 import FLUX2_NAMING
from darkroom.render.adapters.file import Adapter, read_adapter
from darkroom.render.adapters.merged import MergedStack
from darkroom.render.adapters.product import LowRank, lokr_factor
from darkroom.render.device.mode import IN_FILE, ON_DEVICE, PINNED
from darkroom.render.device.pinned import PinnedMemory
from darkroom.render.device.pristine import Pristine
from darkroom.render.weights.base import Base
from darkroom.render.weights.reading import BaseWeights, by_own_name
from darkroom.render.weights.stored import stored_tensors
from darkroom.render.weights.tensor_file import ReadBuffer
from darkroom.request.parts import Lora
from darkroom.request.request import Request

CPU = torch.device("cpu")
Stack = list[tuple[Adapter, float]]


class Registered:
    """In place of CUDA: which pages are pinned. Pinning one twice, or letting one go that is not, is an error there."""

    def __init__(self) -> None:
        self.pages: dict[int, int] = {}  # address → bytes

    @property
    def memory(self) -> PinnedMemory:
        return PinnedMemory(self.register, self.unregister)

    def register(self, address: int, size: int) -> None:
        assert address % 4096 == size % 4096 == 0
        assert all(address + size <= start or start + length <= address for start, length in self.pages.items())
        self.pages[address] = size

    def unregister(self, address: int) -> None:
        del self.pages[address]


@pytest.fixture
def files(base: Base, adapters: Path) -> list[Adapter]:
    """Of every kind and precision."""
    names = ("lora_bf16", "lora_bf16_alpha", "lora_all_linears_bf16", "lokr_full_fp16", "lokr_dec_bf16_alpha")
    return [read_adapter(adapters / f"{n}.safetensors", base.adapter_shapes(), FLUX2_NAMING) for n in names]


def test_after_200_switches_the_weights_are_those_of_the_file_wherever_copies_rest(
    base: Base, files: list[Adapter]
) -> None:
    """Copies move in between, as they do when a larger picture needs their room."""
    drawn, registered = random.Random(7), Registered()
    pristine = Pristine(base, ON_DEVICE, registered.memory)
    stack, places = MergedStack(base, pristine), [IN_FILE, PINNED, ON_DEVICE, PINNED, IN_FILE]
    for number in range(1, 201):
        chosen = [
            (adapter, drawn.choice([-1.0, 0.3, 0.5, 1.0])) for adapter in drawn.sample(files, drawn.randint(0, 2))
        ]
        stack.apply(chosen, "merged")
        if number % 40 == 0:
            assert _differing(base, chosen) == []
            assert bool(registered.pages) == (pristine.place == PINNED)
            pristine.move(places.pop())
    stack.apply([], "merged")
    assert _differing(base, []) == []


@pytest.mark.parametrize("place", [ON_DEVICE, PINNED])
def test_what_is_copied_is_never_read_from_the_file_again(
    base: Base, files: list[Adapter], place: str, tmp_path: Path
) -> None:
    """Not when it is copied either, nor to tell whether a delta is lost in rounding."""
    gone = _weights_of_a_file_that_is_gone(base, tmp_path)
    pristine = Pristine(gone, place, Registered().memory)
    stack = MergedStack(gone, pristine)
    for chosen in ([(files[0], 1e-9)], [(files[3], 1.0)], [(files[2], 0.5), (files[0], 1.0)]):
        stack.apply(chosen, "merged")
        assert stack.is_lost_in_rounding == (chosen[0][1] == 1e-9)
    assert pristine.bytes > 0
    stack.apply([], "merged")
    assert _differing(base, []) == []


def test_only_what_adapters_touch_is_copied_and_all_of_it_can_be_let_go(base: Base, files: list[Adapter]) -> None:
    pristine = Pristine(base, ON_DEVICE)
    stack = MergedStack(base, pristine)
    stack.apply([], "merged")
    assert pristine.bytes == 0
    stack.apply([(files[0], 1.0)], "merged")
    touched = {part.parameter for layer in files[0].deltas for part in base.adapter_modules[layer]}
    assert pristine.bytes == sum(base.transformer.get_parameter(name).nbytes for name in touched)
    pristine.move(IN_FILE)
    assert pristine.bytes == 0
    stack.apply([(files[0], 0.5)], "merged")
    assert _differing(base, [(files[0], 0.5)]) == []


def test_pinned_pages_are_let_go_with_their_owner() -> None:
    registered = Registered()
    memory = registered.memory
    copies = [memory.copy_of(torch.full((size,), 7.0)) for size in (1, 3000, 5)]
    assert [copy.unique().tolist() for copy in copies] == [[7.0]] * 3
    assert sorted(registered.pages.values()) == [4096, 4096, 12288]
    del memory
    assert registered.pages == {}


@pytest.mark.parametrize("rank", [1, 4, 16, 100])
@pytest.mark.parametrize(("rows", "columns"), [(864, 96), (259, 1000), (1021, 480)])
def test_rows_at_a_time_make_no_difference_to_a_number(rank: int, rows: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(rank)
    left, right = (torch.randn(shape, generator=generator) for shape in ((rows, rank), (rank, columns)))
    whole = (left @ right).mul_(0.3).mul_(0.5)
    delta = LowRank(left, right, 0.3, 0.5)
    for begin, end in ((0, 128), (128, rows), (4, 8), (rows - 130, rows)):
        out = torch.empty(end - begin, columns)
        assert torch.equal(delta.rows(slice(begin, end), out), whole[begin:end])


def test_a_read_buffer_holds_what_the_file_has_in_several_pieces(tmp_path: Path) -> None:
    """20 MB are three pieces, read by two threads; rows of it are less."""
    stored = torch.arange(5 * 2**20, dtype=torch.float32).reshape(-1, 1024)
    save_file({"a": stored, "b": torch.tensor(3.0)}, tmp_path / "w.safetensors")
    buffer = ReadBuffer(threads=2)
    assert torch.equal(buffer.read_rows(tmp_path / "w.safetensors", "a", slice(None)), stored)
    assert torch.equal(buffer.read_rows(tmp_path / "w.safetensors", "a", slice(100, 4000)), stored[100:4000])
    assert buffer.read_rows(tmp_path / "w.safetensors", "b", slice(None)).item() == 3.0
    with (tmp_path / "w.safetensors").open("rb+") as file:
        file.truncate(2**20)
    with pytest.raises(WeightFileError, match=r"w\.safetensors: a: expected 20971520 bytes, got 104.*; copy the file"):
        buffer.read_rows(tmp_path / "w.safetensors", "a", slice(None))


def test_another_strength_reads_no_adapter_file_and_records_say_where_weights_came_from(
    bench: Bench, make_request: Callable[..., Request], adapters: Path, tmp_path: Path
) -> None:
    file = tmp_path / "my_lora.safetensors"
    file.write_bytes((adapters / "lora_bf16.safetensors").read_bytes())
    changes: dict[str, Any] = {"dtype": "bfloat16", "guidance_scale": 1.0}
    digest = sha256_of(file)
    first, other, same = (
        bench.request(make_request, loras=(Lora(str(file), strength, digest),), seed=seed, **changes)
        for strength, seed in ((1.0, 1), (0.5, 1), (0.5, 2))
    )
    plain = bench.request(make_request, **changes)
    assert [row["switched_from"] for row in bench.render(plain)[0]] == [None]
    (row,), _ = bench.render(first)
    assert row["switched_from"] == "device"
    assert "GB more for the weights that adapters are merged into" in row["memory_plan"]
    rows, _ = bench.render(other, same)
    assert [row["switched_from"] for row in rows] == ["device", None]
    file.unlink()
    loaded = bench.pipelines.base(bench.checkpoint, first)
    assert loaded.adapters(other) == loaded.adapters(first)


# ---- what the tests above need ----


def _differing(base: Base, stack: Stack) -> list[str]:
    """The parameters that are not what the stack makes of the file's, as a whole and as Darkroom 0.1.0 computed it."""
    expected = {name: base.weights.read(name, base.dtype, CPU) for name in base.transformer.state_dict()}
    for layer, parts in base.adapter_modules.items():
        sums = [expected[part.parameter].float() for part in parts]
        for adapter, multiplier in stack:
            for delta in adapter.deltas.get(layer, ()):
                stored = {suffix: tensor.float() for suffix, tensor in delta.tensors.items()}
                scale = delta.scale(torch.float32)
                for number, part in enumerate(parts):
                    if "lora_A.weight" in stored:
                        rows = delta.cut(stored["lora_B.weight"], part)
                        sums[number] += (rows @ stored["lora_A.weight"]).mul_(multiplier).mul_(scale)
                    else:
                        whole = torch.kron(lokr_factor(stored, "lokr_w1"), lokr_factor(stored, "lokr_w2"))
                        sums[number] += (delta.cut(whole, part) * scale).mul_(multiplier)
        expected |= {part.parameter: total.to(base.dtype) for part, total in zip(parts, sums, strict=True)}
    found = base.transformer.state_dict()
    return [name for name, tensor in expected.items() if not torch.equal(found[name], tensor)]


def _weights_of_a_file_that_is_gone(base: Base, folder: Path) -> Base:
    save_file({"a.weight": torch.zeros(1)}, folder / "w.safetensors")
    component = Component(str(folder / "w.safetensors"), SINGLE_FILE, digest="")
    return replace(base, weights=BaseWeights(component, stored_tensors(component).values(), by_own_name))

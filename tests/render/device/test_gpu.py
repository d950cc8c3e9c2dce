"""Every family on a GPU that a processor stands in for: all that it computes with is on it, in every memory mode, and
its pictures are the processor's.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tests.machine.gpu import Gpu, installed
from tests.machine.memories import GPU, HOST, WrongDeviceError, place_of
from tests.places import DATA
from tests.render.bench import Bench
from tests.render.goldens import FLUX1, ZIMAGE, flux1_checkpoint, zimage_checkpoint
from torch.nn.functional import linear, scaled_dot_product_attention

from darkroom.checkpoint import Checkpoint, component_digest
from darkroom.files.weight_file import sha256_of
from darkroom.render.device.environment import fixed_kernels
from darkroom.render.device.mode import IN_FILE, ON_DEVICE, PINNED, Workload
from darkroom.render.device.pinned import PinnedMemory
from darkroom.render.device.stream import CudaStream, to_device
from darkroom.render.loaded import Loaded
from darkroom.render.picture import Made, make_picture, queue_picture
from darkroom.render.pipelines import Pipelines
from darkroom.render.texts import encode
from darkroom.request.parts import Lora, ReferenceImage
from darkroom.request.request import Request
from darkroom.store import Store

PARITY = DATA / "parity"
CUDA = torch.device("cuda")
MakeRequest = Callable[..., Request]


# ---- every family ----


@dataclass(frozen=True)
class Model:
    """A tiny model of a family, what is usual for its pictures, and adapters for it."""

    checkpoint: Checkpoint
    usual: Mapping[str, Any]
    adapters: Sequence[Path]
    images: Sequence[Mapping[str, Any]] = ()  # settings of pictures that see one

    def requests(self, make: MakeRequest, **changes: Any) -> list[Request]:
        """The base, each adapter merged, all of them live, and what sees images: one after the other on one base."""
        usual = {"dtype": "bfloat16", "sample_steps": 1, **self.usual, **changes}
        loras = [Lora(str(path), 0.7, sha256_of(path)) for path in self.adapters]
        live: dict[str, Any] = {"loras": tuple(loras), "lora_merge": "live"}
        merged: list[dict[str, Any]] = [
            {"loras": (lora,), "lora_merge": regime}
            for lora, regime in zip(loras, ("merged", "merged_in_dtype"), strict=False)
        ]
        asked = [{}, live, *self.images] if "quantize_transformer" in changes else [{}, *merged, live, *self.images]
        return [make(**usual, **each) for each in asked]


@pytest.fixture
def model(request: pytest.FixtureRequest, klein: Checkpoint, dev: Checkpoint) -> Model:
    found = _models(klein, dev)[request.param]
    parts = {
        part: replace(each, digest=component_digest(Path(each.path), each.layout, sha256_of))
        for part, each in found.checkpoint.components.items()
    }
    checkpoint = replace(found.checkpoint, components=parts)
    digests = {"checkpoint_digest": checkpoint.digest}
    if "text_encoder" in parts:
        digests["text_encoder_digest"] = checkpoint.text_encoder_digest
    return replace(found, checkpoint=checkpoint, usual={**found.usual, **digests})


def _models(klein: Checkpoint, dev: Checkpoint) -> dict[str, Model]:
    embeds = PARITY / "dev" / "prompt_embeds.safetensors"
    own = {"prompt": "", "prompt_embeds": str(embeds), "prompt_embeds_sha256": sha256_of(embeds)}
    embedded = {"guidance": "embedded", "guidance_scale": 3.5}
    zimage = {"family": "zimage", "text_encoder_cast": True, "neg": "blurry, and out of focus"}
    seen = {"ctrl_images": _image(min((PARITY / "references").glob("*.png")))}
    control = {"ctrl_images": _image(FLUX1 / "references/c_64x64.png"), "ctrl_idx": 1}
    inpaint = {"ctrl_images": _image(FLUX1 / "references/i_64x64.inpaint.png"), "ctrl_idx": 0}
    return {
        "klein": Model(klein, {"neg": "blurry"}, _adapters(PARITY, "lora_bf16_alpha", "lokr_full_bf16"), [seen]),
        "dev": Model(dev, {**embedded, **own}, _adapters(PARITY, "lora_dev_bf16"), [seen]),
        "flux": Model(
            flux1_checkpoint("flux"),
            {"family": "flux", "attn_masking": True, **embedded},
            _adapters(FLUX1, "flux_lora_bf16", "flux_lokr_new_bf16"),
        ),
        "flex2": Model(
            flux1_checkpoint("flex2"),
            {"family": "flex2", **embedded},
            _adapters(FLUX1, "flex2_lora_bf16", "flex2_lokr_dec_bf16"),
            [control, inpaint],
        ),
        "zimage": Model(
            zimage_checkpoint("zimage"), zimage, _adapters(ZIMAGE, "zimage_lora_bf16", "zimage_lokr_f4_bf16")
        ),
        "turbo": Model(
            zimage_checkpoint("turbo", training_adapter="turbo_assistant_bf16"),
            {**zimage, "guidance_scale": 1.0},
            _adapters(ZIMAGE, "turbo_lora_bf16"),
        ),
    }


def _adapters(root: Path, *names: str) -> list[Path]:
    return [root / "adapters" / f"{name}.safetensors" for name in names]


def _image(path: Path) -> tuple[ReferenceImage, ...]:
    return (ReferenceImage(str(path), sha256_of(path)),)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["klein", "dev", "flux", "flex2", "zimage", "turbo"], indirect=True)
def test_a_family_makes_the_same_pictures_in_every_memory_mode(
    model: Model, make_request: MakeRequest, tmp_path: Path
) -> None:
    requests, cpu, gpu = model.requests(make_request), Store(tmp_path / "cpu"), Store(tmp_path / "gpu")
    _encode(requests, model, cpu)
    expected = _render(requests, model, cpu)
    with installed():
        _encode(requests, model, gpu)
        for wish, place in (("none", ON_DEVICE), ("model", PINNED), ("block", PINNED)):
            made = _render(requests, model, gpu, wish)
            _check(made, expected)
            assert made[1].cost.switched_from == place


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "quantization"),
    [("klein", "qfloat8"), ("flux", "qint8"), ("flex2", "qint4"), ("turbo", "float8")],
    indirect=["model"],
)
def test_a_quantised_base_does_too(model: Model, quantization: str, make_request: MakeRequest, tmp_path: Path) -> None:
    requests, store = model.requests(make_request, quantize_transformer=quantization), Store(tmp_path / "store")
    _encode(requests, model, store)
    expected = _render(requests, model, store)
    with installed():
        for wish in ("none", "block"):
            _check(_render(requests, model, store, wish), expected)


@pytest.mark.parametrize(("model", "quantization"), [("klein", "qfloat8"), ("flux", "qint4")], indirect=["model"])
def test_a_quantised_text_encoder_encodes_the_same(
    model: Model, quantization: str, make_request: MakeRequest, tmp_path: Path
) -> None:
    request = make_request(dtype="bfloat16", quantize_text_encoder=quantization, **model.usual)
    expected = _encode([request], model, Store(tmp_path / "cpu"))
    with installed():
        for wish in ("none", "block"):
            encoded = _encode([request], model, Store(tmp_path / wish), wish)
            assert all(torch.equal(each, theirs) for each, theirs in zip(encoded, expected, strict=True))


@pytest.mark.parametrize("model", ["klein"], indirect=True)
def test_switching_gives_the_same_weights_from_the_file(
    model: Model, make_request: MakeRequest, tmp_path: Path
) -> None:
    """From the device and from pinned memory: in the memory modes above."""
    requests, store = model.requests(make_request)[:3], Store(tmp_path / "store")
    _encode(requests, model, store)
    expected = _render(requests, model, store)
    with installed():
        made = _render(requests, model, store, first=lambda loaded: loaded.pristine.move(IN_FILE))
    _check(made, expected)
    assert [each.cost.switched_from for each in made] == [None, IN_FILE, IN_FILE]


@pytest.mark.parametrize("model", ["klein", "flex2", "turbo"], indirect=True)
def test_a_picture_of_the_same_stack_is_given_without_waiting(
    model: Model, make_request: MakeRequest, tmp_path: Path
) -> None:
    *_, request = model.requests(make_request)
    store = Store(tmp_path / "store")
    with installed() as gpu:
        _encode([request], model, store)

        def twice(loaded: Loaded) -> None:
            make_picture(store, request, loaded, lambda: None)
            gpu.waits.clear()
            queue_picture(store, request, loaded, lambda: None)

        Pipelines().with_base(model.checkpoint, request, twice)
        assert gpu.waits == []


def test_a_combination_is_fetched_and_written_while_the_next_is_denoised(
    bench: Bench, make_request: MakeRequest
) -> None:
    requests = [bench.request(make_request, seed=seed) for seed in (1, 2, 3)]

    def pictures() -> list[tuple[bytes, bytes]]:
        rows, _ = bench.render(*requests, save_latents=True)
        files = [Path(row["image_path"]) for row in rows]
        made = [(Image.open(file).tobytes(), file.with_suffix(".safetensors").read_bytes()) for file in files]
        for request in requests:
            bench.store.image(request.request_id, "png", 95).unlink()
        return made

    expected = pictures()
    with installed():
        bench.pipelines = Pipelines()
        assert pictures() == expected
    assert {row["device"] for row in bench.records()} == {"cuda"}


def _encode(requests: Sequence[Request], model: Model, store: Store, wish: str = "auto") -> list[torch.Tensor]:
    """What the store has of all texts afterwards."""
    paths = {store.embedding(each.encoder.embedding_id(text)): text for each in requests for text in each.texts}
    if paths:
        encode(requests[0].encoder, model.checkpoint, paths, wish, store)
    return [tensor for path in paths for _, tensor in sorted(load_file(path).items())]


def _render(
    requests: Sequence[Request],
    model: Model,
    store: Store,
    wish: str = "auto",
    first: Callable[[Loaded], None] = lambda loaded: None,
) -> list[Made]:
    pipelines, pictures = Pipelines(), frozenset(Workload.of(each) for each in requests)

    def made(loaded: Loaded, request: Request) -> Made:
        first(loaded)
        return make_picture(store, request, loaded, lambda: None)

    return [
        pipelines.with_base(model.checkpoint, each, lambda loaded, each=each: made(loaded, each), pictures, wish)
        for each in requests
    ]


def _check(made: Sequence[Made], expected: Sequence[Made]) -> None:
    for ours, theirs in zip(made, expected, strict=True):
        assert np.array_equal(ours.pixels, theirs.pixels)
        assert torch.equal(ours.latents, theirs.latents)


# ---- what would be wrong on a GPU is an error on this one ----


@pytest.fixture
def gpu() -> Iterator[Gpu]:
    with installed() as gpu:
        yield gpu


@pytest.mark.parametrize("model", ["klein"], indirect=True)
@pytest.mark.parametrize("layer", ["proj_out", "transformer_blocks.1.attn.to_q"])
def test_a_weight_that_was_left_behind(
    gpu: Gpu, model: Model, make_request: MakeRequest, tmp_path: Path, layer: str
) -> None:
    request, *_ = model.requests(make_request)
    store = Store(tmp_path / "store")
    _encode([request], model, store)

    def left_behind(loaded: Loaded) -> None:
        loaded.base.transformer.get_submodule(layer).cpu()

    with pytest.raises(WrongDeviceError, match=r"^linear: tensors on cpu, cuda: \(1, \d+, \d+\) on cuda, \("):
        _render([request], model, store, first=left_behind)


def test_a_sum_of_what_lies_apart(gpu: Gpu) -> None:
    here, there = torch.ones(3), torch.ones(3, device=CUDA)
    with pytest.raises(WrongDeviceError, match=r"^add: tensors on cpu, cuda: \(3,\) on cuda, \(3,\) on cpu$"):
        there + here
    with pytest.raises(WrongDeviceError, match=r"^linear: "):
        linear(there, torch.ones(2, 3))
    with pytest.raises(TypeError, match="can't convert cuda:0"):
        there.numpy()
    assert [place_of(each) for each in (there + there, there + 1, there.view(3, 1), there.to(HOST))] == [GPU] * 3 + [
        HOST
    ]
    assert place_of(torch.nn.Parameter(there)) == GPU
    assert place_of(there + torch.tensor(2.0)) == GPU  # a single number goes along with the call


def test_a_copy_that_is_read_before_it_has_come(gpu: Gpu) -> None:
    stream = CudaStream()
    coming, begun = stream.to_host(torch.ones(4, device=CUDA)), stream.point()
    assert coming.isnan().all()
    begun.wait()
    assert torch.equal(coming, torch.ones(4))


def test_a_clock_that_is_read_before_its_time(gpu: Gpu) -> None:
    stream = CudaStream()
    begun = stream.point()
    torch.ones(4, device=CUDA) + 1
    ended = stream.point()
    with pytest.raises(WrongDeviceError, match="a clock is read before the device has passed it"):
        ended.seconds_since(begun)
    ended.wait()
    assert ended.seconds_since(begun) >= 0


def test_pinned_memory_that_is_written_before_it_was_taken(gpu: Gpu) -> None:
    memory = PinnedMemory()
    pinned = memory.copy_of(torch.ones(3))
    taken = to_device(pinned, CUDA)
    torch.cuda.synchronize()
    pinned.fill_(2.0)
    assert taken.tolist() == [1.0, 1.0, 1.0]

    pinned.to(CUDA, non_blocking=True)
    pinned.fill_(3.0)
    with pytest.raises(WrongDeviceError, match=r"pinned memory of \(3,\) was written before it was taken"):
        torch.cuda.synchronize()


def test_pinned_memory_that_is_given_back_is_waited_for(gpu: Gpu) -> None:
    memory = PinnedMemory()
    memory.copy_of(torch.ones(3)).to(CUDA, non_blocking=True)
    memory.release()
    assert gpu.waits == ["synchronize"]


def test_attention_that_no_allowed_kernel_takes(gpu: Gpu) -> None:
    query = torch.ones(1, 2, 4, 8, dtype=torch.bfloat16, device=CUDA)
    with fixed_kernels(CUDA, torch.bfloat16, "transformer"):
        assert place_of(scaled_dot_product_attention(query, query, query)) == GPU
    wide = torch.ones(1, 1, 4, 512, dtype=torch.bfloat16, device=CUDA)
    with fixed_kernels(CUDA, torch.bfloat16, "clip"), pytest.raises(WrongDeviceError, match="with heads of 512"):
        scaled_dot_product_attention(wide, wide, wide)

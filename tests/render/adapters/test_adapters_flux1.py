"""LoRA and LoKr files of FLUX.1, Flex.1 and Flex.2: read strictly, told apart, and applied as the trainer does."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from diffusers import FluxTransformer2DModel
from safetensors.torch import load_file, save_file
from tests.places import DATA
from torch.nn.functional import linear

from darkroom.checkpoint import DIFFUSERS, Checkpoint, Component
from darkroom.errors import AdapterError
from darkroom.files.weight_file import Header, read_header
from darkroom.lora_files import flux1 as bases
from darkroom.lora_files.families import NAMINGS
from darkroom.lora_files.file import LoraFile
from darkroom.lora_files.flux1 import FLEX2_NAMING, FLUX_NAMING
from darkroom.lora_files.judge import Applicable, judge
from darkroom.lora_files.layers import layers_in, layers_of
from darkroom.lora_files.naming import AdapterNaming, KnownBase, LayerShapes
from darkroom.render.adapters.file import Adapter, read_adapter
from darkroom.render.adapters.stack import AdapterStack
from darkroom.render.families.flux1 import flex2, flux
from darkroom.render.weights.base import Base
from darkroom.request.request import Request

FILES = DATA / "parity" / "flux1"
CPU = torch.device("cpu")
TO_Q = "transformer.transformer_blocks.0.attn.to_q"  # 96 x 96
Tensors = dict[str, torch.Tensor]


def _draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.2


def _checkpoint(model: str) -> Checkpoint:
    parts = {"transformer": FILES / model / "transformer", "vae": FILES / "flux" / "vae"}
    components = {part: Component(str(path), DIFFUSERS, digest="") for part, path in parts.items()}
    return Checkpoint(model, None, components)


@pytest.fixture(params=["flux", "flex2"])
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def base(model: str, make_request: Callable[..., Request]) -> Base:
    """Two double and two single blocks, hidden size 96, bfloat16."""
    request = make_request(family=model, guidance="embedded", dtype="bfloat16")
    return {"flux": flux, "flex2": flex2}[model].load(_checkpoint(model), request.base, CPU)


def _read(base: Base, path: Path, *, allow_foreign: bool = False) -> Adapter:
    return read_adapter(path, base.adapter_shapes(), NAMINGS[base.name], allow_foreign=allow_foreign)


@pytest.mark.parametrize(
    ("name", "kind", "keys"),
    [
        ("lora_bf16", "lora", 80),
        ("lora_fp16", "lora", 80),
        ("lokr_new_bf16", "lokr", 120),
        ("lokr_old_bf16", "lokr", 120),
        ("lokr_dec_bf16", "lokr", 160),
        ("lokr_olddec_bf16", "lokr", 160),
    ],
)
def test_files_of_the_trainer(base: Base, model: str, name: str, kind: str, keys: int) -> None:
    """14 layers in each double block and 6 in each single one, in both LoKr namings."""
    adapter = _read(base, FILES / "adapters" / f"{model}_{name}.safetensors")
    assert (adapter.format, adapter.matched_keys, len(adapter.deltas)) == (kind, keys, 40)
    assert (adapter.left_out, adapter.foreign, adapter.warning) == (0, "", None)


def test_every_linear_layer_can_be_named(base: Base, tmp_path: Path) -> None:
    tensors = {
        f"transformer.{layer}.{suffix}": _draw(*shape)
        for layer, (rows, columns) in base.adapter_shapes().items()
        for suffix, shape in (("lora_A.weight", (2, columns)), ("lora_B.weight", (rows, 2)))
    }
    save_file(tensors, tmp_path / "all.safetensors")
    adapter = _read(base, tmp_path / "all.safetensors")
    assert len(adapter.deltas) == 40 + 10  # beside the blocks: two embedders, three conditions of two, two at the end
    assert AdapterStack(base).apply([(adapter, 1.0)], "merged") == 50


def _lora() -> Tensors:
    return {"lora_A.weight": _draw(4, 96), "lora_B.weight": _draw(96, 4, seed=1)}


def _lokr(**factors: torch.Tensor) -> Tensors:
    return {f"lokr_{name}" if name != "alpha" else name: tensor for name, tensor in factors.items()}


LOW_RANK_W1 = {"w1_a": _draw(8, 2, seed=2), "w1_b": _draw(2, 12, seed=3)}
LOW_RANK_W2 = {"w2_a": _draw(12, 2, seed=4), "w2_b": _draw(2, 8, seed=5)}
FULL_W1, FULL_W2 = {"w1": _draw(8, 12, seed=6)}, {"w2": _draw(12, 8, seed=7)}
ALPHA = {"alpha": torch.tensor(3.0)}  # 1.5 times the rank, which a pair of whole factors does not have
LOKRS = [
    ({**FULL_W1, **FULL_W2, **ALPHA}, 1.0),
    ({**FULL_W1, **LOW_RANK_W2, **ALPHA}, 1.5),
    ({**LOW_RANK_W1, **FULL_W2, **ALPHA}, 1.5),
    ({**LOW_RANK_W1, **LOW_RANK_W2, **ALPHA}, 1.5),
]


def _saved(tensors: Mapping[str, torch.Tensor], path: Path, dtype: torch.dtype) -> Tensors:
    """What the file holds after rounding to its dtype, in float32."""
    save_file({f"{TO_Q}.{suffix}": tensor.to(dtype) for suffix, tensor in tensors.items()}, path)
    return {suffix: tensor.to(dtype).float() for suffix, tensor in tensors.items()}


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
def test_a_lora_is_multiplied_in_the_trainers_order(base: Base, tmp_path: Path, stored: torch.dtype) -> None:
    held = _saved(_lora(), tmp_path / "lora.safetensors", stored)
    down, up = held["lora_A.weight"], held["lora_B.weight"]
    layer, x, stack = base.transformer.transformer_blocks[0].attn.to_q, _draw(5, 96).bfloat16(), AdapterStack(base)
    plain, weight = layer(x), layer.weight.clone()
    adapter = _read(base, tmp_path / "lora.safetensors")
    stack.apply([(adapter, 0.7)], "live")
    assert torch.equal(layer(x), plain + (linear(linear(x.float(), down), up) * 0.7).bfloat16())
    stack.apply([(adapter, 0.7)], "merged")
    assert torch.equal(layer.weight, (weight.float() + 0.7 * (up @ down)).bfloat16())


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize(("factors", "scale"), LOKRS)
def test_a_lokr_is_multiplied_in_the_trainers_order(
    base: Base, tmp_path: Path, factors: Tensors, scale: float, stored: torch.dtype
) -> None:
    """Live in the base's dtype, a w2 of low rank as its two factors and the strength rounded; merged in float32."""
    held = _saved(_lokr(**factors), tmp_path / "lokr.safetensors", stored)
    w1 = held["lokr_w1"] if "lokr_w1" in held else held["lokr_w1_a"] @ held["lokr_w1_b"]
    w2 = [held[name] for name in ("lokr_w2", "lokr_w2_a", "lokr_w2_b") if name in held]  # their product is the factor
    layer, x, stack = base.transformer.transformer_blocks[0].attn.to_q, _draw(5, 96).bfloat16(), AdapterStack(base)
    plain, weight = layer(x), layer.weight.clone()
    adapter = _read(base, tmp_path / "lokr.safetensors")
    stack.apply([(adapter, 0.7)], "live")
    inner = x.unflatten(-1, (12, 8))
    for factor in reversed(w2):
        inner = torch.einsum("bqs,os->bqo", inner, factor.bfloat16())
    whole = torch.einsum("bqo,pq->bpo", inner, w1.bfloat16() * scale).flatten(-2)
    assert torch.equal(layer(x), plain + whole * torch.tensor(0.7).bfloat16())
    stack.apply([(adapter, 0.7)], "merged")
    second = w2[0] if len(w2) == 1 else w2[0] @ w2[1]
    assert torch.equal(layer.weight, (weight.float() + torch.kron(w1, second) * scale * 0.7).bfloat16())


# Which base a file is for: real sizes, without tensors.


def _layers(double: int, single: int, channels: int = 64) -> LayerShapes:
    """The linear layers of a transformer of real width."""
    with torch.device("meta"):
        transformer = FluxTransformer2DModel(
            in_channels=channels, out_channels=64, num_layers=double, num_single_layers=single, guidance_embeds=True
        )
    linears = ((name, module) for name, module in transformer.named_modules() if isinstance(module, torch.nn.Linear))
    return {name: (module.out_features, module.in_features) for name, module in linears}


FLUX1, FLEX1, FLEX2 = _layers(19, 38), _layers(8, 38), _layers(8, 38, channels=196)


def _blocks(layers: LayerShapes, *parts: str) -> dict[str, tuple[int, int]]:
    """What ai-toolkit trains: layers in blocks, of which `parts` have to be a part of the name if given."""
    inside = {name: shape for name, shape in layers.items() if "transformer_blocks." in name}
    return {name: shape for name, shape in inside.items() if not parts or any(part in name for part in parts)}


def _header(layers: LayerShapes, version: str | None, old: bool = False) -> Header:
    """Of a LoRA of rank 4 on these layers, or of an old LoKr."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (rows, columns) in layers.items():
        if old:
            key = f"lycoris_{name.replace('.', '_')}"
            shapes |= {f"{key}.lokr_w1": (4, 4), f"{key}.lokr_w2": (rows // 4, columns // 4)}
        else:
            key = f"transformer.{name}"
            shapes |= {f"{key}.lora_A.weight": (4, columns), f"{key}.lora_B.weight": (rows, 4)}
    metadata = {"ss_base_model_version": version} if version else {}
    return Header(shapes, dict.fromkeys(shapes, "BF16"), metadata)


def _assigned(header: Header, layers: LayerShapes, naming: AdapterNaming, allow: bool = False) -> Applicable:
    return judge(LoraFile("my.safetensors", header), layers, naming, allow_foreign=allow)


@pytest.mark.parametrize(
    ("known", "naming", "layers"),
    [(bases.FLUX1, FLUX_NAMING, FLUX1), (bases.FLEX1, FLUX_NAMING, FLEX1), (bases.FLEX2, FLEX2_NAMING, FLEX2)],
)
def test_a_known_base_has_the_layers_of_diffusers_module(
    known: KnownBase, naming: AdapterNaming, layers: LayerShapes
) -> None:
    assert layers_of(known, naming) == layers


def test_the_layers_of_files_are_those_of_the_loaded_base(base: Base) -> None:
    shapes = read_header(FILES / base.name / "transformer/diffusion_pytorch_model.safetensors").shapes
    assert layers_in(shapes, NAMINGS[base.name]) == base.adapter_shapes()


def test_the_layers_that_are_trained() -> None:
    assert [len(_blocks(layers)) for layers in (FLUX1, FLEX1, FLEX2)] == [494, 340, 340]


@pytest.mark.parametrize(
    ("theirs", "version", "base", "naming"),
    [
        (_blocks(FLUX1), "flux.1", FLUX1, FLUX_NAMING),
        (_blocks(FLEX1), "flux.1", FLEX1, FLUX_NAMING),
        (_blocks(FLEX2), "flex2", FLEX2, FLEX2_NAMING),
        (_blocks(FLEX2), None, FLEX2, FLEX2_NAMING),
        (FLEX2, "flex2", FLEX2, FLEX2_NAMING),
        # only_if_contains: less than Flex.1 is no sign of Flex.1
        (_blocks(FLUX1, "single_"), "flux.1", FLUX1, FLUX_NAMING),
        (_blocks(FLUX1, "single_"), "flux.1", FLEX1, FLUX_NAMING),
        (_blocks(FLUX1, *(f"k_proj_{i}." for i in range(8)), ".7."), "flux.1", FLUX1, FLUX_NAMING),
        (_blocks(FLEX1, "_blocks.0."), "flux.1", FLUX1, FLUX_NAMING),
        (_blocks(FLUX1, "attn.to_q"), "flux.1", FLUX1, FLUX_NAMING),
        # a header that names no base of ours is no sign of anything
        (_blocks(FLUX1), "flux1-dev-by-someone", FLUX1, FLUX_NAMING),
    ],
)
def test_an_adapter_of_the_base_has_a_place_for_every_key(
    theirs: LayerShapes, version: str | None, base: LayerShapes, naming: AdapterNaming
) -> None:
    for old in (False, True):
        header = _header(theirs, version, old)
        for allow in (False, True):
            assigned = _assigned(header, base, naming, allow)
            assert (len(assigned.deltas), assigned.left_out, assigned.foreign) == (len(theirs), (), "")


FOREIGN = {  # adapter, header, base, its naming → sentence, keys of rank 4 left out
    "Flex.1 on FLUX.1": (
        (_blocks(FLEX1), "flux.1", FLUX1, FLUX_NAMING),
        "this LoRA is for Flex.1: all of its 8 double and 38 single blocks, the base is FLUX.1 and has 19 and 38 "
        "(its header says flux.1)",
        0,
    ),
    "Flex.1's attention on FLUX.1": (
        (_blocks(FLEX1, "attn.to_q"), None, FLUX1, FLUX_NAMING),
        "this LoRA is for Flex.1 or Flex.2: all of its 8 double and 38 single blocks, the base is FLUX.1 and has 19 "
        "and 38",
        0,
    ),
    "FLUX.1 on Flex.1": (
        (_blocks(FLUX1), "flux.1", FLEX1, FLUX_NAMING),
        "this LoRA is for FLUX.1: all of its 19 double and 38 single blocks, the base is Flex.1 and has 8 and 38 "
        "(its header says flux.1)",
        11 * 14 * 2,
    ),
    "a part of FLUX.1 on Flex.1": (
        (_blocks(FLUX1, "s.7.", "s.10."), "flux.1", FLEX1, FLUX_NAMING),
        "this LoRA is for FLUX.1: 11 double and 11 single blocks or more, the base is Flex.1 and has 8 and 38 "
        "(its header says flux.1)",
        14 * 2,
    ),
    "FLUX.1 on Flex.2": (
        (_blocks(FLUX1), "flux.1", FLEX2, FLEX2_NAMING),
        "this LoRA is for FLUX.1, the base is Flex.2 (its header says flux.1)",
        11 * 14 * 2,
    ),
    "FLUX.1 without a header on Flex.2": (
        (_blocks(FLUX1), None, FLEX2, FLEX2_NAMING),
        "this LoRA is for FLUX.1: all of its 19 double and 38 single blocks, the base is Flex.2 and has 8 and 38",
        11 * 14 * 2,
    ),
    "Flex.1 on Flex.2": (
        (_blocks(FLEX1), "flux.1", FLEX2, FLEX2_NAMING),
        "this LoRA is for Flex.1, the base is Flex.2 (its header says flux.1)",
        0,
    ),
    "Flex.2 on Flex.1": (
        (_blocks(FLEX2), "flex2", FLEX1, FLUX_NAMING),
        "this LoRA is for Flex.2, the base is Flex.1 (its header says flex2)",
        0,
    ),
    "all of Flex.2 on FLUX.1": (
        (FLEX2, "flex2", FLUX1, FLUX_NAMING),
        "this LoRA is for Flex.2, the base is FLUX.1 (its header says flex2)",
        2,  # x_embedder, of 196 channels
    ),
}


@pytest.mark.parametrize(("case", "sentence", "left_out"), FOREIGN.values(), ids=FOREIGN)
def test_an_adapter_of_a_kindred_base_has_to_be_allowed(
    case: tuple[LayerShapes, str | None, LayerShapes, AdapterNaming], sentence: str, left_out: int
) -> None:
    theirs, version, base, naming = case
    for old in (False, True):
        header = _header(theirs, version, old)
        with pytest.raises(AdapterError) as refused:
            _assigned(header, base, naming)
        assert str(refused.value).startswith(f"my.safetensors: {sentence}. ")
        said = f"{left_out} of {2 * len(theirs)} keys cannot be applied: " if left_out else "All of its keys would fit;"
        assert said in str(refused.value)
        assert "; allow_foreign_lora: true applies " in str(refused.value)
        assigned = _assigned(header, base, naming, allow=True)
        assert (assigned.foreign, len(assigned.left_out)) == (sentence, left_out)
        assert len(assigned.keys) == 2 * len(theirs) - left_out


WIDE = {"transformer_blocks.0.attn.to_q": (6144, 6144)}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (_header(WIDE, None), "this LoRA is for FLUX.2 dev: hidden size 6144, the base has 3072"),
        (_header({"transformer_blocks.0.attn.to_q": (96, 3072)}, "flux.1"), "its layers do not fit this base"),
        (_header({"transformer_blocks.0.attn.to_qkv": (6144, 3072)}, None), "its layers do not fit this base"),
        (_header({"transformer_blocks.12.attn.to_qkv": (9216, 3072)}, None, old=True), "1 of|2 of 2 keys cannot"),
        (_header({"transformer_blocks.18.attn.to_q": (3072, 3072)}, None), "2 of 2 keys cannot be applied"),
    ],
)
def test_what_does_not_fit_at_all_is_refused_even_if_allowed(header: Header, message: str) -> None:
    with pytest.raises(AdapterError, match=message) as refused:
        _assigned(header, FLEX1, FLUX_NAMING, allow=True)
    assert "allow_foreign_lora" not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (
            "diffusion_model.layers.0.mixing.to_q.diff",
            "for another model: none of its layers is one of Flex.1 and FL",
        ),
        (
            "lora_unet_input_blocks_1_1_proj_in.diff",
            "for another model: none of its layers is one of Flex.1 and FLUX.1",
        ),
        (
            "layers.0.attention.to_q.diff",
            "is in an unknown naming; expected the layers of Flex.1 and FLUX.1 as ai-tool",
        ),
        ("lora_te1_text_model_encoder_layers_0_mlp_fc1.diff", "is a LoRA of the text encoder as well, which is not ap"),
        ("text_encoder.text_model.encoder.layers.0.mlp.fc1.diff", "is a LoRA of the text encoder as well"),
        (f"{TO_Q}.diff_b", r"is a delta with biases \(diff_b\), which cannot be applied"),
    ],
)
def test_other_models_are_refused_by_name(key: str, message: str) -> None:
    shapes = {key: (96, 96)}
    with pytest.raises(AdapterError, match=message):
        _assigned(Header(shapes, {key: "F32"}, {}), FLUX1, FLUX_NAMING)


def test_a_kindred_adapter_is_applied_as_far_as_it_fits_and_says_so(
    make_request: Callable[..., Request], tmp_path: Path
) -> None:
    """A third double block, which the tiny base lacks, in the old format."""
    base = flux.load(_checkpoint("flux"), make_request(family="flux", guidance="embedded").base, CPU)
    tensors = load_file(FILES / "adapters" / "flux_lokr_old_bf16.safetensors")
    third = {key.replace("blocks_1_", "blocks_2_"): tensor.clone() for key, tensor in tensors.items() if "s_1_" in key}
    more = {key: tensor for key, tensor in third.items() if key.startswith("lycoris_transformer_")}
    save_file({**tensors, **more}, tmp_path / "foreign.safetensors", {"ss_base_model_version": "flux.1"})
    with pytest.raises(AdapterError, match=r"3 double and 2 single blocks or more, the base has 2 and 2.*42 of 162"):
        _read(base, tmp_path / "foreign.safetensors")
    adapter = _read(base, tmp_path / "foreign.safetensors", allow_foreign=True)
    assert (adapter.matched_keys, adapter.left_out) == (120, 42)
    assert adapter.warning == (
        f"{tmp_path}/foreign.safetensors: this LoRA is for another base: 3 double and 2 single blocks or more, the "
        "base has 2 and 2 (its header says flux.1); by allow_foreign_lora 120 of its 162 keys were applied, 42 have no "
        "place in this base"
    )
    own = _read(base, FILES / "adapters" / "flux_lokr_old_bf16.safetensors")
    stack = AdapterStack(base)
    stack.apply([(own, 1.0)], "merged")
    expected = {name: tensor.clone() for name, tensor in base.transformer.state_dict().items()}
    assert stack.apply([(adapter, 1.0)], "merged") == 40
    assert all(torch.equal(tensor, expected[name]) for name, tensor in base.transformer.state_dict().items())


def test_an_adapter_of_flex2_on_flux_is_foreign_by_its_header(make_request: Callable[..., Request]) -> None:
    base = flux.load(_checkpoint("flux"), make_request(family="flux", guidance="embedded").base, CPU)
    path = FILES / "adapters" / "flex2_lora_bf16.safetensors"
    with pytest.raises(AdapterError, match=r"for Flex.2, the base is Flex.1 or FLUX.1 \(its header says flex2\)"):
        _read(base, path)
    assert _read(base, path, allow_foreign=True).matched_keys == 80

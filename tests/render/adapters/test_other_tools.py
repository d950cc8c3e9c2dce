"""One adapter in the names of many tools: the weights that it makes are the same, bit for bit."""

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.places import DATA

from darkroom.checkpoint import DIFFUSERS, Checkpoint, Component
from darkroom.errors import AdapterError
from darkroom.lora_files.families import NAMINGS
from darkroom.lora_files.flux1 import FLUX_NAMING
from darkroom.lora_files.flux2 import FLUX2_NAMING
from darkroom.render.adapters.file import Adapter, read_adapter
from darkroom.render.adapters.stack import AdapterStack
from darkroom.render.families.flux1 import flux
from darkroom.render.weights.base import Base
from darkroom.request.request import Request

Tensors = dict[str, torch.Tensor]
RANK = 4


def draw(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.2


def lora(
    layers: Iterable[tuple[str, tuple[int, int]]], rank: int = RANK
) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """(down, up) of each layer."""
    return {
        name: (draw(rank, columns, seed=2 * i), draw(rows, rank, seed=2 * i + 1))
        for i, (name, (rows, columns)) in enumerate(layers)
    }


@pytest.fixture
def flux1(make_request: Callable[..., Request]) -> Base:
    """Two double and two single blocks, hidden size 96, bfloat16."""
    files = DATA / "parity" / "flux1" / "flux"
    parts = {part: Component(str(files / part), DIFFUSERS, digest="") for part in ("transformer", "vae")}
    request = make_request(family="flux", guidance="embedded", dtype="bfloat16")
    return flux.load(Checkpoint("flux", None, parts), request.base, torch.device("cpu"))


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Adapter]:
    """The adapter of tensors in a file: read(base, tensors, lora_adapter_metadata="{}")."""

    def save_and_read(base: Base, tensors: Tensors, **metadata: str) -> Adapter:
        naming = NAMINGS.get(base.name, FLUX2_NAMING)
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, tmp_path / "my.safetensors", metadata)
        return read_adapter(tmp_path / "my.safetensors", base.adapter_shapes(), naming)

    return save_and_read


def merged(base: Base, adapter: Adapter) -> Tensors:
    stack = AdapterStack(base)
    stack.apply([(adapter, 0.7)], "merged")
    weights = {name: tensor.clone() for name, tensor in base.transformer.state_dict().items()}
    stack.apply([], "merged")
    return weights


def live(base: Base, adapter: Adapter) -> Tensors:
    """The outputs of all linear layers for an input of their width."""
    stack = AdapterStack(base)
    stack.apply([(adapter, 0.7)], "live")
    layers = {n: layer for n, layer in base.transformer.named_modules() if isinstance(layer, torch.nn.Linear)}
    outputs = {n: layer(draw(3, layer.in_features, seed=5).to(base.dtype)) for n, layer in layers.items()}
    stack.apply([], "live")
    return outputs


def same(base: Base, adapter: Adapter, other: Adapter) -> bool:
    pairs = [(merged(base, adapter), merged(base, other)), (live(base, adapter), live(base, other))]
    return all(torch.equal(one[name], two[name]) for one, two in pairs for name in one)


# FLUX.2: the trainer writes BFL's names.


def trainers(layers: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> Tensors:
    return {
        f"diffusion_model.{name}.lora_{side}.weight": tensor
        for name, pair in layers.items()
        for side, tensor in zip("AB", pair, strict=True)
    }


def in_parts(layers: dict[str, tuple[torch.Tensor, torch.Tensor]]) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """The modules of diffusers, each with its rows; the last modulation has its halves the other way round there."""
    found = {}
    for name, (down, up) in layers.items():
        layer = FLUX2_NAMING.layer(name)
        assert layer
        lists = dict(
            zip(("double_blocks", "single_blocks"), ("transformer_blocks", "single_transformer_blocks"), strict=True)
        )
        kind, _, rest = name.partition(".")
        before = f"{lists[kind]}.{rest.partition('.')[0]}." if kind in lists else ""
        if name == "final_layer.adaLN_modulation.1":
            up = torch.cat(up.chunk(2, 0)[::-1], 0)
        for part, rows in zip(layer.parts, up.chunk(len(layer.parts), 0), strict=True):
            found[f"{before}{part}"] = (down.clone(), rows)
    return found


def written(
    layers: dict[str, tuple[torch.Tensor, torch.Tensor]],
    key: str,
    sides: tuple[str, str] = ("A", "B"),
    alpha: float = 0,
) -> Tensors:
    """`key`: as the tool has it, {} for the layer, [] for the layer with underscores, and ? for the side."""
    found = {}
    for name, pair in layers.items():
        named = key.replace("{}", name).replace("[]", name.replace(".", "_"))
        found |= {named.replace("?", side): tensor for side, tensor in zip(sides, pair, strict=True)}
        if alpha:
            found[f"{named.partition('.lora')[0]}.alpha"] = torch.tensor(alpha)
    return found


DOWN_UP = ("down", "up")
BFL_NAMED = [
    ("base_model.model.{}.lora_?.weight", ("A", "B"), 0, "PEFT"),
    ("{}.lora_?.my_name.weight", ("A", "B"), 0, "PEFT"),
    ("{}.lora_?.weight", ("A", "B"), 0, "diffusers or BFL, without a prefix"),
    ("diffusion_model.{}.lora_?.weight", DOWN_UP, RANK, "ComfyUI"),
    ("lora_unet_[].lora_?.weight", DOWN_UP, RANK, "kohya (sd-scripts, musubi-tuner)"),
]
DIFFUSERS_NAMED = [
    ("transformer.{}.lora_?.weight", ("A", "B"), 0, "diffusers or ai-toolkit"),
    ("base_model.model.{}.lora_?.weight", ("A", "B"), 0, "PEFT"),
    ("{}.lora_?.default.weight", ("A", "B"), 0, "PEFT"),
    ("diffusion_model.{}.lora_?.weight", ("A", "B"), 0, "ai-toolkit or ComfyUI"),
    ("transformer.{}.lora_?.weight", DOWN_UP, RANK, "OneTrainer"),
    ("lora_transformer_[].lora_?.weight", DOWN_UP, RANK, "OneTrainer"),
    ("lycoris_[].lora_?.weight", DOWN_UP, RANK, "LyCORIS (SimpleTuner, ai-toolkit before 2026)"),
]


@pytest.mark.parametrize(("key", "sides", "alpha", "tool"), BFL_NAMED)
def test_flux2_in_bfls_names(base: Base, read: Callable[..., Adapter], key, sides, alpha, tool) -> None:
    layers = lora(base.adapter_shapes().items())
    other = read(base, written(layers, key, sides, alpha))
    assert (other.tool, len(other.deltas)) == (tool, len(base.adapter_shapes()))
    assert same(base, read(base, trainers(layers)), other)


@pytest.mark.parametrize(("key", "sides", "alpha", "tool"), DIFFUSERS_NAMED)
def test_flux2_in_diffusers_names_is_split(base: Base, read: Callable[..., Adapter], key, sides, alpha, tool) -> None:
    layers = lora(base.adapter_shapes().items())
    other = read(base, written(in_parts(layers), key, sides, alpha))
    assert (other.tool, len(other.deltas)) == (tool, len(base.adapter_shapes()))
    assert same(base, read(base, trainers(layers)), other)


def test_every_name_is_told_from_its_underscores() -> None:
    """Every module of a family has names that no other of it has, dots or not."""
    for naming in NAMINGS.values():
        for modules in naming.modules.values():
            places: dict[str, set] = {}
            for name, where in modules.items():
                places.setdefault(name.replace(".", "_"), set()).add(where)
            assert all(len(found) == 1 for found in places.values())


def test_a_part_alone_leaves_the_others(base: Base, read: Callable[..., Adapter]) -> None:
    """to_k and to_v of two ranks, each with its alpha; to_q stays the base's."""
    tensors = {}
    for name, rank, alpha in (("to_k", 2, 1.0), ("to_v", 8, 4.0)):
        key = f"transformer.transformer_blocks.1.attn.{name}"
        tensors |= {
            f"{key}.lora_down.weight": draw(rank, 96, seed=rank),
            f"{key}.lora_up.weight": draw(96, rank, seed=rank + 1),
            f"{key}.alpha": torch.tensor(alpha),
        }
    after = merged(base, read(base, tensors))
    for name, rank in (("to_q", 0), ("to_k", 2), ("to_v", 8)):
        key = f"transformer_blocks.1.attn.{name}.weight"
        before = base.weights.read(key, torch.float32, torch.device("cpu"))
        delta = (draw(96, rank, seed=rank + 1) @ draw(rank, 96, seed=rank)) * 0.7 * 0.5 if rank else 0.0
        assert torch.equal(after[key], (before + delta).to(base.dtype))


def test_lycoris_lokr_of_names_that_only_flux2_has(base: Base, read: Callable[..., Adapter]) -> None:
    """A whole fused layer is the same LoKr in both namings; to_q alone is one of its own."""
    factors = {"lokr_w1": draw(4, 4, seed=1), "lokr_w2_a": draw(216, 2, seed=2), "lokr_w2_b": draw(2, 24, seed=3)}
    alpha = {"alpha": torch.tensor(1.0)}
    other = read(
        base,
        {
            f"lycoris_single_transformer_blocks_0_attn_to_qkv_mlp_proj.{name}": t
            for name, t in (factors | alpha).items()
        },
    )
    own = {f"diffusion_model.single_blocks.0.linear1.{name}": t for name, t in (factors | alpha).items()}
    assert same(base, read(base, own), other)
    names = (
        "transformer_blocks_0_ff_linear_in",
        "transformer_blocks_0_attn_to_q",
        "single_transformer_blocks_0_attn_to_out",
    )
    small = {"lokr_w1": draw(4, 4, seed=1), "lokr_w2": draw(24, 24, seed=2)}
    tensors = {f"lycoris_{names[1]}.{name}": tensor for name, tensor in small.items()}
    tensors |= {f"lycoris_{names[0]}.lokr_w1": draw(24, 4, seed=4), f"lycoris_{names[0]}.lokr_w2": draw(24, 24, seed=5)}
    tensors |= {f"lycoris_{names[2]}.lokr_w1": draw(4, 16, seed=6), f"lycoris_{names[2]}.lokr_w2": draw(24, 24, seed=7)}
    adapter = read(base, tensors)
    assert (adapter.format, adapter.matched_keys) == ("lokr", 6)
    after = merged(base, adapter)["transformer_blocks.0.attn.to_q.weight"]
    before = base.weights.read("transformer_blocks.0.attn.to_q.weight", torch.float32, torch.device("cpu"))
    assert torch.equal(after, (before + torch.kron(small["lokr_w1"], small["lokr_w2"]) * 0.7).to(base.dtype))


def test_alphas_in_the_header_are_those_of_peft(base: Base, read: Callable[..., Adapter]) -> None:
    """alpha_pattern by the end of a module's name, lora_alpha for the rest, over the rank of the tensors."""
    key = "transformer.transformer_blocks.0.attn.{}.lora_?.weight"
    layers = lora([("to_q", (96, 96)), ("to_k", (96, 96))])
    config = {"transformer.r": 4, "transformer.lora_alpha": 8, "transformer.alpha_pattern": {"attn.to_k": 2}}
    inside = read(base, written(layers, key), lora_adapter_metadata=json.dumps(config))
    tensors = written(layers, key)
    for name, alpha in (("to_q", 8.0), ("to_k", 2.0)):
        tensors[f"transformer.transformer_blocks.0.attn.{name}.alpha"] = torch.tensor(alpha)
    assert same(base, read(base, tensors), inside)
    rooted = read(
        base, written(layers, key), lora_adapter_metadata=json.dumps({**config, "transformer.use_rslora": True})
    )
    scales = [delta.scale(torch.float32) for delta in rooted.deltas["double_blocks.0.img_attn.qkv"]]
    assert scales == [2 / math.sqrt(4), 8 / math.sqrt(4)]  # of to_k and to_q, as the file has them in order


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ("[1]", "lora_adapter_metadata: expected the config of a PEFT adapter as JSON"),
        ('{"transformer.lora_alpha": "much"}', "lora_adapter_metadata: expected the config"),
        ('{"transformer.use_dora": true}', "is DoRA .use_dora in its header"),
    ],
)
def test_a_header_that_cannot_be_followed_is_refused(
    base: Base, read: Callable[..., Adapter], metadata: str, message: str
) -> None:
    tensors = written(lora([("to_q", (96, 96))]), "transformer.transformer_blocks.0.attn.{}.lora_?.weight")
    with pytest.raises(AdapterError, match=message):
        read(base, tensors, lora_adapter_metadata=metadata)


def test_an_alpha_in_the_config_beside_a_file_is_refused(
    base: Base, read: Callable[..., Adapter], tmp_path: Path
) -> None:
    tensors = written(lora([("to_q", (96, 96))]), "transformer.transformer_blocks.0.attn.{}.lora_?.weight")
    (tmp_path / "adapter_config.json").write_text('{"r": 4, "lora_alpha": 8}')
    with pytest.raises(AdapterError, match=r"adapter_config\.json has r 4, lora_alpha 8, which is not in the"):
        read(base, tensors)


@pytest.mark.parametrize("module", ["transformer_blocks.0.attn.to_qkv", "double_blocks.0.img_attn.qkv"])
def test_a_whole_beside_its_parts_is_refused(base: Base, read: Callable[..., Adapter], module: str) -> None:
    parts = lora([("transformer_blocks.0.attn.to_q", (96, 96)), (module, (288, 96))])
    with pytest.raises(AdapterError, match="names one layer twice"):
        read(base, written(parts, "transformer.{}.lora_?.weight"))


# FLUX.1: the trainer writes diffusers' names.

QKV = ("attn.to_q", "attn.to_k", "attn.to_v")
FLUX1_FUSED = {  # BFL's module → the layers in its rows
    "double_blocks.1.img_attn.qkv": [f"transformer_blocks.1.{name}" for name in QKV],
    "double_blocks.0.txt_mlp.2": ["transformer_blocks.0.ff_context.net.2"],
    "double_blocks.0.img_mod.lin": ["transformer_blocks.0.norm1.linear"],
    "single_blocks.1.linear1": [f"single_transformer_blocks.1.{name}" for name in (*QKV, "proj_mlp")],
    "single_blocks.0.linear2": ["single_transformer_blocks.0.proj_out"],
    "final_layer.linear": ["proj_out"],
    "vector_in.in_layer": ["time_text_embed.text_embedder.linear_1"],
    "final_layer.adaLN_modulation.1": ["norm_out.linear"],
}
DIFFSYNTHS = {
    "blocks.1.attn.a_to_qkv": "double_blocks.1.img_attn.qkv",
    "blocks.0.ff_b.2": "double_blocks.0.txt_mlp.2",
    "blocks.0.norm1_a.linear": "double_blocks.0.img_mod.lin",
    "single_blocks.1.to_qkv_mlp": "single_blocks.1.linear1",
    "single_blocks.0.proj_out": "single_blocks.0.linear2",
}


def fused(base: Base) -> tuple[dict[str, tuple[torch.Tensor, torch.Tensor]], Tensors]:
    """A LoRA on BFL's modules, and the same in the trainer's names."""
    shapes = base.adapter_shapes()
    sizes = {
        module: (sum(shapes[layer][0] for layer in layers), shapes[layers[0]][1])
        for module, layers in FLUX1_FUSED.items()
    }
    modules, own = lora(sizes.items()), {}
    for module, layers in FLUX1_FUSED.items():
        down, up = modules[module]
        if module.startswith("final_layer.ada"):
            up = torch.cat(up.chunk(2, 0)[::-1], 0)
        for layer, rows in zip(layers, up.split([shapes[layer][0] for layer in layers]), strict=True):
            own |= {f"transformer.{layer}.lora_A.weight": down.clone(), f"transformer.{layer}.lora_B.weight": rows}
    return modules, own


@pytest.mark.parametrize(("key", "sides", "alpha", "tool"), BFL_NAMED)
def test_flux1_in_bfls_names_is_fused(flux1: Base, read: Callable[..., Adapter], key, sides, alpha, tool) -> None:
    modules, own = fused(flux1)
    other = read(flux1, written(modules, key, sides, alpha))
    assert (other.tool, other.matched_keys) == (tool, len(modules) * (3 if alpha else 2))
    assert same(flux1, read(flux1, own), other)


@pytest.mark.parametrize(("key", "sides", "alpha", "tool"), DIFFUSERS_NAMED)
def test_flux1_in_diffusers_names(flux1: Base, read: Callable[..., Adapter], key, sides, alpha, tool) -> None:
    layers = lora(flux1.adapter_shapes().items())
    other = read(flux1, written(layers, key, sides, alpha))
    assert other.tool == tool
    assert same(flux1, read(flux1, written(layers, "transformer.{}.lora_?.weight")), other)


def test_flux1_in_diffsynths_names(flux1: Base, read: Callable[..., Adapter]) -> None:
    modules, _ = fused(flux1)
    bfls = {module: modules[module] for module in DIFFSYNTHS.values()}
    theirs = {name: modules[module] for name, module in DIFFSYNTHS.items()}
    other = read(flux1, written(theirs, "{}.lora_?.default.weight"))
    assert same(flux1, read(flux1, written(bfls, "lora_unet_[].lora_?.weight", DOWN_UP)), other)


def test_a_kohya_lokr_on_fused_layers_of_flux1(flux1: Base, read: Callable[..., Adapter]) -> None:
    """kron over all rows of linear1, then each layer's share."""
    w1, w2 = draw(28, 4, seed=1), draw(24, 24, seed=2)
    after = merged(
        flux1,
        read(flux1, {"lora_unet_single_blocks_0_linear1.lokr_w1": w1, "lora_unet_single_blocks_0_linear1.lokr_w2": w2}),
    )
    key = "single_transformer_blocks.0.proj_mlp.weight"
    before = flux1.weights.read(key, torch.float32, torch.device("cpu"))
    assert torch.equal(after[key], (before + torch.kron(w1, w2)[288:] * 0.7).to(flux1.dtype))


def test_rows_that_are_no_equal_parts_are_refused(flux1: Base, read: Callable[..., Adapter]) -> None:
    layers = lora([("single_blocks.0.linear1", (670, 96))])
    with pytest.raises(AdapterError, match="its layers do not fit this base"):
        read(flux1, written(layers, "lora_unet_[].lora_?.weight", DOWN_UP))


def test_the_trainers_own_files_are_as_they_were(base: Base, adapters: Path, read: Callable[..., Adapter]) -> None:
    """The shipped LoRA in kohya's names, alpha twice the rank, is the LoRA at twice the strength of each delta."""
    own = load_file(adapters / "lora_bf16.safetensors")
    renamed: Tensors = {}
    for key, tensor in own.items():
        layer, side = key.removeprefix("diffusion_model.").removesuffix(".weight").rsplit(".lora_", 1)
        name = f"lora_unet_{layer.replace('.', '_')}"
        renamed[f"{name}.lora_{'down' if side == 'A' else 'up'}.weight"] = tensor
        renamed[f"{name}.alpha"] = torch.tensor(2.0 * tensor.shape[0]) if side == "A" else renamed[f"{name}.alpha"]
    doubled = {key: tensor * 2 if ".lora_B." in key else tensor for key, tensor in own.items()}
    assert same(base, read(base, doubled), read(base, renamed))
    assert FLUX_NAMING.places("double_blocks_0_img_attn_proj")[0].layer == "transformer_blocks.0.attn.to_out.0"


DEAD = "my.safetensors: changes nothing: the deltas of all its 1 layers are zero"


@pytest.mark.parametrize(
    ("tensors", "is_dead"),
    [
        ({"lora_A.weight": torch.ones(2, 96), "lora_B.weight": torch.zeros(96, 2)}, True),
        ({"lora_A.weight": torch.ones(2, 96), "lora_B.weight": torch.full((96, 2), 1e-30)}, False),
        ({"lokr_w1": torch.ones(8, 8), "lokr_w2_a": torch.zeros(12, 2), "lokr_w2_b": torch.ones(2, 12)}, True),
        ({"lokr_w1": torch.ones(8, 8), "lokr_w2": torch.ones(12, 12), "alpha": torch.tensor(0.0)}, False),
        ({"diff": torch.zeros(96, 96)}, True),
    ],
)
def test_a_file_that_changes_nothing_is_named(
    base: Base, read: Callable[..., Adapter], tensors: Tensors, is_dead: bool
) -> None:
    """Two whole factors of a LoKr ignore their alpha."""
    adapter = read(base, {f"diffusion_model.double_blocks.0.img_attn.proj.{name}": t for name, t in tensors.items()})
    assert (DEAD in (adapter.dead or "")) == is_dead
    changed = merged(base, adapter)["transformer_blocks.0.attn.to_out.0.weight"]
    before = base.transformer.transformer_blocks[0].attn.to_out[0].weight
    assert torch.equal(changed, before) or not is_dead


def test_a_dead_layer_among_others_is_no_dead_file(base: Base, read: Callable[..., Adapter]) -> None:
    tensors = trainers(lora([("double_blocks.0.img_attn.proj", (96, 96)), ("img_in", base.adapter_shapes()["img_in"])]))
    tensors["diffusion_model.img_in.lora_B.weight"].zero_()
    assert read(base, tensors).dead is None


def test_xlabs_processors_leave_the_rest_of_a_fused_layer_as_it_is(flux1, read):
    tensors, split = {}, {}
    for block, old, parts in (
        ("double_blocks.1.processor", "qkv_lora1", [f"transformer_blocks.1.attn.to_{part}" for part in "qkv"]),
        ("double_blocks.1.processor", "qkv_lora2", [f"transformer_blocks.1.attn.add_{part}_proj" for part in "qkv"]),
        ("double_blocks.1.processor", "proj_lora1", ["transformer_blocks.1.attn.to_out.0"]),
        ("double_blocks.1.processor", "proj_lora2", ["transformer_blocks.1.attn.to_add_out"]),
        ("single_blocks.0.processor", "qkv_lora", [f"single_transformer_blocks.0.attn.to_{part}" for part in "qkv"]),
        ("single_blocks.0.processor", "proj_lora", ["single_transformer_blocks.0.proj_out"]),
    ):
        rows, columns = flux1.adapter_shapes()[parts[0]]
        down, up = draw(RANK, columns, seed=len(old)), draw(rows * len(parts), RANK, seed=len(block))
        tensors |= {f"{block}.{old}.down.weight": down, f"{block}.{old}.up.weight": up}
        for part, its in zip(parts, up.chunk(len(parts)), strict=True):
            split |= {f"transformer.{part}.lora_A.weight": down.clone(), f"transformer.{part}.lora_B.weight": its}
    adapter = read(flux1, tensors)
    assert adapter.tool == "XLabs"
    assert same(flux1, adapter, read(flux1, split))


@pytest.mark.parametrize(
    "key",
    [
        "base_model.model.transformer._orig_mod.{}.lora_?.default.weight",
        "module.{}.lora_?.weight",
        "pipe.dit.{}.lora_?.my-style v2.weight",
        "unet.{}.lora_?",
        "lora_unet__[]_.lora_?.weight",
    ],
)
def test_what_wrappers_put_before_a_layer_and_after_it(flux1, read, key):
    layers = lora(list(flux1.adapter_shapes().items())[:4])
    expected = read(flux1, written(layers, "transformer.{}.lora_?.weight"))
    assert same(flux1, read(flux1, written(layers, key)), expected)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float64])
def test_an_adapter_of_another_precision_is_the_one_with_its_numbers(flux1, read, dtype):
    tensors = written(lora(list(flux1.adapter_shapes().items())[:2]), "transformer.{}.lora_?.weight")
    stored = {key: tensor.to(dtype) for key, tensor in tensors.items()}
    adapter = read(flux1, stored)
    assert same(flux1, adapter, read(flux1, {key: tensor.float() for key, tensor in stored.items()}))


def test_a_layer_whose_lora_a_is_zero_is_lost(flux1, read):
    tensors = written(lora(list(flux1.adapter_shapes().items())[:3]), "transformer.{}.lora_?.weight")
    assert read(flux1, tensors).warning is None
    first = next(key for key in tensors if ".lora_A." in key)
    warning = read(flux1, tensors | {first: torch.zeros_like(tensors[first])}).warning
    assert "1 of its 3 layers are lost: their lora_A is zero" in warning
    assert first.removeprefix("transformer.").removesuffix(".lora_A.weight") in warning


@pytest.mark.parametrize(
    ("alpha", "scale"),
    [(1.0, "a scale of 0.03125: where that was counted"), (32.0, None), (9999999999.0, None), (float("inf"), None)],
)
def test_an_alpha_that_the_trainer_of_a_whole_lokr_may_have_counted(base, read, alpha, scale):
    tensors = {"lokr_w1": draw(4, 4, seed=1), "lokr_w2": draw(24, 24, seed=2), "alpha": torch.tensor(alpha)}
    keys = {f"diffusion_model.double_blocks.0.img_attn.proj.{name}": value for name, value in tensors.items()}
    warning = read(base, keys, ss_network_dim="32", ss_network_alpha="1").warning
    assert scale in warning if scale else warning is None
    assert read(base, keys).warning is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (
            {"emb_params": torch.ones(2, 8)},
            "trains words of the text encoder as well.* emb_params; leave them out: darkroom lora",
        ),
        ({"bundle_emb.sks.string_to_param": torch.ones(2, 8)}, "trains words of the text encoder as well"),
        ({"x.norm_q.diff": torch.ones(8)}, "is a training of norms as well, which cannot be applied: x.norm_q.diff"),
        ({"x.set_weight": torch.ones(8)}, "is a delta that changes the shape of layers"),
        ({"x_embedder.lora_A.weight": torch.ones(4, 8)}, "expected one whole LoRA, LoKr or diff, got .*save it again"),
    ],
)
def test_what_stands_beside_a_lora_is_named(flux1, read, more, said):
    tensors = written(lora(list(flux1.adapter_shapes().items())[:2]), "transformer.{}.lora_?.weight")
    with pytest.raises(AdapterError, match=said):
        read(flux1, tensors | more)


def test_alphas_of_zero_are_named_as_the_cause(flux1, read):
    tensors = written(lora(list(flux1.adapter_shapes().items())[:2]), "transformer.{}.lora_?.weight", alpha=RANK)
    dead = read(flux1, {k: v * 0 if k.endswith("alpha") else v for k, v in tensors.items()}).dead
    assert dead.endswith("its alphas are 0: save it again with those that it was trained with")
    with pytest.raises(AdapterError, match=r"alpha: holds NaN or infinity; expected a finite number"):
        read(flux1, {k: v * float("nan") if k.endswith("alpha") else v for k, v in tensors.items()})


def test_transposed_matrices_are_named_so(flux1, read):
    tensors = written(lora([("transformer_blocks.0.norm1.linear", (576, 96))]), "transformer.{}.lora_?.weight")
    with pytest.raises(AdapterError, match=r"do not fit each other: .*; its matrices are transposed, save it again"):
        read(flux1, {key: tensor.T for key, tensor in tensors.items()})

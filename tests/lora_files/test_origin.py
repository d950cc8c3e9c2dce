"""Whose a LoRA is that has the names of several families: told by all of its modules and their shapes."""

import pytest

from darkroom.errors import AdapterError
from darkroom.files.weight_file import Header
from darkroom.lora_files.families import NAMINGS
from darkroom.lora_files.file import LoraFile
from darkroom.lora_files.flux1 import FLUX1
from darkroom.lora_files.flux2 import FLUX2_DEV, KLEIN_4B, KLEIN_9B
from darkroom.lora_files.judge import judge
from darkroom.lora_files.layers import layers_of
from darkroom.lora_files.naming import KnownBase, LayerShapes

BASES = {"flux2": (KLEIN_4B, KLEIN_9B, FLUX2_DEV), "flux": (FLUX1,)}
KOHYAS_FLUX1 = {
    **{f"double_blocks.{i}.img_attn.qkv": (9216, 3072) for i in range(19)},
    **{f"double_blocks.{i}.img_mlp.0": (12288, 3072) for i in range(19)},
    **{f"single_blocks.{i}.linear1": (21504, 3072) for i in range(38)},
}
TO_QS = {f"transformer_blocks.{i}.attn.to_q": (3072, 3072) for i in range(19)}


def verdict(layers: LayerShapes, key: str, base: KnownBase) -> str:
    """What is said of a LoRA on these layers; "" for nothing. `key`: {} for the layer, [] for it with underscores."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (rows, columns) in layers.items():
        named = key.replace("{}", name).replace("[]", name.replace(".", "_"))
        shapes |= {f"{named}.lora_down.weight": (8, columns), f"{named}.lora_up.weight": (rows, 8)}
    family = next(name for name, bases in BASES.items() if base in bases)
    lora = LoraFile("my.safetensors", Header(shapes, dict.fromkeys(shapes, "BF16"), {}))
    try:
        judge(lora, layers_of(base, NAMINGS[family]), NAMINGS[family])
    except AdapterError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("layers", "key", "own", "others"),
    [
        (KOHYAS_FLUX1, "lora_unet_[]", FLUX1, (KLEIN_4B, KLEIN_9B, FLUX2_DEV)),
        (TO_QS, "transformer.{}", FLUX1, (KLEIN_4B, KLEIN_9B)),
        (layers_of(FLUX1, NAMINGS["flux"]), "transformer.{}", FLUX1, (KLEIN_4B, FLUX2_DEV)),
        (layers_of(KLEIN_4B, NAMINGS["flux2"]), "diffusion_model.{}", KLEIN_4B, (FLUX1, KLEIN_9B)),
        (layers_of(KLEIN_9B, NAMINGS["flux2"]), "lora_unet_[]", KLEIN_9B, (FLUX1, KLEIN_4B, FLUX2_DEV)),
    ],
    ids=["kohya's FLUX.1", "to_q alone of FLUX.1", "FLUX.1", "klein-4B", "klein-9B by kohya"],
)
def test_a_lora_is_its_own_bases_and_no_others(
    layers: LayerShapes, key: str, own: KnownBase, others: tuple[KnownBase, ...]
) -> None:
    assert verdict(layers, key, own) == ""
    for base in others:
        assert verdict(layers, key, base).startswith(f"my.safetensors: this LoRA is for {own.name}")

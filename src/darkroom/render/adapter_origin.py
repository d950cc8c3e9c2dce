"""Which base an adapter was made for, told from its keys and shapes: for error messages only. Opens no file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

Layers = Mapping[str, tuple[int, int]]  # layer → (rows out, columns in)


@dataclass(frozen=True)
class _Sizes:
    hidden: int  # 0 where nothing shows it
    double_blocks: int
    single_blocks: int

    def within(self, other: "_Sizes") -> bool:
        """True if a base of these sizes could be a part of one of `other`'s: an adapter may leave blocks out."""
        blocks_fit = self.double_blocks <= other.double_blocks and self.single_blocks <= other.single_blocks
        return self.hidden == other.hidden and blocks_fit


_KNOWN_BASES = {
    "flux2_klein_4b": _Sizes(3072, 5, 20),
    "flux2_klein_9b": _Sizes(4096, 8, 24),
    "flux2": _Sizes(6144, 8, 48),
    "flex1 or flex2": _Sizes(3072, 8, 38),
    "flux": _Sizes(3072, 19, 38),
}
# Layers with one side of the model's hidden size: 0 for rows out, 1 for columns in.
_HIDDEN_SIDE = {
    "img_attn.qkv": 1,
    "img_attn.proj": 0,
    "img_mlp.0": 1,
    "img_mlp.2": 0,
    "txt_attn.qkv": 1,
    "txt_attn.proj": 0,
    "txt_mlp.0": 1,
    "txt_mlp.2": 0,
    "linear1": 1,
    "linear2": 0,
    "img_in": 0,
    "txt_in": 0,
    "final_layer.linear": 1,
}
_NAMINGS = (
    (r"transformer\.(single_)?transformer_blocks\.", "a LoRA for FLUX.1, Flex.1 or Flex.2, or in diffusers naming"),
    (r"lycoris_(single_)?transformer_blocks_", "a LoKr for FLUX.1, Flex.1 or Flex.2 in the old format"),
    (r"(lora_unet|lora_transformer|lora_te\d?)_", "in kohya naming"),
    (r"base_model\.model\.", "in PEFT naming"),
    (r"(single_)?transformer_blocks\.", "in diffusers or PEFT naming"),
    (r"(double|single)_blocks\.", "in BFL naming without a prefix"),
)
_BLOCK = re.compile(r"(?:(double|single)_blocks\.(\d+)\.)?(.+)")


def foreign_naming(key: str) -> str:
    """What a file with this key is, in words that follow "is"."""
    return next((what for pattern, what in _NAMINGS if re.match(pattern, key)), "in an unknown naming")


def wrong_base(found: Layers, layers: Layers) -> str:
    """Why an adapter of these layers does not belong to a base with `layers`, and what it fits; "" if nobody knows."""
    if any(re.match(r"(single_)?transformer_blocks_", name) for name in found):
        return "this LoKr is for FLUX.1, Flex.1 or Flex.2 (old format)"
    theirs, ours = _sizes(found), _sizes(layers)
    if theirs.hidden == 0 or theirs.within(ours):
        return ""
    made_for = next((name for name, known in _KNOWN_BASES.items() if theirs.within(known)), "another base")
    if theirs.hidden != ours.hidden:
        return f"this LoRA is for {made_for}: hidden size {theirs.hidden}, the base has {ours.hidden}"
    return (
        f"this LoRA is for {made_for}: {theirs.double_blocks} double and {theirs.single_blocks} single blocks or more, "
        f"the base has {ours.double_blocks} and {ours.single_blocks}"
    )


def _sizes(layers: Layers) -> _Sizes:
    return _Sizes(_hidden(layers), _blocks(layers, "double"), _blocks(layers, "single"))


def _hidden(layers: Layers) -> int:
    """The hidden size by the first layer that shows it, 0 if none does."""
    for name, shape in layers.items():
        match = _BLOCK.fullmatch(name)
        if match and match[3] in _HIDDEN_SIDE:
            return shape[_HIDDEN_SIDE[match[3]]]
    return 0


def _blocks(layers: Layers, kind: str) -> int:
    """1 + the highest block of this kind that is named."""
    matches = (_BLOCK.fullmatch(name) for name in layers)
    return 1 + max((int(match[2]) for match in matches if match and match[1] == kind), default=-1)

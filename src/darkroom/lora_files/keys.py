"""The keys of an adapter file read: which tensor of which layer's delta each one is, and what the deltas' shapes are.

Formats: what ai-toolkit writes: `<prefix><layer>.` with LoRA, LoKr or full-delta tensors, and the old LoKr naming
`lycoris_<layer with underscores>.`; prefix and layers are the family's. All else is refused by an AdapterError that
says what it is.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from darkroom.display import named
from darkroom.errors import AdapterError
from darkroom.lora_files.file import LoraFile
from darkroom.lora_files.naming import AdapterNaming
from darkroom.lora_files.origin import foreign_naming

Kind = Literal["lora", "lokr", "diff"]

ALPHA = "alpha"
_KINDS: dict[str, Kind] = {
    "lora_A.weight": "lora",
    "lora_B.weight": "lora",
    "lokr_w1": "lokr",
    "lokr_w1_a": "lokr",
    "lokr_w1_b": "lokr",
    "lokr_w2": "lokr",
    "lokr_w2_a": "lokr",
    "lokr_w2_b": "lokr",
    "diff": "diff",
}
_WHOLE = (  # the suffixes that make one delta
    {"diff"},
    *(
        pair | alpha
        for alpha in (set(), {ALPHA})
        for pair in (
            {"lora_A.weight", "lora_B.weight"},
            {"lokr_w1", "lokr_w2"},
            {"lokr_w1", "lokr_w2_a", "lokr_w2_b"},
            {"lokr_w1_a", "lokr_w1_b", "lokr_w2"},
            {"lokr_w1_a", "lokr_w1_b", "lokr_w2_a", "lokr_w2_b"},
        )
    ),
)
_REFUSED = {  # endings of keys, and what a file with them is
    "magnitude": "DoRA (magnitude), which its trainer cannot merge either",
    "dora_scale": "DoRA (dora_scale), which its trainer cannot merge either",
    "lora_magnitude_vector": "DoRA (lora_magnitude_vector), which its trainer cannot merge either",
    "diff_b": "a delta with biases (diff_b)",
    "lokr_t2": "LoKr of convolutions (lokr_t2), but these layers are linear",
    "lora_mid.weight": "LoRA of convolutions (lora_mid), but these layers are linear",
    "lora_up.weight": "in kohya naming (lora_up, lora_down)",
    "lora_down.weight": "in kohya naming (lora_up, lora_down)",
    "hada_w1_a": "LoHa (hada_w1_a)",
}
_SCALES_IN_HEADER = "lora_adapter_metadata"  # PEFT's config, which diffusers writes: its lora_alpha is in no tensor
_FLOATS = {"F32", "F16", "BF16"}


@dataclass(frozen=True)
class LayerDelta:
    """What a file holds for one layer."""

    kind: Kind
    keys: Mapping[str, str]  # suffix ("lora_A.weight", "lokr_w1", "alpha", …) → key in the file
    shape: tuple[int, int]  # of the delta: rows, columns


def read_keys(lora: LoraFile, naming: AdapterNaming) -> dict[str, LayerDelta]:
    """The delta of each layer that the file names, whether a base has that layer or not.

    AdapterError for a file that is not in a format of ai-toolkit, or not named as the family's files are.
    """
    if not lora.shapes:
        raise AdapterError(f"{lora.path}: holds no tensors; train or save it again")
    _refuse_unsupported(lora, naming)
    keys: dict[str, dict[str, str]] = defaultdict(dict)
    for key, (layer, suffix) in _named_layers(lora, naming).items():
        if suffix in keys[layer]:
            raise AdapterError(
                f"{lora.path}: names the same layer in the old and in the new format; expected one of them"
            )
        keys[layer][suffix] = key
    kinds = {layer: _kind(lora.path, layer, own.keys()) for layer, own in keys.items()}
    return {layer: LayerDelta(kinds[layer], own, _shape(lora, layer, own)) for layer, own in keys.items()}


def _refuse_unsupported(lora: LoraFile, naming: AdapterNaming) -> None:
    for key, dtype in lora.header.dtypes.items():
        if dtype not in _FLOATS:
            raise AdapterError(f"{lora.path}: {key}: expected float32, float16 or bfloat16, got {dtype}")
    suspects = [key for key in lora.shapes if key.endswith(tuple(_REFUSED))]
    for ending, what in _REFUSED.items():
        keys = [key for key in suspects if key.endswith(f".{ending}")]
        if keys:
            raise AdapterError(f"{lora.path}: is {what}, which cannot be applied: {named(keys)}")
    convolved = [key for key, shape in lora.shapes.items() if len(shape) > 2]
    if convolved:
        raise AdapterError(f"{lora.path}: has weights of convolutions, but these layers are linear: {named(convolved)}")
    strange = [key for key in lora.shapes if not _is_named_so(key, naming)]
    if strange:
        raise AdapterError(
            f"{lora.path}: is {foreign_naming(strange[0])}{lora.said_base}; expected keys that begin with "
            f"{naming.prefix}, as ai-toolkit writes them for {naming.trained_for}: {named(strange)}"
        )
    if _SCALES_IN_HEADER in lora.header.metadata:
        raise AdapterError(
            f"{lora.path}: its header has {_SCALES_IN_HEADER}, where diffusers and PEFT keep scales that are not "
            "applied here; expected a file of ai-toolkit, which has none"
        )


def _is_named_so(key: str, naming: AdapterNaming) -> bool:
    """True for keys with the family's prefix, or in the old format with the name of a block or of one of its layers."""
    old = key.removeprefix(naming.old_prefix)
    is_old = old != key and (naming.block.match(old) is not None or naming.layer(naming.dotted(old.partition(".")[0])))
    return bool(is_old) or key.startswith(naming.prefix)


def _named_layers(lora: LoraFile, naming: AdapterNaming) -> dict[str, tuple[str, str]]:
    """(layer, suffix) of each key."""
    split = {key: _layer_and_suffix(key, naming) for key in lora.shapes}
    unknown = [key for key, (layer, _) in split.items() if not layer]
    if unknown:
        raise AdapterError(f"{lora.path}: expected LoRA, LoKr or diff tensors, got others: {named(unknown)}")
    return split


def _layer_and_suffix(key: str, naming: AdapterNaming) -> tuple[str, str]:
    """(layer, suffix) of a key; an unknown suffix comes back whole with an empty layer."""
    is_old = key.startswith(naming.old_prefix)
    name = key.removeprefix(naming.old_prefix if is_old else naming.prefix)
    layer, _, suffix = name.rpartition(".")
    if suffix == "weight":
        layer, _, stem = layer.rpartition(".")
        suffix = f"{stem}.weight"
    if suffix not in _KINDS and suffix != ALPHA:
        return "", name
    return naming.dotted(layer) if is_old else layer, suffix


def _kind(path: str, layer: str, suffixes: Collection[str]) -> Kind:
    """The kind of a layer's delta, after checking that its tensors make one whole delta."""
    found = set(suffixes)
    if found == {"lora_A.weight"}:
        raise AdapterError(f"{path}: {layer}: lora_A without lora_B: type fullrank cannot be applied")
    if found not in _WHOLE:
        raise AdapterError(f"{path}: {layer}: expected one whole LoRA, LoKr or diff, got {sorted(found)}")
    return next(_KINDS[suffix] for suffix in sorted(found) if suffix != ALPHA)


def _shape(lora: LoraFile, layer: str, keys: Mapping[str, str]) -> tuple[int, int]:
    """(rows, columns) of a layer's delta; AdapterError where its tensors do not fit each other."""
    shapes = {suffix: lora.shapes[key] for suffix, key in keys.items()}
    shape = _delta_shape(shapes)
    if shape is None:
        raise AdapterError(f"{lora.path}: {layer}: its tensors do not fit each other: {shapes}")
    return shape


def _delta_shape(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int] | None:
    """(rows, columns) of the delta that one layer's tensors of these shapes make; None if they do not fit together."""
    if any(len(shape) != 2 for suffix, shape in shapes.items() if suffix != ALPHA):
        return None
    if math.prod(shapes.get(ALPHA, ())) != 1:
        return None
    if "diff" in shapes:
        rows, columns = shapes["diff"]
        return rows, columns
    if "lora_A.weight" in shapes:
        return _product(shapes["lora_B.weight"], shapes["lora_A.weight"])
    first, second = (
        shapes[name] if name in shapes else _product(shapes[f"{name}_a"], shapes[f"{name}_b"])
        for name in ("lokr_w1", "lokr_w2")
    )
    return (first[0] * second[0], first[1] * second[1]) if first and second else None


def _product(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, int] | None:
    return (left[0], right[1]) if left[1] == right[0] else None

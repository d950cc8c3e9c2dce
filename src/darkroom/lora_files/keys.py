"""Which tensor of which layer's delta each key of an adapter file is, or why it is none. Knows names and shapes only.

Formats: what ai-toolkit writes: `<prefix><layer>.` with LoRA, LoKr or full-delta tensors, and the old LoKr naming
`lycoris_<layer with underscores>.`; prefix and layers are the family's. All else is refused by an AdapterError that
says what it is. Needs neither torch nor the tensors.
"""

import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from darkroom.display import named
from darkroom.errors import AdapterError
from darkroom.files.weight_file import Header
from darkroom.lora_files.naming import AdapterNaming
from darkroom.lora_files.origin import Foreign, foreign_naming, foreign_to

Kind = Literal["lora", "lokr", "diff"]
LayerShapes = Mapping[str, tuple[int, int]]  # layer → (rows out, columns in)
Keys = dict[str, str]  # of one layer: "lora_A.weight", "lokr_w1", "alpha", … → key in the file

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
_BLOCK = re.compile(r".*?\.\d+\.")  # transformer_blocks.7.
_FLOATS = {"F32", "F16", "BF16"}


@dataclass(frozen=True)
class AssignedKeys:
    """What is applied, by layer, and what is not: keys of a kindred base's adapter without a place in this base."""

    kinds: Mapping[str, Kind]
    keys: Mapping[str, Keys]
    left_out: tuple[str, ...] = ()
    foreign: str = ""  # why the adapter is one of another base; "" if it is not known to be


def assign_keys(
    path: str, header: Header, layers: LayerShapes, naming: AdapterNaming, *, allow_foreign: bool
) -> AssignedKeys:
    """A place for every key of the file at `path`; AdapterError if one has none in a base with these layers.

    `allow_foreign`: of an adapter that was made for a kindred base, keys without a place are left out.
    """
    if not header.shapes:
        raise AdapterError(f"{path}: holds no tensors; train or save it again")
    flattened = {layer.replace(".", "_"): layer for layer in layers}
    _refuse_unsupported(path, header, naming, flattened)
    names = {key: _layer_and_suffix(key, naming, flattened) for key in header.shapes}
    kinds = _kinds(path, names)
    keys: dict[str, Keys] = defaultdict(dict)
    for key, (layer, suffix) in names.items():
        keys[layer][suffix] = key
    found = _found(path, header, keys)
    foreign = foreign_to(layers, naming, found, header.metadata.get("ss_base_model_version"))
    unfit = [layer for layer, shape in found.items() if layers.get(layer) != shape]
    left_out = [key for layer in unfit for key in keys[layer].values()]
    is_allowed = allow_foreign and foreign and foreign.kindred and len(unfit) < len(found)
    if (unfit or foreign) and not (is_allowed and not any(_is_in_a_block_of(layers, layer) for layer in unfit)):
        raise AdapterError(f"{path}: {_refusal(header, foreign, left_out)}")
    fit = [layer for layer in found if layer not in set(unfit)]
    return AssignedKeys(
        {layer: kinds[layer] for layer in fit},
        {layer: keys[layer] for layer in fit},
        tuple(left_out),
        f"{foreign.reason}{_said_by(header)}" if foreign else "",
    )


def _is_in_a_block_of(layers: LayerShapes, layer: str) -> bool:
    """True for a layer of a block that the base has too: a kindred base has the same layers in it."""
    block = _BLOCK.match(layer)
    return block is not None and any(known.startswith(block[0]) for known in layers)


def _refuse_unsupported(path: str, header: Header, naming: AdapterNaming, flattened: Mapping[str, str]) -> None:
    for key, dtype in header.dtypes.items():
        if dtype not in _FLOATS:
            raise AdapterError(f"{path}: {key}: expected float32, float16 or bfloat16, got {dtype}")
    for ending, what in _REFUSED.items():
        keys = [key for key in header.shapes if key.endswith(f".{ending}")]
        if keys:
            raise AdapterError(f"{path}: is {what}, which cannot be applied: {named(keys)}")
    convolved = [key for key, shape in header.shapes.items() if len(shape) > 2]
    if convolved:
        raise AdapterError(f"{path}: has weights of convolutions, but these layers are linear: {named(convolved)}")
    strange = [key for key in header.shapes if not _is_named_so(key, naming, flattened)]
    if strange:
        raise AdapterError(
            f"{path}: is {foreign_naming(strange[0])}{_said_by(header)}; expected keys that begin with "
            f"{naming.prefix}, as ai-toolkit writes them for {naming.trained_for}: {named(strange)}"
        )
    if _SCALES_IN_HEADER in header.metadata:
        raise AdapterError(
            f"{path}: its header has {_SCALES_IN_HEADER}, where diffusers and PEFT keep scales that are not applied "
            "here; expected a file of ai-toolkit, which has none"
        )


def _is_named_so(key: str, naming: AdapterNaming, flattened: Mapping[str, str]) -> bool:
    """True for keys with the family's prefix, or in the old format with the name of one of its layers."""
    old = key.removeprefix(naming.old_prefix)
    is_old = old != key and (naming.block.match(old) is not None or old.partition(".")[0] in flattened)
    return is_old or key.startswith(naming.prefix)


def _layer_and_suffix(key: str, naming: AdapterNaming, flattened: Mapping[str, str]) -> tuple[str, str]:
    """(layer, suffix) of a key; an unknown suffix comes back whole with an empty layer."""
    is_old = key.startswith(naming.old_prefix)
    name = key.removeprefix(naming.old_prefix if is_old else naming.prefix)
    for suffix in (*_KINDS, ALPHA):
        if name.endswith(f".{suffix}"):
            layer = name.removesuffix(f".{suffix}")
            return _dotted(layer, naming, flattened) if is_old else layer, suffix
    return "", name


def _dotted(name: str, naming: AdapterNaming, flattened: Mapping[str, str]) -> str:
    """The layer whose dots became underscores; in a block that the base lacks, by the names in its first block."""
    match = naming.block.fullmatch(name)
    if name in flattened or match is None:
        return flattened.get(name, name)
    blocks, index, inside = match.groups()
    first = flattened.get(f"{blocks}_0_{inside}", "")
    return first.replace(f"{blocks}.0.", f"{blocks}.{index}.", 1) or name


def _kinds(path: str, names: Mapping[str, tuple[str, str]]) -> dict[str, Kind]:
    """The kind of each layer's delta, after checking that its tensors make one whole delta."""
    unknown = [key for key, (layer, _) in names.items() if not layer]
    if unknown:
        raise AdapterError(f"{path}: expected LoRA, LoKr or diff tensors, got others: {named(unknown)}")
    if len(set(names.values())) < len(names):
        raise AdapterError(f"{path}: names the same layer in the old and in the new format; expected one of them")
    suffixes: dict[str, set[str]] = defaultdict(set)
    for layer, suffix in names.values():
        suffixes[layer].add(suffix)
    for layer, found in suffixes.items():
        if found == {"lora_A.weight"}:
            raise AdapterError(f"{path}: {layer}: lora_A without lora_B: type fullrank cannot be applied")
        if found not in _WHOLE:
            raise AdapterError(f"{path}: {layer}: expected one whole LoRA, LoKr or diff, got {sorted(found)}")
    return {layer: next(_KINDS[s] for s in sorted(found) if s != ALPHA) for layer, found in suffixes.items()}


def _found(path: str, header: Header, keys: Mapping[str, Keys]) -> dict[str, tuple[int, int]]:
    """(rows, columns) of each layer's delta; AdapterError where a layer's tensors do not fit each other."""
    found = {}
    for layer, own in keys.items():
        shapes = {suffix: header.shapes[key] for suffix, key in own.items()}
        shape = _delta_shape(shapes)
        if shape is None:
            raise AdapterError(f"{path}: {layer}: its tensors do not fit each other: {shapes}")
        found[layer] = shape
    return found


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


def _refusal(header: Header, foreign: Foreign | None, unfit: Sequence[str]) -> str:
    """Why an adapter is not applied, how much of it has no place, and what would apply the rest."""
    total = len(header.shapes)
    reason = foreign.reason if foreign else "its layers do not fit this base"
    kept = f"{len(unfit)} of {total} keys cannot be applied: {named(unfit)}" if unfit else "All of its keys would fit"
    wish = "allow_foreign_lora: true applies " + ("the others" if unfit else "it all the same")
    way_out = f"; {wish}" if foreign and foreign.kindred and len(unfit) < total else ""
    return f"{reason}{_said_by(header)}. {kept}{way_out}"


def _said_by(header: Header) -> str:
    version = header.metadata.get("ss_base_model_version")
    return f" (its header says {version})" if version else ""

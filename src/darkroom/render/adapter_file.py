"""A LoRA or LoKr file → typed deltas by layer, with every key accounted for. Knows layers by name and shape only.

Formats: what ai-toolkit writes for FLUX.2: `diffusion_model.<layer>.` with LoRA, LoKr or full-delta tensors, and the
old LoKr naming `lycoris_<layer with underscores>.`. Everything else is refused by an AdapterError that says what it is.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors.torch import load_file

from darkroom.errors import AdapterError, CheckpointError
from darkroom.render.adapter_origin import foreign_naming, wrong_base
from darkroom.weight_file import Header, read_header

Kind = Literal["lora", "lokr", "diff"]
LayerShapes = Mapping[str, tuple[int, int]]  # layer → (rows out, columns in)
Tensors = dict[str, torch.Tensor]  # of one layer, by suffix: "lora_A.weight", "lokr_w1", "alpha", …

_PREFIX = "diffusion_model."
_OLD_PREFIX = "lycoris_"
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
_ALPHA = "alpha"
_RANKED, _RANK_SIDE = ("lora_A.weight", "lokr_w1_b", "lokr_w2_b"), 0  # factors whose rows are the rank
_WHOLE = (  # the suffixes that make one delta
    {"diff"},
    *(
        pair | alpha
        for alpha in (set(), {_ALPHA})
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
    "diff_b": "a bias delta (diff_b), but these layers have no bias",
    "lokr_t2": "LoKr of convolutions (lokr_t2), but these layers are linear",
    "lora_mid.weight": "LoRA of convolutions (lora_mid), but these layers are linear",
    "lora_up.weight": "in kohya naming (lora_up, lora_down)",
    "lora_down.weight": "in kohya naming (lora_up, lora_down)",
    "hada_w1_a": "LoHa (hada_w1_a)",
}
_FLOATS = {"F32", "F16", "BF16"}
_NAMED = 3  # keys named in a message before it goes on with their number


@dataclass(frozen=True, eq=False)
class Delta:
    """What the file holds for one layer, as stored (CPU, the file's dtype)."""

    kind: Kind
    tensors: Tensors

    def scale(self, dtype: torch.dtype) -> float:
        """alpha (rounded to `dtype`) over the rank; 1 without alpha, and for two full LoKr factors, of no rank."""
        ranks = [self.tensors[name].shape[_RANK_SIDE] for name in _RANKED if name in self.tensors]
        return self.tensors[_ALPHA].to(dtype).item() / ranks[0] if ranks and _ALPHA in self.tensors else 1.0


@dataclass(frozen=True, eq=False)
class Adapter:
    """A whole adapter file that fits its base. `matched_keys`: tensors applied, which is all of them."""

    path: str
    format: str  # "lora" | "lokr" | "diff", or several joined by "+"
    deltas: Mapping[str, Delta]  # by layer
    matched_keys: int


def read_adapter(path: str | Path, layers: LayerShapes) -> Adapter:
    """The adapter in `path` for a base with these layers; AdapterError if a single key cannot be applied."""
    try:
        header = read_header(path)
    except CheckpointError as error:
        raise AdapterError(str(error)) from error
    if not header.shapes:
        raise AdapterError(f"{path}: holds no tensors; train or save it again")
    _refuse_unsupported(path, header)
    names = {key: _layer_and_suffix(key, layers) for key in header.shapes}
    kinds = _kinds(path, names)
    _check_fit(path, header, names, layers)
    tensors = {key: tensor.clone() for key, tensor in load_file(path).items()}  # no view of a file that may change
    deltas = {
        layer: Delta(kind, {suffix: tensors[key] for key, (owner, suffix) in names.items() if owner == layer})
        for layer, kind in kinds.items()
    }
    _check_finite(path, deltas)
    return Adapter(str(path), "+".join(sorted(set(kinds.values()))), deltas, len(names))


def _refuse_unsupported(path: str | Path, header: Header) -> None:
    for key, dtype in header.dtypes.items():
        if dtype not in _FLOATS:
            raise AdapterError(f"{path}: {key}: expected float32, float16 or bfloat16, got {dtype}")
    for ending, what in _REFUSED.items():
        keys = [key for key in header.shapes if key.endswith(f".{ending}")]
        if keys:
            raise AdapterError(f"{path}: is {what}, which cannot be applied: {_named(keys)}")
    convolved = [key for key, shape in header.shapes.items() if len(shape) > 2]
    if convolved:
        raise AdapterError(f"{path}: has weights of convolutions, but these layers are linear: {_named(convolved)}")
    foreign = [key for key in header.shapes if not key.startswith((_PREFIX, _OLD_PREFIX))]
    if foreign:
        raise AdapterError(
            f"{path}: is {foreign_naming(foreign[0])}{_said_by(header)}; expected keys that begin with {_PREFIX}, "
            f"as ai-toolkit writes them for FLUX.2: {_named(foreign)}"
        )


def _layer_and_suffix(key: str, layers: LayerShapes) -> tuple[str, str]:
    """(layer, suffix) of a key; an unknown suffix comes back whole with an empty layer."""
    name = key.removeprefix(_PREFIX).removeprefix(_OLD_PREFIX)
    for suffix in (*_KINDS, _ALPHA):
        if name.endswith(f".{suffix}"):
            layer = name.removesuffix(f".{suffix}")
            if key.startswith(_OLD_PREFIX):
                layer = {known.replace(".", "_"): known for known in layers}.get(layer, layer)
            return layer, suffix
    return "", name


def _kinds(path: str | Path, names: Mapping[str, tuple[str, str]]) -> dict[str, Kind]:
    """The kind of each layer's delta, after checking that its tensors make one whole delta."""
    unknown = [key for key, (layer, _) in names.items() if not layer]
    if unknown:
        raise AdapterError(f"{path}: expected LoRA, LoKr or diff tensors, got others: {_named(unknown)}")
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
    return {layer: next(_KINDS[s] for s in sorted(found) if s != _ALPHA) for layer, found in suffixes.items()}


def _check_fit(path: str | Path, header: Header, names: Mapping[str, tuple[str, str]], layers: LayerShapes) -> None:
    shapes: dict[str, dict[str, tuple[int, ...]]] = defaultdict(dict)
    for key, (layer, suffix) in names.items():
        shapes[layer][suffix] = header.shapes[key]
    wanted = {layer: _delta_shape(parts) for layer, parts in shapes.items()}
    unfit = [key for key, (layer, _) in names.items() if wanted[layer] != layers.get(layer)]
    if not unfit:
        return
    broken = [layer for layer, shape in wanted.items() if shape is None and layer in layers]
    if broken:
        raise AdapterError(f"{path}: {broken[0]}: its tensors do not fit each other: {shapes[broken[0]]}")
    found = {layer: shape for layer, shape in wanted.items() if shape is not None}
    reason = wrong_base(found, layers) or "its layers do not fit this base"
    raise AdapterError(
        f"{path}: {reason}{_said_by(header)}. {len(unfit)} of {len(names)} keys cannot be applied: {_named(unfit)}"
    )


def _delta_shape(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int] | None:
    """(rows, columns) of the delta that one layer's tensors of these shapes make; None if they do not fit together."""
    if any(len(shape) != 2 for suffix, shape in shapes.items() if suffix != _ALPHA):
        return None
    if math.prod(shapes.get(_ALPHA, ())) != 1:
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


def _check_finite(path: str | Path, deltas: Mapping[str, Delta]) -> None:
    for layer, delta in deltas.items():
        for suffix, tensor in delta.tensors.items():
            # Full LoKr factors have a rank of 9999999999 in `alpha`, infinite in float16, and ignore it.
            ignored = suffix == _ALPHA and {"lokr_w1", "lokr_w2"} <= delta.tensors.keys()
            if not ignored and not bool(torch.isfinite(tensor).all()):
                raise AdapterError(f"{path}: {layer}.{suffix}: holds NaN or infinity; the training run has diverged")


def _said_by(header: Header) -> str:
    version = header.metadata.get("ss_base_model_version")
    return f" (its header says {version})" if version else ""


def _named(keys: list[str]) -> str:
    rest = f", … ({len(keys)} in all)" if len(keys) > _NAMED else ""
    return ", ".join(keys[:_NAMED]) + rest

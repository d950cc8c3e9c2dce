"""The keys of an adapter file read: which tensor of which module's delta each one is, and where that delta goes.

LoRA, LoKr and full deltas, in the names of any tool (tools.py) for any module of the family (AdapterNaming.places). All
else is refused by an AdapterError that says what it is.
"""

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from darkroom.display import named
from darkroom.errors import AdapterError
from darkroom.lora_files.excerpt import pattern_of, without_command
from darkroom.lora_files.file import LoraFile
from darkroom.lora_files.naming import AdapterNaming, Layer, LayerShapes, Place
from darkroom.lora_files.scales import read_scales, refuse_scales_beside
from darkroom.lora_files.tools import (
    ALPHA,
    Named,
    of_text_encoders,
    of_tokens,
    read_key,
    text_encoder_patterns,
    unsupported,
)

DeltaKind = Literal["lora", "lokr", "diff"]

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
_FLOATS = {"F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2"}
_NUMBERS = {*_FLOATS, "I64", "I32", "I16", "I8", "U8"}  # an alpha, as kohya's tools write it


@dataclass(frozen=True)
class LayerDelta:
    """What a file holds for one layer, or for a part of it. Several may share keys: a module of many layers."""

    kind: DeltaKind
    keys: Mapping[str, str]  # suffix ("lora_A.weight", "lokr_w1", "alpha", …) → key in the file
    place: Place
    shape: tuple[int, int]  # that the whole layer has if the delta fits it: rows, columns
    alpha: float | None = None  # of the header, where no tensor has it


@dataclass(frozen=True)
class ReadKeys:
    """The deltas of a file, whether a base has their layers or not."""

    deltas: tuple[LayerDelta, ...]
    modules: LayerShapes  # as the file names them, with the shapes of their deltas
    unknown: tuple[str, ...]  # those of them that no base of the family has


def read_keys(lora: LoraFile, naming: AdapterNaming) -> ReadKeys:
    """AdapterError for a file that is in no format known here, or names no module as any tool does."""
    if not lora.shapes:
        raise AdapterError(f"{lora.path}: holds no tensors; train or save it again")
    _refuse_unsupported(lora)
    modules = _modules(lora, naming)
    shapes = {module: _shape(lora, module, keys) for module, keys in modules.items()}
    scales = read_scales(lora)
    deltas = []
    for module, keys in modules.items():
        kind, alpha = _kind(keys.keys()), None
        if kind == "lora" and ALPHA not in keys:
            alpha = scales.alpha_of(module, lora.shapes[keys["lora_A.weight"]][0])
        deltas += [LayerDelta(kind, keys, *each, alpha) for each in placed({module: shapes[module]}, naming)]
    if any(delta.alpha is None and ALPHA not in delta.keys for delta in deltas if delta.kind != "diff"):
        refuse_scales_beside(Path(lora.path))
    _refuse_twice(lora.path, deltas)
    return ReadKeys(tuple(deltas), shapes, tuple(module for module in modules if not naming.places(module)))


def placed(modules: LayerShapes, naming: AdapterNaming) -> Iterator[tuple[Place, tuple[int, int]]]:
    """Where the deltas of modules go, and what shape a whole layer there has if they fit.

    A module that no base of the family has is a layer of its own name.
    """
    for module, (rows, columns) in modules.items():
        for place in naming.places(module) or (Place(module),):
            yield place, (_rows_of_the_layer(rows, place, naming.layer(place.layer)), columns)


def _rows_of_the_layer(rows: int, place: Place, layer: Layer | None) -> int:
    """-1, which fits nothing, where the module's rows do not divide into those of its layers."""
    if place.part is not None and layer:
        return rows * len(layer.parts)
    if place.rows is None:
        return rows
    return -1 if rows % place.rows.of else rows // place.rows.of * (place.rows.stop - place.rows.start)


def _refuse_unsupported(lora: LoraFile) -> None:
    for key, dtype in lora.header.dtypes.items():
        if dtype not in (_NUMBERS if key.endswith(f".{ALPHA}") else _FLOATS):
            numbers = "a number" if key.endswith(f".{ALPHA}") else "float32, float16, bfloat16 or float8"
            raise AdapterError(f"{lora.path}: {key}: expected {numbers}, got {dtype}")
    if tokens := of_tokens(lora.shapes):
        command = without_command(lora.path, sorted({f"{key.partition('.')[0]}*" for key in tokens}))
        raise AdapterError(
            f"{lora.path}: trains words of the text encoder as well, which no preview of the trainer has: "
            f"{named(tokens)}; leave them out: {command}"
        )
    if refused := unsupported(lora.shapes):
        what, keys = refused
        raise AdapterError(f"{lora.path}: is {what}, which cannot be applied: {named(keys)}")
    if texts := of_text_encoders(lora.shapes):
        raise AdapterError(
            f"{lora.path}: is a LoRA of the text encoder as well, which is not applied here, as no preview of the "
            f"trainer has one: {named(texts)}; train the transformer alone, or leave these out: "
            f"{without_command(lora.path, text_encoder_patterns(texts))}"
        )
    convolved = [key for key, shape in lora.shapes.items() if len(shape) > 2]
    if convolved:
        raise AdapterError(f"{lora.path}: has weights of convolutions, but these layers are linear: {named(convolved)}")


def _modules(lora: LoraFile, naming: AdapterNaming) -> dict[str, dict[str, str]]:
    """The keys of each module by suffix."""
    read = {key: read_key(key) for key in lora.shapes}
    unknown = [key for key, found in read.items() if found is None]
    if unknown:
        raise AdapterError(f"{lora.path}: expected LoRA, LoKr or diff tensors, got others: {named(unknown)}")
    tensors = {key: found for key, found in read.items() if found}
    strange = [key for key, found in tensors.items() if not _is_named_so(found, naming)]
    if strange:
        raise AdapterError(
            f"{lora.path}: is in an unknown naming{lora.said_base}; expected the layers of {naming.trained_for} as "
            f"ai-toolkit, diffusers, PEFT, kohya's tools, OneTrainer, SimpleTuner or DiffSynth name them: "
            f"{named(strange)}"
        )
    modules: dict[str, dict[str, str]] = defaultdict(dict)
    first: dict[tuple[Place, ...], str] = {}  # a module's alpha may be under another of its names
    for key, found in tensors.items():
        places = naming.places(found.module)
        module = first.setdefault(places, found.module) if places else found.module
        other = modules[module].setdefault(found.suffix, key)
        if other != key:
            raise AdapterError(_twice(lora.path, other, key))
    return modules


def _is_named_so(found: Named, naming: AdapterNaming) -> bool:
    return found.is_prefixed or bool(naming.places(found.module)) or naming.is_in_a_block(found.module)


def _refuse_twice(path: str, deltas: Sequence[LayerDelta]) -> None:
    """A layer, or a part of it, has one delta in a file; no whole has one beside its parts."""
    first: dict[tuple[str, int | None], LayerDelta] = {}
    whole = {delta.place.layer for delta in deltas if delta.place.part is None}
    for delta in deltas:
        place = delta.place
        is_beside = place.part is not None and place.layer in whole
        other = first.setdefault((place.layer, None if is_beside else place.part), delta)
        if other is not delta:
            raise AdapterError(_twice(path, min(other.keys.values()), min(delta.keys.values())))


def _twice(path: str, first: str, second: str) -> str:
    command = without_command(path, [pattern_of(first)])
    both = f"{path}: names one layer twice, expected once: {named((first, second))}"
    return f"{both}; if both are of one training, leave one out, such as by {command}"


def _kind(suffixes: Collection[str]) -> DeltaKind:
    """The kind of a whole delta."""
    if "diff" in suffixes:
        return "diff"
    return "lora" if "lora_A.weight" in suffixes else "lokr"


def _shape(lora: LoraFile, module: str, keys: Mapping[str, str]) -> tuple[int, int]:
    """(rows, columns) of a module's delta; AdapterError where its tensors are no whole one, or do not fit."""
    found = set(keys)
    if found == {"lora_A.weight"} and not any(".lora_B" in key or "lora_up" in key for key in lora.shapes):
        raise AdapterError(f"{lora.path}: {module}: lora_A without lora_B: type fullrank cannot be applied")
    if found not in _WHOLE:
        raise AdapterError(
            f"{lora.path}: {module}: expected one whole LoRA, LoKr or diff, got {sorted(found)}; save it again"
        )
    shapes = {suffix: lora.shapes[key] for suffix, key in keys.items()}
    shape = _delta_shape(shapes)
    if shape is None:
        turned = {suffix: shape[::-1] for suffix, shape in shapes.items()}
        cure = "; its matrices are transposed, save it again" if _delta_shape(turned) else ""
        raise AdapterError(f"{lora.path}: {module}: its tensors do not fit each other: {shapes}{cure}")
    if any(0 in shapes[suffix] for suffix in keys):
        raise AdapterError(f"{lora.path}: {module}: has tensors without values: {shapes}; train or save it again")
    return shape


def _delta_shape(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int] | None:
    """(rows, columns) of the delta that one module's tensors of these shapes make; None if they do not fit together."""
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

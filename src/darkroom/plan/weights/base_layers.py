"""Which layers a model's transformer has, and what it reads of a text: of a base that is here or known, by headers."""

from collections.abc import Mapping
from pathlib import Path

from darkroom.base_files.gguf.header import read_gguf_header
from darkroom.base_files.stored_weights import stored_weights
from darkroom.checkpoint import weight_files
from darkroom.errors import CheckpointError, WeightFileError
from darkroom.lora_files.families import NAMINGS
from darkroom.lora_files.layers import layers_in, layers_of
from darkroom.lora_files.naming import AdapterNaming, LayerShapes
from darkroom.plan.conf.schema import CheckpointSource
from darkroom.plan.weights.places import OnHub, place_of


def base_layers(source: CheckpointSource, family: str) -> LayerShapes | None:
    """The layers of a model's transformer; None where neither its files are here nor its repository is known."""
    naming = NAMINGS[family]
    try:
        place = place_of(source, "transformer")
        if isinstance(place, OnHub):
            known = next((base for base in naming.bases if place.repo in base.repos), None)
            return layers_of(known, naming) if known else None
        return layers_at(place.path, naming)
    except (CheckpointError, WeightFileError, OSError):  # told by missing_files.py
        return None


def layers_at(transformer: Path, naming: AdapterNaming) -> LayerShapes | None:
    """Of a folder or a file; None for one that holds no layer."""
    return layers_in(tensors_at(transformer)[0], naming) or None


def text_features(source: CheckpointSource, family: str) -> int | None:
    """Features of a token of the prompt that a model's transformer reads; None for a base that is not known."""
    layers, naming = base_layers(source, family) or {}, NAMINGS[family]
    known = {name: naming.layer(name) for name in layers}
    reading = (name for name, layer in known.items() if layer and layer.columns == "text_features")
    return next((layers[name][1] for name in reading), None)


def tensors_at(path: Path) -> tuple[Mapping[str, tuple[int, ...]], str]:
    """Shapes by key, however they are packed, of a folder or a file; and the architecture that a .gguf file names."""
    if path.suffix.lower() == ".gguf":
        header = read_gguf_header(path)
        return {tensor.name: tensor.shape for tensor in header.tensors}, header.architecture or ""
    files = weight_files(path) if path.is_dir() else [path]
    return {key: weight.shape for file in files for key, weight in stored_weights(file).items()}, ""

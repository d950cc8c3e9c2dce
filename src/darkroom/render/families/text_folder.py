"""The JSON files in the folders of a text encoder and its tokenizer: read and checked. Knows no family."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from darkroom.base_files.json_file import read_json_file
from darkroom.errors import CheckpointError

_Config = TypeVar("_Config")


def read_encoder_config(folder: Path, model_types: Collection[str]) -> tuple[str, dict[str, Any]]:
    """(model_type, values) of config.json; CheckpointError unless it is of one of these types, with plain weights."""
    path = folder / "config.json"
    values = read_json_file(path, "the config of a text encoder")
    model_type, quantized = values.get("model_type"), "quantization_config" in values
    if model_type not in model_types:
        raise CheckpointError(f"{path}: model_type: expected {' or '.join(model_types)}, got {model_type}")
    if quantized:
        raise CheckpointError(
            f"{path}: quantization_config: expected plain weights; name the original repository, "
            "and quantize.text_encoder to save memory"
        )
    return str(model_type), values


def built_config(folder: Path, model_type: str, build: Callable[[], _Config]) -> _Config:
    """What `build` makes of the values; CheckpointError where transformers does not take them."""
    from huggingface_hub.errors import StrictDataclassError

    try:
        return build()
    except (StrictDataclassError, OSError, ValueError, TypeError, KeyError) as error:
        path = folder / "config.json"
        raise CheckpointError(f"{path}: cannot be read as the config of {model_type}: {error}") from error


def read_tokenizer_file(path: Path) -> dict[str, Any]:
    """One of a tokenizer's JSON files; CheckpointError unless it is there and a mapping."""
    return read_json_file(path, "part of a tokenizer")


def check_tokenizer_lacks(folder: Path, lacks: Mapping[str, bool], title: str) -> None:
    """CheckpointError with all that holds of `lacks`: what a tokenizer of another encoder than `title` has or lacks."""
    if any(lacks.values()):
        text = ", ".join(fault for fault, holds in lacks.items() if holds)
        raise CheckpointError(f"{folder}: the tokenizer {text}; expected the one of the same {title} text encoder")

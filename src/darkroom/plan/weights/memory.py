"""How much host memory a job asks a cluster for: enough for every memory mode.

Weights that do not rest on the GPU rest in the machine's memory, and so does the copy of those that LoRAs are merged
into (docs/memory.md). Of the models that come along the numbers are the memory planner's, of others their files'.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from darkroom.base_files.gguf.header import read_gguf_header
from darkroom.base_files.stored_weights import stored_weights
from darkroom.errors import DarkroomError
from darkroom.plan.conf.schema import Model
from darkroom.plan.weights.catalogue import catalogue_id
from darkroom.plan.weights.checkpoint_files import local_files

_PROCESS = 4.0  # GB: torch with CUDA, two Snakemakes, what is read of a file while it is loaded; a guess, on no GPU yet
_MARGIN = 1.05
_UNKNOWN = (10.0, 24.0)  # GB: text encoder, transformer, of a repository of the hub that nobody here knows
_RATIO = {None: 1.0, "qfloat8": 0.56, "qint8": 0.56, "float8": 0.56, "qint4": 0.36}  # at most, of quantised weights
_HALF = 2  # bytes of a number in bfloat16

# GB (10^9 bytes) in bfloat16: text encoder as far as it is read; transformer with VAE.
WEIGHTS: Mapping[str, tuple[float, float]] = {
    "flux2_klein_4b": (6.2, 7.9),
    "flux2_klein_4b_distilled": (6.2, 7.9),
    "flux2_klein_9b": (11.7, 18.3),
    "flux2_klein_9b_distilled": (11.7, 18.3),
    "flux2": (34.7, 64.6),
    "flux": (9.8, 24.0),
    "flex1": (9.8, 16.5),
    "flex2": (9.8, 16.5),
    "zimage": (7.8, 12.5),
    "zimage_deturbo": (7.8, 12.5),
    "zimage_turbo": (7.8, 12.5),
}


def memory_to_encode(model: Model) -> int:
    """MB (10^6 bytes) for its texts."""
    text, _ = _weights(model)
    return _asked(text * _RATIO[model.quantize.text_encoder])


def memory_to_render(model: Model, merges: bool) -> int:
    """MB for its pictures. `merges`: adapters into weights, of which a copy is kept where there is room."""
    _, base = _weights(model)
    quantised = model.quantize.transformer
    return _asked(base * _RATIO[quantised] + (base if merges and quantised is None else 0))


def _asked(weights: float) -> int:
    return math.ceil((_PROCESS + _MARGIN * weights) * 10) * 100


def _weights(model: Model) -> tuple[float, float]:
    """GB of its text encoder and of all that renders, before they are quantised."""
    known = WEIGHTS.get(catalogue_id(model.checkpoint) or "")
    if known is None:
        render = {*local_files(model.checkpoint, model.family, needs_text=False)}
        text = {*local_files(model.checkpoint, model.family, needs_text=True)} - render
        known = (_size(text) or _UNKNOWN[0], _size(render) or _UNKNOWN[1])
    wide = 2 if model.dtype == "float32" else 1
    return known[0] * wide, known[1] * wide


def _size(files: Iterable[Path]) -> float:
    """GB of these files' weights in bfloat16, whatever they are packed in."""
    return sum(math.prod(shape) for file in files for shape in _shapes(file)) * _HALF / 1e9


def _shapes(file: Path) -> list[tuple[int, ...]]:
    """None of what is no file of weights, or cannot be read: the rule checkpoint says so."""
    try:
        if file.suffix == ".gguf":
            return [tensor.shape for tensor in read_gguf_header(file).tensors]
        return [each.shape for each in stored_weights(file).values()] if file.suffix in (".safetensors", ".sft") else []
    except DarkroomError:
        return []

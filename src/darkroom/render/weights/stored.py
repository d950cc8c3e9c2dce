"""The tensors in a component's files, whatever the format: which there are, and reading one. Knows no model's names.

Formats: .safetensors, plain or with scaled weights of 8 or 4 bits (safetensors_file.py), and .gguf (gguf_file.py).
"""

from pathlib import Path
from typing import Protocol

import torch

from darkroom.checkpoint import DIFFUSERS, GGUF, Component, weight_files
from darkroom.errors import CheckpointError
from darkroom.render.weights.gguf_file import gguf_tensors
from darkroom.render.weights.safetensors_file import safetensors_tensors
from darkroom.render.weights.tensor_file import ReadBuffer


class Stored(Protocol):
    """One tensor of a component's files, with the values that it stands for."""

    @property
    def file(self) -> Path: ...

    @property
    def key(self) -> str: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    def read(self, rows: slice, buffer: ReadBuffer | None = None) -> torch.Tensor:
        """These rows (along the first dimension); float32 where dequantised.

        Perhaps as a view of a mapped file, or of `buffer`, which is used if it spares memory.
        """


def stored_tensors(component: Component) -> dict[str, Stored]:
    """Every tensor in the component's files, by key; CheckpointError if a file is missing or not whole."""
    path = Path(component.path)
    files = [path] if component.layout != DIFFUSERS else weight_files(path)
    if not files:
        raise CheckpointError(f"{component.path}: expected a folder with .safetensors files, found none in it")
    read = gguf_tensors if component.layout == GGUF else safetensors_tensors
    found: dict[str, Stored] = {}
    for file in files:
        for key, tensor in read(file).items():
            if key in found:
                raise CheckpointError(
                    f"{file}: {key} is also in {found[key].file.name}; every tensor belongs into one file"
                )
            found[key] = tensor
    return found

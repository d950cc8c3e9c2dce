"""Where each parameter of a component comes from, and reading it: the one path for loading and for restoring.

Reads through memory-mapped .safetensors files, a tensor at a time, always into fresh memory. Knows the two layouts
of a component (checkpoint.py); the names inside a single file are told by the family, as a function from a stored key
to the parameters in it. Knows nothing of adapters.
"""

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from darkroom.checkpoint import SINGLE_FILE, Component
from darkroom.errors import CheckpointError
from darkroom.weight_file import identity, read_header

_FOLDER_FILE = "diffusion_pytorch_model.safetensors"
_NAMED = 4  # keys named in a message before it goes on with their number


@dataclass(frozen=True)
class Part:
    """A parameter as a piece of a stored tensor: one of `blocks` equal row blocks, counted from 0."""

    parameter: str
    block: int = 0
    blocks: int = 1
    swap_halves: bool = False  # the first half of the rows changes places with the second
    squeeze: bool = False  # stored as a 1x1 convolution (out, in, 1, 1), used as a linear layer (out, in)

    def cut(self, stored: torch.Tensor) -> torch.Tensor:
        """This piece of `stored` (rows first); may be a view of it."""
        if self.swap_halves:
            first, second = stored.chunk(2, 0)
            stored = torch.cat([second, first], 0)
        if self.squeeze:
            stored = stored.flatten(1)
        return stored if self.blocks == 1 else stored.chunk(self.blocks, 0)[self.block]

    def shape(self, stored: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of `cut` of a tensor of shape `stored`."""
        kept = (stored[0], math.prod(stored[1:])) if self.squeeze else stored
        whole = self.blocks == 1 or not kept or kept[0] % self.blocks  # rows that do not divide are an error elsewhere
        return kept if whole else (kept[0] // self.blocks, *kept[1:])


Layout = Callable[[str], tuple[Part, ...]]  # stored key → the parameters in it; () for a key that it does not know


def by_own_name(key: str) -> tuple[Part, ...]:
    """The layout of a diffusers folder: parameters are stored whole, under their own names."""
    return (Part(key),)


@dataclass(frozen=True)
class Stored:
    """One tensor of a component's files."""

    file: Path
    key: str
    shape: tuple[int, ...]


def stored_tensors(component: Component) -> dict[str, Stored]:
    """Every tensor in the component's files, by key; CheckpointError if a file is missing or not whole."""
    found: dict[str, Stored] = {}
    for file in _files(component):
        header = read_header(file)
        found |= {key: Stored(file, key, shape) for key, shape in header.shapes.items()}
    return found


def read_config(component: Component, expected_class: str) -> dict[str, Any]:
    """config.json of a diffusers folder; CheckpointError unless it is there and names the class."""
    path = Path(component.path) / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text())
        found = config.get("_class_name")
    except (OSError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path}: cannot be read as the config of a diffusers folder: {error}") from error
    if found != expected_class:
        raise CheckpointError(f"{path}: _class_name: expected {expected_class}, got {found}")
    return config


class BaseWeights:
    """The weights of one component as its files have them."""

    def __init__(self, component: Component, stored: Iterable[Stored], layout: Layout) -> None:
        self.path = component.path
        self._sources: dict[str, tuple[Stored, Part]] = {}
        self._unknown: list[str] = []
        for tensor in stored:
            parts = layout(tensor.key)
            self._sources |= {part.parameter: (tensor, part) for part in parts}
            if not parts:
                self._unknown.append(tensor.key)
        files = {source.file for source, _ in self._sources.values()}
        self._identities = {file: identity(file) for file in files}

    def read(self, parameter: str, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """One parameter as the file has it, in fresh contiguous memory; integers keep their own dtype.

        Never a view of the mapping: merged weights are written in place and must not show up in later reads.
        """
        source, part = self._sources[parameter]
        if not source.file.is_file() or identity(source.file) != self._identities[source.file]:
            raise CheckpointError(f"{source.file}: changed since the base model was loaded; start again")
        # Opened anew each time, so that no mapped page stays in memory beside the weights made from it.
        with safe_open(source.file, framework="pt") as file:
            piece = part.cut(file.get_tensor(source.key))
            wanted = dtype if piece.is_floating_point() else piece.dtype
            return piece.to(device=device, dtype=wanted, copy=True, memory_format=torch.contiguous_format)

    def fill(self, module: torch.nn.Module, dtype: torch.dtype, device: torch.device) -> None:
        """Give every parameter and buffer of a module on the meta device its weights, and use every stored tensor."""
        expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
        self._account(expected)
        weights = {name: self.read(name, dtype, device) for name in expected}
        module.load_state_dict(weights, strict=True, assign=True)
        left = [name for name, tensor in (*module.named_parameters(), *module.named_buffers()) if tensor.is_meta]
        if left:
            raise CheckpointError(f"{self.path}: no weights are stored for {_named(left)}")
        module.requires_grad_(False).eval()

    def _account(self, expected: dict[str, tuple[int, ...]]) -> None:
        shapes = {name: part.shape(source.shape) for name, (source, part) in self._sources.items()}
        missing = [name for name in expected if name not in shapes]
        unused = [*self._unknown, *(self._sources[name][0].key for name in shapes if name not in expected)]
        differing = [
            f"{self._sources[name][0].key} (expected {list(shape)} for {name}, got {list(shapes[name])})"
            for name, shape in expected.items()
            if name in shapes and shapes[name] != shape
        ]
        faults = {"lacks": missing, "has tensors without a place": unused, "has tensors of another shape": differing}
        if any(faults.values()):
            text = "; ".join(f"{fault}: {_named(names)}" for fault, names in faults.items() if names)
            raise CheckpointError(f"{self.path}: {text}; is this the right model, and is its download complete?")


def _files(component: Component) -> list[Path]:
    """The weight files in use: a single file, a folder's only file, or all that a folder's index names."""
    path = Path(component.path)
    if component.layout == SINGLE_FILE:
        return [path]
    index = path / f"{_FOLDER_FILE}.index.json"
    if not index.is_file():
        return [path / _FOLDER_FILE]
    try:
        weight_map: dict[str, str] = json.loads(index.read_text())["weight_map"]
        return [path / name for name in sorted(set(weight_map.values()))]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index}: expected a weight_map of keys and file names: {error!r}") from error


def _named(names: list[str]) -> str:
    rest = f", … ({len(names)} in all)" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + rest

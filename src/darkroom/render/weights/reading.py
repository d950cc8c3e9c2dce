"""Where each parameter of a component comes from, and reading it: the one path for loading and for restoring.

Reads a tensor at a time, into fresh memory or a buffer that is kept. The formats of files are stored.py's; the names
inside a file are told by the family, as a function from a stored key to the parameters in it.
"""

import copy
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from darkroom.base_files.json_file import read_json_file
from darkroom.checkpoint import Component
from darkroom.display import named
from darkroom.errors import CheckpointError, one_line
from darkroom.files.weight_file import identity
from darkroom.render.weights.stored import Stored
from darkroom.render.weights.tensor_file import ReadBuffer

Shapes = dict[str, tuple[int, ...]]

_NAMED = 4  # keys in a message


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
        return self._turned(stored[self._rows(stored.shape[0])] if self.blocks > 1 else stored)

    def read(self, stored: Stored, buffer: ReadBuffer | None = None) -> torch.Tensor:
        """`cut` of a tensor in a file, of which only the rows wanted are read."""
        return self._turned(stored.read(self._rows(stored.shape[0]) if self.blocks > 1 else slice(None), buffer))

    def shape(self, stored: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of `cut` of a tensor of shape `stored`."""
        kept = (stored[0], math.prod(stored[1:])) if self.squeeze else stored
        whole = self.blocks == 1 or not kept or kept[0] % self.blocks  # rows that do not divide are an error elsewhere
        return kept if whole else (kept[0] // self.blocks, *kept[1:])

    def _rows(self, count: int) -> slice:
        size = count // self.blocks
        return slice(self.block * size, (self.block + 1) * size)

    def _turned(self, piece: torch.Tensor) -> torch.Tensor:
        if self.swap_halves:
            first, second = piece.chunk(2, 0)
            piece = torch.cat([second, first], 0)
        return piece.flatten(1) if self.squeeze else piece


Change = Callable[[torch.Tensor], torch.Tensor]  # a weight as it was read → another of its shape, dtype and device
Layout = Callable[[str], tuple[Part, ...]]  # stored key → the parameters in it; () for a key that it does not know


def by_own_name(key: str) -> tuple[Part, ...]:
    """The layout of diffusers' own files: parameters are stored whole, under their own names."""
    return (Part(key),)


def read_config(component: Component, expected_class: str) -> dict[str, Any]:
    """config.json of a diffusers folder; CheckpointError unless it is there and names the class."""
    path = Path(component.path) / "config.json"
    config = read_json_file(path, "the config of a diffusers folder")
    found = config.get("_class_name")
    if found != expected_class:
        raise CheckpointError(f"{path}: _class_name: expected {expected_class}, got {found}")
    return config


def shapes_of(module: torch.nn.Module) -> Shapes:
    """What files must hold for a module: its parameters and buffers."""
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def count(shapes: Mapping[str, tuple[int, ...]], pattern: str) -> int:
    """1 + the largest number that the pattern finds in a key, 0 if it finds none."""
    return 1 + max((int(match[1]) for key in shapes if (match := re.fullmatch(pattern, key))), default=-1)


def built(cls: Any, config: Mapping[str, Any], weights: "BaseWeights") -> Any:
    """A diffusers model on the meta device, each of its tensors accounted for in `weights`; CheckpointError."""
    try:
        with torch.device("meta"):
            module = cls.from_config(config)
    except (ValueError, TypeError, IndexError, KeyError, ArithmeticError, RuntimeError) as error:
        raise CheckpointError(
            f"{weights.path}: no {cls.__name__} has sizes such as these ({one_line(error)}); is this the right model?"
        ) from error
    weights.account(shapes_of(module))
    return module


def _as_it_is(_: torch.nn.Module) -> None:
    pass


class BaseWeights:
    """The weights of one component as its files have them."""

    def __init__(self, component: Component, stored: Iterable[Stored], layout: Layout) -> None:
        self.path = component.path
        self._sources: dict[str, tuple[Stored, Part]] = {}
        self._unknown: list[str] = []
        for tensor in stored:
            parts = [part for part in layout(tensor.key) if part.parameter not in self._sources]
            self._sources |= {part.parameter: (tensor, part) for part in parts}
            if not parts:
                self._unknown.append(tensor.key)
        files = {source.file for source, _ in self._sources.values()}
        self._identities = {file: identity(file) for file in files}
        self._changes: Mapping[str, Change] = {}

    def changed(self, changes: Mapping[str, Change]) -> "BaseWeights":
        """The same weights, of which these parameters are changed whenever they are read: another base model's."""
        changed = copy.copy(self)
        changed._changes = changes
        return changed

    @property
    def shapes(self) -> Shapes:
        """The shape that each parameter in the files has, by parameter."""
        return {name: part.shape(source.shape) for name, (source, part) in self._sources.items()}

    def read(
        self, parameter: str, dtype: torch.dtype, device: torch.device, buffer: ReadBuffer | None = None
    ) -> torch.Tensor:
        """One parameter as the file has it, or as it is changed, in fresh memory; integers keep their own dtype.

        Never a view of the mapping: merged weights are written in place and must not show up in later reads. It may be
        one of `buffer`, if there is one: then it holds until the next read into it.
        """
        source, part = self._sources[parameter]
        self._check_unchanged(source.file)  # a file that is cut short is not read
        piece = part.read(source, buffer)
        wanted, fresh = dtype if piece.is_floating_point() else piece.dtype, buffer is None
        weight = piece.to(device=device, dtype=wanted, copy=fresh, memory_format=torch.contiguous_format)
        self._check_unchanged(source.file)  # nor was it while it was read
        return self._changes[parameter](weight) if parameter in self._changes else weight

    def _check_unchanged(self, file: Path) -> None:
        if not file.is_file() or identity(file) != self._identities[file]:
            raise CheckpointError(f"{file}: changed since the base model was loaded; start again")

    def fill(
        self,
        module: torch.nn.Module,
        dtype: torch.dtype,
        device: torch.device,
        finish: Callable[[torch.nn.Module], None] = _as_it_is,
    ) -> None:
        """Give every parameter and buffer of a module on the meta device its weights, and use every stored tensor.

        Layer by layer, and `finish(layer)` before the next is read: one that quantises keeps the peak at the final
        size. CheckpointError before the first read if names or shapes differ, and on a weight that is not `_sound`.
        """
        expected = shapes_of(module)
        self.account(expected)
        for prefix, layer in list(module.named_modules()):
            own = [name for name, _ in (*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False))]
            for name in own:
                full = f"{prefix}.{name}" if prefix else name
                if full in expected:
                    self._assign(layer, name, self._sound(full, dtype, device))
            if own:
                finish(layer)
        left = [name for name, tensor in (*module.named_parameters(), *module.named_buffers()) if tensor.is_meta]
        if left:
            raise CheckpointError(f"{self.path}: no weights are stored for {named(left, _NAMED)}")
        module.requires_grad_(False).eval()

    def account(self, expected: Shapes) -> None:
        """CheckpointError unless the files hold these parameters in these shapes and nothing else; reads nothing."""
        shapes = self.shapes
        missing = [name for name in expected if name not in shapes]
        unused = [*self._unknown, *(self._sources[name][0].key for name in shapes if name not in expected)]
        differing = [
            f"{self._sources[name][0].key} (expected {list(shape)} for {name}, got {list(shapes[name])})"
            for name, shape in expected.items()
            if name in shapes and shapes[name] != shape
        ]
        faults = {"lacks": missing, "has tensors without a place": unused, "has tensors of another shape": differing}
        if any(faults.values()):
            text = "; ".join(f"{fault}: {named(names, _NAMED)}" for fault, names in faults.items() if names)
            raise CheckpointError(f"{self.path}: {text}; is this the right model, and is its download complete?")

    def _sound(self, parameter: str, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """CheckpointError for a weight that is no finite number, or a matrix of nothing but zeros."""
        weight = self.read(parameter, dtype, device)
        # NaN is the smallest and the largest of any numbers that it is among; nothing as big as the weight is made.
        if not weight.is_floating_point() or not weight.numel():
            return weight
        ends = torch.stack(torch.aminmax(weight))
        is_matrix = sum(side > 1 for side in weight.shape) > 1
        if not ends.isfinite().all():
            fault = "has NaN or infinity in it"
        elif is_matrix and not ends.any():
            fault = "is all zeros, as where a download was broken off"
        else:
            return weight
        source = self._sources[parameter][0]
        raise CheckpointError(f"{source.file}: {source.key}: {fault}; get the file again")

    @staticmethod
    def _assign(layer: torch.nn.Module, name: str, weight: torch.Tensor) -> None:
        is_parameter = name in dict(layer.named_parameters(recurse=False))
        setattr(layer, name, torch.nn.Parameter(weight, requires_grad=False) if is_parameter else weight)

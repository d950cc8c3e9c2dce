"""Which linear layers a base model has, by the names that adapters use, and their shapes: told without loading it.

Of a base that is known by name, or of one whose files are here, by the names and shapes in their headers.
"""

import re
from collections.abc import Iterable, Mapping

from darkroom.base_files.key_prefix import shared_prefix
from darkroom.lora_files.naming import HIDDEN, AdapterNaming, Hidden, KnownBase, Layer, Size


def layers_of(base: KnownBase, naming: AdapterNaming) -> dict[str, tuple[int, int]]:
    """The layers of a known base."""
    counts = (base.double_blocks, base.single_blocks)
    layers = {
        f"{blocks}.{index}.{name}": layer
        for (blocks, _, inside), count in zip(naming.lists, counts, strict=True)
        for index in range(count)
        for name, layer in inside.items()
    }
    layers |= {**naming.beside, **(naming.guidance if base.embeds_guidance else {})}
    return {name: (_number(layer.rows, base), _number(layer.columns, base)) for name, layer in layers.items()}


def layers_in(shapes: Mapping[str, tuple[int, ...]], naming: AdapterNaming) -> dict[str, tuple[int, int]]:
    """The layers of a transformer whose files hold tensors of these shapes, in the family's own or diffusers' naming.

    What is no weight of a layer is passed over: whether the files are whole and the right ones is not asked here.
    """
    found: dict[str, tuple[int, int]] = {}
    prefix = shared_prefix(shapes)
    for key, shape in shapes.items():
        name = layer_of(key.removeprefix(prefix), naming)
        if name and len(shape) == 2:
            rows, columns = shape
            found[name] = (found.get(name, (0, 0))[0] + rows, columns)
    return found


def layer_of(key: str, naming: AdapterNaming) -> str | None:
    """The layer whose weight, or a part of it, a transformer's file has under a key, less what is before all keys."""
    module, _, leaf = key.rpartition(".")
    return _own_name(module, naming) if leaf == "weight" else None


def hidden_size(layers: Iterable[tuple[str, tuple[int, int]]], naming: AdapterNaming) -> int:
    """The hidden size as the first layer shows it that has it as a side; 0 if none has."""
    for name, (rows, columns) in layers:
        layer = naming.layer(name)
        if layer and HIDDEN in (layer.columns, layer.rows):
            return columns if layer.columns == HIDDEN else rows
    return 0


def _own_name(module: str, naming: AdapterNaming) -> str | None:
    """The layer that a module is, or is a part of."""
    for own, diffusers, inside in naming.lists:
        match = re.fullmatch(rf"(?:{own}|{diffusers})\.(\d+)\.(.+)", module)
        if match:
            name = _name_in(inside, match[2])
            return f"{own}.{match[1]}.{name}" if name else None
    return _name_in(naming.outside, module)


def _name_in(layers: Mapping[str, Layer], module: str) -> str | None:
    return module if module in layers else next((name for name, layer in layers.items() if module in layer.parts), None)


def _number(size: Size, base: KnownBase) -> int:
    if isinstance(size, Hidden):
        return size.times * base.hidden
    return size if isinstance(size, int) else int(getattr(base, size))

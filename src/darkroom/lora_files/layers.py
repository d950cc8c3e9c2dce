"""Which linear layers a base model has, by the names that adapters use, and their shapes: told without loading it.

Of a base that is known by name, or of one whose files are here, by the names and shapes in their headers.
"""

from collections.abc import Iterable, Mapping

from darkroom.base_files.key_prefix import shared_prefix
from darkroom.lora_files.naming import HIDDEN, AdapterNaming, Hidden, KnownBase, Place, Size


def layers_of(base: KnownBase, naming: AdapterNaming) -> dict[str, tuple[int, int]]:
    """The layers of a known base."""
    layers = {
        f"{blocks.name}.{index}.{name}": layer
        for blocks, count in zip(naming.blocks, base.blocks, strict=True)
        for index in range(count)
        for name, layer in blocks.inside.items()
    }
    layers |= {**naming.beside, **(naming.guidance if base.embeds_guidance else {})}
    return {name: (_number(layer.rows, base), _number(layer.columns, base)) for name, layer in layers.items()}


def layers_in(shapes: Mapping[str, tuple[int, ...]], naming: AdapterNaming) -> dict[str, tuple[int, int]]:
    """The layers of a transformer whose files hold tensors of these shapes, in the naming of whichever tool.

    What is no weight of a layer is passed over: whether the files are whole and the right ones is not asked here.
    """
    found: dict[str, tuple[int, int]] = {}
    prefix = shared_prefix(shapes)
    for key, shape in shapes.items():
        for place in _places(key.removeprefix(prefix), naming) if len(shape) == 2 else ():
            rows, columns = shape
            own = rows if place.rows is None else rows // place.rows.of * (place.rows.stop - place.rows.start)
            found[place.layer] = (found.get(place.layer, (0, 0))[0] + own, columns)
    return found


def layer_of(key: str, naming: AdapterNaming) -> str | None:
    """The layer whose weight, or a part of it, a transformer's file has under a key, less what is before all keys."""
    places = _places(key, naming)
    return places[0].layer if len(places) == 1 else None


def hidden_size(layers: Iterable[tuple[str, tuple[int, int]]], naming: AdapterNaming) -> int:
    """The hidden size as the first layer shows it that has it as a side; 0 if none has."""
    for name, (rows, columns) in layers:
        layer = naming.layer(name)
        if layer and HIDDEN in (layer.columns, layer.rows):
            return columns if layer.columns == HIDDEN else rows
    return 0


def _places(key: str, naming: AdapterNaming) -> tuple[Place, ...]:
    module, _, leaf = key.rpartition(".")
    return naming.places(module) if leaf == "weight" else ()


def _number(size: Size, base: KnownBase) -> int:
    if isinstance(size, Hidden):
        return size.times * base.hidden
    return size if isinstance(size, int) else int(getattr(base, size))

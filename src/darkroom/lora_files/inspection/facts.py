"""What an adapter file is: its tool, base, rank, layers, training, and how large its deltas are, as one value."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from darkroom.base_files.key_prefix import shared_prefix
from darkroom.base_files.stored_weights import stored_weights
from darkroom.display import named
from darkroom.errors import AdapterError, without_place
from darkroom.files.json_text import json_object
from darkroom.files.weight_file import read_header, sha256_of
from darkroom.lora_files.families import NAMINGS
from darkroom.lora_files.file import LoraFile, read_lora
from darkroom.lora_files.inspection.sizes import DeltaSize, sizes_of, squared_norm
from darkroom.lora_files.keys import ReadKeys, read_keys
from darkroom.lora_files.layers import layer_of, layers_of
from darkroom.lora_files.naming import AdapterNaming, KnownBase
from darkroom.lora_files.origin import bases_of
from darkroom.lora_files.tools import is_adapter, read_key, tool_of
from darkroom.lora_files.training.trainer import Trainer


@dataclass(frozen=True)
class Training:
    """What a header says of where a file comes from; None for what it does not say."""

    trainer: Trainer | None
    run: str | None
    step: int | None
    trigger_word: str | None


@dataclass(frozen=True)
class LoraFacts:
    """`refused`: why the file cannot be applied anywhere, "" if it can; there are no sizes then."""

    path: str
    bytes: int
    sha256: str
    tool: str
    kinds: tuple[str, ...]  # lora, lokr, diff
    family: str  # whose layers it names, in words
    said_base: str | None  # ss_base_model_version
    bases: tuple[str, ...]  # the known bases that have all of its layers
    layers: int  # that it changes
    layers_of_base: int | None  # that the first of `bases` has
    dtypes: tuple[str, ...]
    training: Training
    sizes: tuple[DeltaSize, ...]
    base_norms: Mapping[str, float]  # of the same layers' weights in the base that was given
    refused: str = ""

    @property
    def norm(self) -> float:
        """Of all deltas together."""
        return float(np.sqrt(sum(size.norm**2 for size in self.sizes)))

    @property
    def dead(self) -> tuple[str, ...]:
        return tuple(size.name for size in self.sizes if size.is_dead)

    @property
    def not_finite(self) -> tuple[str, ...]:
        return tuple(size.name for size in self.sizes if not size.is_finite)


def facts_of(path: Path, base: Path | None = None) -> LoraFacts:
    """Reads the whole file, and of `base`, a transformer's .safetensors file, the layers that it changes.

    WeightFileError for a file that is not whole or no safetensors file, AdapterError for one that is no adapter, or
    whose layers the given base does not have.
    """
    lora = read_lora(path)
    if not is_adapter(lora.shapes):
        raise AdapterError(f"{path}: expected a LoRA or LoKr, got a file without a key of one: is it a whole model?")
    naming, read, refused = _read(lora)
    bases = bases_of(read, naming, lora.base_version) if read else ()
    sizes = sizes_of(lora, read.deltas) if read else ()
    return LoraFacts(
        path=str(path),
        bytes=path.stat().st_size,
        sha256=sha256_of(path),
        tool=tool_of(lora.shapes),
        kinds=tuple(sorted({delta.kind for delta in read.deltas})) if read else (),
        family=naming.named_alike,
        said_base=lora.base_version,
        bases=tuple(known.name for known in bases),
        layers=len({delta.place.layer for delta in read.deltas}) if read else 0,
        layers_of_base=_layers_of(bases, naming),
        dtypes=tuple(sorted(set(lora.header.dtypes.values()))),
        training=training_of(lora),
        sizes=sizes,
        base_norms=_base_norms(base, lora, naming, sizes) if base else {},
        refused=refused,
    )


def training_of(lora: LoraFile) -> Training:
    """Of ai-toolkit's header, kohya's, or one by the rules of modelspec.

    ai-toolkit: `ss_tag_frequency` {"1_sks": {"sks": 1}} for a trigger word alone.
    """
    metadata = lora.header.metadata
    return Training(
        trainer=lora.trainer,
        run=lora.run,
        step=lora.step,
        trigger_word=metadata.get("modelspec.trigger_phrase") or _only_tag(metadata.get("ss_tag_frequency")),
    )


def _read(lora: LoraFile) -> tuple[AdapterNaming, ReadKeys | None, str]:
    """In the names of the family that knows most of its modules; or why it cannot be read in any."""
    found: list[tuple[int, AdapterNaming, ReadKeys]] = []
    refused = ""
    known = {name: _known(lora, naming) for name, naming in NAMINGS.items()}
    for naming in (NAMINGS[name] for name, count in known.items() if count == max(known.values())):
        try:
            read = read_keys(lora, naming)
        except AdapterError as error:
            refused = refused or without_place(error, lora.path)
            continue
        unfit = 0 if bases_of(read, naming, lora.base_version) else 1
        found.append((len(read.unknown) + unfit, naming, read))
    if not found:
        return next(iter(NAMINGS.values())), None, refused
    _, naming, read = min(found, key=lambda entry: entry[0])
    return naming, read, ""


def _known(lora: LoraFile, naming: AdapterNaming) -> int:
    """How many of a file's keys name something that a family has."""
    return sum(1 for key in lora.shapes if (said := read_key(key)) and naming.places(said.module))


def _layers_of(bases: Sequence[KnownBase], naming: AdapterNaming) -> int | None:
    return len(layers_of(bases[0], naming)) if bases else None


def _base_norms(base: Path, lora: LoraFile, naming: AdapterNaming, sizes: Sequence[DeltaSize]) -> dict[str, float]:
    """Frobenius norms of a base's weights, by the name of the size that they stand beside."""
    weights = stored_weights(base)
    if any(weight.scales for weight in weights.values()):
        raise AdapterError(f"{base}: its weights are quantised; name the bfloat16 file of the base to compare with")
    file, prefix = LoraFile(str(base), read_header(base)), shared_prefix(weights)
    wanted = {layer for size in sizes for layer in size.layers}
    squares: dict[str, float] = defaultdict(float)
    for key in weights:
        layer = layer_of(key.removeprefix(prefix), naming)
        if layer in wanted:
            squares[layer] += squared_norm(file, key)
    if missing := sorted(wanted - squares.keys()):
        raise AdapterError(f"{base}: expected the base of {lora.path}, got one without {named(missing)}")
    return {size.name: float(np.sqrt(sum(squares[layer] for layer in size.layers))) for size in sizes}


def _only_tag(frequencies: str | None) -> str | None:
    """The one tag of a file whose header counts no other."""
    tags = [tag for folder in json_object(frequencies).values() if isinstance(folder, dict) for tag in folder]
    return str(tags[0]) if len(tags) == 1 else None

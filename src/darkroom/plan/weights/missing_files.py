"""Which files of a base model are not there, or by their headers not whole, or in a format that is not read."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from darkroom.base_files.gguf.encoders import check_gguf_encoder
from darkroom.base_files.gguf.header import read_gguf_header, unread_kinds
from darkroom.base_files.json_file import check_is_itself
from darkroom.base_files.kinds import refuse_others
from darkroom.base_files.stored_weights import stored_weights
from darkroom.checkpoint import GGUF, LAYOUT_OF_ENDING, TRAINING_ADAPTER, weight_files
from darkroom.display import named
from darkroom.errors import CheckpointError, ConfigError, DarkroomError, WeightFileError, caught
from darkroom.files.regular_file import is_there, missing
from darkroom.lora_files.families import NAMINGS
from darkroom.lora_files.file import read_lora
from darkroom.lora_files.judge import judge
from darkroom.plan.conf.families import ENCODER_OF, FAMILIES
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.schema import CheckpointSource
from darkroom.plan.weights.base_layers import base_layers, tensors_at, text_features
from darkroom.plan.weights.places import (
    KNOWN_TOKENIZERS,
    PICKLES,
    OnHub,
    components,
    holds_tokenizer,
    key_of,
    place_of,
    section_faults,
)

_LISTED = 5  # files of a folder that a message names


def missing_weights(source: CheckpointSource, family: str, origin: Origin, needs_text: bool) -> Iterator[ConfigError]:
    """A sentence for all that can be said of a base model without a network; what lies on the hub is not looked at."""
    for key, fault in section_faults(source, family):
        yield ConfigError(f"{origin.at(f'checkpoint.{key}')}: {fault}")
    for part in components(source, family, needs_text):
        where = origin.at(f"checkpoint.{key_of(source, part)}")
        try:
            place = place_of(source, part)
        except CheckpointError as error:
            yield ConfigError(f"{where}: {error}")
            continue
        if not isinstance(place, OnHub):
            yield from _told_of(_here_faults(source, family, place.path, part), where)


def _here_faults(source: CheckpointSource, family: str, path: Path, part: str) -> Iterator[DarkroomError]:
    """As `component_faults`, and whether it is what the family reads, as far as headers show."""
    known, kind = FAMILIES[family], FAMILIES[family].gguf_encoders.get(part)
    if part in known.text_encoders and path.is_file() and path.suffix.lower() == ".gguf":
        yield from caught(lambda: check_gguf_encoder(path, kind, text_features(source, family)))
        return
    faults = list(component_faults(path, part))
    yield from faults
    if faults or not (kind or part in known.files or part == TRAINING_ADAPTER):
        return
    if part == TRAINING_ADAPTER:
        yield from caught(lambda: judge(read_lora(str(path)), base_layers(source, family), NAMINGS[family]))
        return
    shapes, architecture = tensors_at(path)
    if wanted := known.files.get(part):
        is_folder = path.is_dir()
        yield from caught(
            lambda: refuse_others(str(path), shapes, wanted, is_folder=is_folder, architecture=architecture)
        )
    if kind and (misfit := kind.sizes.misfit(shapes, text_features(source, family))):
        yield CheckpointError(f"{path}: {misfit}")


def component_faults(path: Path, part: str) -> Iterator[DarkroomError]:
    """What is missing or broken of a component that lies here: a file, or a folder."""
    if path.is_file():
        yield from _file_faults(path)
    elif path.suffix.lower() in LAYOUT_OF_ENDING and not path.is_dir():
        yield CheckpointError(f"{path}: {missing(path)}")
    elif not path.is_dir():
        yield CheckpointError(f"{path}: no such folder{_tokenizer_advice(part)}{_elsewhere(path)}")
    elif part in ENCODER_OF:
        if not holds_tokenizer(path):
            got = f"got {_listing(path)}{_tokenizer_advice(part)}"
            yield CheckpointError(f"{path}: expected tokenizer.json, or vocab.json and merges.txt, {got}")
        yield from _json_faults(path, "tokenizer.json", "tokenizer_config.json", "vocab.json")
    else:
        yield from _folder_faults(path)


def _told_of(faults: Iterator[DarkroomError], where: str) -> Iterator[ConfigError]:
    for fault in faults:
        yield ConfigError(f"{where}: {fault}")


def _folder_faults(path: Path) -> Iterator[DarkroomError]:
    try:
        files = weight_files(path)
    except CheckpointError as error:
        yield error
        return
    if not files or not (path / "config.json").is_file():
        pickles = [file.name for file in sorted(path.iterdir()) if file.suffix in PICKLES]
        advice = f"; {pickles[0]} is a pickle, which can run code when it is read: convert it" if pickles else ""
        expected = "config.json and model.safetensors or diffusion_pytorch_model.safetensors"
        yield CheckpointError(f"{path}: expected {expected} (or their index), got {_listing(path)}{advice}")
    yield from _json_faults(path, "config.json")
    for file in files:
        if file.is_file():
            yield from _file_faults(file)
        else:
            told = f"{missing(file)}; the index in its folder names it: the download is not complete"
            yield WeightFileError(f"{file}: {told}")


def _json_faults(folder: Path, *names: str) -> Iterator[DarkroomError]:
    for file in (folder / name for name in names):
        if file.is_file():
            yield from caught(partial(check_is_itself, file))


def _file_faults(path: Path) -> Iterator[DarkroomError]:
    try:
        if LAYOUT_OF_ENDING.get(path.suffix.lower()) == GGUF:
            _check_gguf(path)
        else:
            stored_weights(path)
    except (CheckpointError, WeightFileError) as error:
        yield error
    except OSError as error:
        yield WeightFileError(f"{path}: {error.strerror}")


def _check_gguf(path: Path) -> None:
    if unread := unread_kinds(read_gguf_header(path)):
        raise WeightFileError(f"{path}: holds tensors of type {named(unread)}, which cannot be read; use Q8_0")


def _tokenizer_advice(part: str) -> str:
    return f"; checkpoint.{part} can name another: {KNOWN_TOKENIZERS[part]}" if part in ENCODER_OF else ""


def _elsewhere(folder: Path) -> str:
    """Where a component's folder is found in place of this one, or what there is beside it."""
    root = folder.parent
    if not root.is_dir():
        return ""
    found = sorted(each for pattern in ("*", "snapshots/*") for each in root.glob(f"{pattern}/{folder.name}"))
    return f"; {found[0].parent} has one: name that" if found else f"; {root} has {_listing(root)}"


def _listing(folder: Path) -> str:
    names = sorted(f"{file.name}{'' if is_there(file) else ' (a link to nothing)'}" for file in folder.iterdir())
    return named(names, _LISTED) or "nothing"

"""Are the weight files that conf/ names there, and whole? Reads headers only; knows not what the weights are for."""

import re
from collections.abc import Iterator
from pathlib import Path

from darkroom.checkpoint import weight_files
from darkroom.demo_folder import is_in_demo_folder
from darkroom.errors import CheckpointError, ConfigError
from darkroom.plan.origin import Origin
from darkroom.plan.schema import CheckpointSource, LoraStack
from darkroom.weight_file import read_header

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def missing_loras(stack: LoraStack, origin: Origin) -> Iterator[ConfigError]:
    """A sentence for each file of the stack that is missing or not a whole .safetensors file."""
    for number, lora in enumerate(stack.loras):
        yield from _file_faults(lora.path, origin.at(f"loras[{number}].path"))


def missing_weights(source: CheckpointSource, origin: Origin) -> Iterator[ConfigError]:
    """A sentence for each local folder or file of a base model that is missing or not whole; hub ids are not opened."""
    yield from _folder_faults(source.repo, origin.at("checkpoint.repo"), components=_needed(source))
    if source.text_encoder is not None:
        yield from _folder_faults(source.text_encoder, origin.at("checkpoint.text_encoder"), components=())
    for key, file in (("transformer", source.transformer), ("vae", source.vae)):
        if file is not None:
            yield from _file_faults(file, origin.at(f"checkpoint.{key}"))


def is_hub_id(repo: str) -> bool:
    """True for `organisation/name` where no such folder is."""
    return not Path(repo).is_dir() and _HUB_ID.fullmatch(repo) is not None


def _needed(source: CheckpointSource) -> tuple[str, ...]:
    replaced = {"transformer": source.transformer, "vae": source.vae, "text_encoder": source.text_encoder}
    return tuple(component for component, other in replaced.items() if other is None)


def _folder_faults(folder: str, place: str, components: tuple[str, ...]) -> Iterator[ConfigError]:
    if is_in_demo_folder(folder) or is_hub_id(folder):
        return
    if not Path(folder).is_dir():
        yield ConfigError(f"{place}: {folder}: neither a folder nor a hub id such as organisation/name")
        return
    for part in (Path(folder, component) for component in components) if components else (Path(folder),):
        files = weight_files(part)
        if not files:
            yield ConfigError(f"{place}: {part}: expected .safetensors files there (diffusers layout)")
        for file in files:
            yield from _file_faults(str(file), place)


def _file_faults(path: str, place: str) -> Iterator[ConfigError]:
    if is_in_demo_folder(path):
        return
    try:
        read_header(path)
    except CheckpointError as error:
        yield ConfigError(f"{place}: {error}")
    except OSError as error:
        yield ConfigError(f"{place}: {path}: {error.strerror}")

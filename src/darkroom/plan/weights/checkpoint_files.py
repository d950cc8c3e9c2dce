"""Finds a base model's files, here and on the hub, and takes their digests.

Of each repository of the hub only what loading reads is fetched, into the hub's own cache, at one commit.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from darkroom.base_files.gguf.header import read_gguf_header
from darkroom.base_files.stored_weights import quantization_of
from darkroom.checkpoint import (
    DIFFUSERS,
    GGUF,
    LAYOUT_OF_ENDING,
    TOKENIZER,
    Checkpoint,
    Component,
    component_digest,
    files_read,
    weight_files,
)
from darkroom.errors import CheckpointError, value_of
from darkroom.plan.conf.families import ENCODER_OF
from darkroom.plan.conf.schema import CheckpointSource
from darkroom.plan.weights.comfyui import instead
from darkroom.plan.weights.hub import cached_file, download_command, fetch
from darkroom.plan.weights.missing_files import component_faults
from darkroom.plan.weights.places import (
    TOKENIZERS,
    Here,
    OnHub,
    Place,
    components,
    key_of,
    place_of,
    section_faults,
)
from darkroom.plan.weights.repository import inside, other_commits, patterns_of
from darkroom.store import Store

_T = TypeVar("_T")
_Reading = Generator[CheckpointError, None, _T]
_Pinned = tuple[str, str | None]  # a repository of the hub and its revision

_FULL_GGUF_TYPES = frozenset(("F32", "F16", "BF16"))


def find_checkpoint(
    source: CheckpointSource,
    family: str,
    where: str,
    store: Store,
    needs_text: bool,
    *,
    tell: Callable[[str], None] = print,
) -> Checkpoint:
    """Resolve conf's `checkpoint:` section to files with digests; CheckpointError, all problems together.

    `where` names the conf file for messages. Without texts to encode, nothing that encodes them is looked for.
    `tell`: hears of small files that are fetched beside those that are here.
    """
    return value_of(_Search(source, where, tell).checkpoint(family, needs_text, store))


def local_files(source: CheckpointSource, family: str, needs_text: bool) -> list[Path]:
    """The files here that the model is read from, in a stable order; none of what lies on the hub."""
    files: list[Path] = []
    for part in components(source, family, needs_text):
        try:
            place = place_of(source, part)
        except CheckpointError:  # told by missing_files.py, before anything asks for files
            continue
        if isinstance(place, Here):
            files += files_read(place.path, _layout(place.path, part))
    return [file for file in dict.fromkeys(files) if file.is_file()]


class _Search:
    """One search for a base model."""

    def __init__(self, source: CheckpointSource, where: str, tell: Callable[[str], None]) -> None:
        self._source, self._where, self._tell = source, where, tell

    def checkpoint(self, family: str, needs_text: bool, store: Store) -> _Reading[Checkpoint]:
        for key, fault in section_faults(self._source, family):
            yield self._error(key, fault)
        places = yield from self._places(components(self._source, family, needs_text))
        snapshots = yield from self._snapshots(places)
        components_found = yield from self._components(places, snapshots, store)
        repo = snapshots.get((self._source.repo, self._source.revision)) if self._source.repo else None
        return Checkpoint(self._source.name, repo.name if repo else None, components_found)

    def _places(self, parts: tuple[str, ...]) -> _Reading[dict[str, Place]]:
        places = {}
        for part in parts:
            try:
                places[part] = place_of(self._source, part)
            except CheckpointError as error:
                yield self._error(key_of(self._source, part), error)
        return places

    def _snapshots(self, places: Mapping[str, Place]) -> _Reading[dict[_Pinned, Path]]:
        """The folder of each repository's snapshot; each is asked for once, with the patterns of all its components."""
        wanted: dict[_Pinned, dict[str, OnHub]] = {}
        for part, place in places.items():
            if isinstance(place, OnHub):
                wanted.setdefault((place.repo, place.revision), {})[part] = place
        snapshots = {}
        for pinned, parts in wanted.items():
            patterns = [pattern for part, place in parts.items() for pattern in patterns_of(place, part)]
            if parts.keys() <= ENCODER_OF.keys() and not _has_tokenizer(pinned):
                self._tell(f"{' and '.join(parts)}: fetching a few MB from {pinned[0]} into the hub's cache")
            try:
                snapshots[pinned] = fetch(*pinned, list(dict.fromkeys(patterns)))
            except CheckpointError as error:
                advice = f"{self._looked_for(parts)}{other_commits(parts, self._source.repo)}"
                yield self._error(key_of(self._source, next(iter(parts))), f"{error}{advice}")
        return snapshots

    def _looked_for(self, parts: Iterable[str]) -> str:
        """What was looked for in ComfyUI's folder before the hub was asked."""
        comfyui, named = self._source.comfyui_models, {part: getattr(self._source, part) for part in parts}
        return "".join(f"; {instead(comfyui, part, name)}" for part, name in named.items() if comfyui and name)

    def _components(
        self, places: Mapping[str, Place], snapshots: Mapping[_Pinned, Path], store: Store
    ) -> _Reading[dict[str, Component]]:
        components = {}
        for part, place in places.items():
            if isinstance(place, Here):
                path, commit, advice = place.path, None, ""
            elif snapshot := snapshots.get((place.repo, place.revision)):
                path, commit = inside(snapshot, place, part), snapshot.name
                command = download_command(place.repo, commit, patterns_of(place, part))
                completes = f"; if {place.repo} has it, this completes the download: {command}"
                advice = f"{completes}{other_commits({part: place}, self._source.repo)}"
            else:
                continue  # its repository is among the errors
            faults = list(component_faults(path, part))
            for fault in faults:
                yield self._error(key_of(self._source, part), f"{fault}{advice}")
            if not faults:
                layout = _layout(path, part)
                digest = component_digest(path, layout, store.sha256)
                components[part] = Component(str(path), layout, digest, place.written, commit, _quantized(path, layout))
        return components

    def _error(self, key: str, fault: object) -> CheckpointError:
        return CheckpointError(f"{self._where}: checkpoint.{key}: {fault}")


def _layout(path: Path, part: str) -> str:
    folder = TOKENIZER if part in ENCODER_OF else DIFFUSERS
    return folder if path.is_dir() else LAYOUT_OF_ENDING.get(path.suffix.lower(), folder)


def _has_tokenizer(pinned: _Pinned) -> bool:
    repo, revision = pinned
    return any(all(cached_file(repo, revision, name) for name in names) for names in TOKENIZERS)


def _quantized(path: Path, layout: str) -> str | None:
    """Component.quantized, by the headers of its files."""
    if layout == GGUF:
        return None if {tensor.kind.name for tensor in read_gguf_header(path).tensors} <= _FULL_GGUF_TYPES else "GGUF"
    if layout == TOKENIZER:
        return None
    files = weight_files(path) if path.is_dir() else [path]
    return next(filter(None, map(quantization_of, files)), None)

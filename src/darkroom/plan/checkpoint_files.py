"""Finds a base model's files, locally or on the hub, and takes their digests. Loads no tensor.

A component is a folder in diffusers (or transformers) layout, or one .safetensors file in BFL / ai-toolkit naming
that replaces it. Hub repositories are fetched into the hub's own cache, at the commit that `revision` names.
"""

from collections.abc import Callable
from pathlib import Path

from darkroom.checkpoint import (
    DIFFUSERS,
    READ_ENDINGS,
    SINGLE_FILE,
    Checkpoint,
    Component,
    component_digest,
    files_read,
    weight_files,
)
from darkroom.errors import CheckpointError, DarkroomError, raise_together
from darkroom.plan.schema import CheckpointSource
from darkroom.store import Store
from darkroom.weight_file import read_header

_TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))  # without one, transformers builds an empty one
COMPONENTS = ("transformer", "vae", "text_encoder", "tokenizer")


def find_checkpoint(source: CheckpointSource, where: str, store: Store) -> Checkpoint:
    """Resolve conf's `checkpoint:` section to files with digests; CheckpointError, all problems together.

    `where` names the conf file for messages.
    """
    root, revision = _root(source, where)
    encoder = None
    if source.text_encoder:
        encoder = _local_or_hub(
            source.text_encoder, None, f"{where}: checkpoint.text_encoder", [f"*{ending}" for ending in READ_ENDINGS]
        )
    problems: list[DarkroomError] = []
    parts: dict[str, Component] = {}
    for part, path in _component_paths(source, root, encoder).items():
        try:
            parts[part] = _component(path, store, needs_weights=part != "tokenizer")
        except CheckpointError as error:
            problems.append(CheckpointError(f"{where}: checkpoint, {part}: {error}"))
    raise_together(problems)
    return Checkpoint(name=source.repo, revision=revision, **parts)


def local_files(source: CheckpointSource) -> list[Path]:
    """The files here that the model is read from, in a stable order; none of what lies on the hub."""
    encoder = Path(source.text_encoder) if source.text_encoder else None
    paths = _component_paths(source, Path(source.repo), encoder).values()
    return [file for path in paths for file in (files_read(path) if path.is_dir() else [path]) if file.is_file()]


def _component_paths(source: CheckpointSource, root: Path, encoder: Path | None) -> dict[str, Path]:
    """Where each component lies: below the root, unless conf/ names another place for it."""
    encoder = encoder or root / "text_encoder"
    inside = (encoder / "tokenizer.json").is_file()
    return {
        "transformer": Path(source.transformer or root / "transformer"),
        "vae": Path(source.vae or root / "vae"),
        "text_encoder": encoder,
        "tokenizer": encoder if inside else encoder.parent / "tokenizer",
    }


def _root(source: CheckpointSource, where: str) -> tuple[Path, str | None]:
    replaced = {"transformer": source.transformer, "vae": source.vae, "text_encoder": source.text_encoder}
    needed = [part for part in COMPONENTS if not replaced.get(part)]
    patterns = [f"{part}/*{ending}" for part in needed for ending in READ_ENDINGS]
    folder = _local_or_hub(source.repo, source.revision, f"{where}: checkpoint.repo", patterns)
    # The hub's cache names a snapshot's folder by its commit.
    return folder, None if folder == Path(source.repo) else folder.name


def _local_or_hub(name: str, revision: str | None, where: str, patterns: list[str]) -> Path:
    return Path(name) if Path(name).is_dir() else _download(name, revision, where, patterns)


def _download(name: str, revision: str | None, where: str, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download  # 0.15 s, and most checkpoints are local by now
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=patterns))
    except GatedRepoError as error:
        raise CheckpointError(
            f"{where}: {name} is gated: accept its licence on the hub with your account, then set HF_TOKEN"
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"{where}: {name} is neither a folder here nor a repository that the hub shows you"
        ) from error
    except (HfHubHTTPError, OSError) as error:  # LocalEntryNotFoundError is an OSError
        raise CheckpointError(
            f"{where}: {name} is no folder here, and the hub cannot be reached ({type(error).__name__}); "
            "name a local folder or download it while online"
        ) from error


def _component(path: Path, store: Store, *, needs_weights: bool) -> Component:
    if path.suffix == ".safetensors":
        read_header(path)
        return Component(str(path), SINGLE_FILE, store.sha256(path))
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such folder")
    weights = weight_files(path)
    if needs_weights and not (weights and (path / "config.json").is_file()):
        raise CheckpointError(f"{path}: expected config.json and .safetensors files in it, got {_listing(path)}")
    _check_each(weights, read_header)
    if not needs_weights and not any(all((path / name).is_file() for name in names) for names in _TOKENIZERS):
        raise CheckpointError(f"{path}: expected tokenizer.json, or vocab.json and merges.txt, got {_listing(path)}")
    return Component(str(path), DIFFUSERS, component_digest(path, store.sha256))


def _check_each(files: list[Path], check: Callable[[Path], object]) -> None:
    problems: list[DarkroomError] = []
    for file in files:
        try:
            check(file)
        except CheckpointError as error:
            problems.append(error)
    raise_together(problems)


def _listing(folder: Path) -> str:
    return ", ".join(sorted(file.name for file in folder.iterdir())[:5]) or "nothing"

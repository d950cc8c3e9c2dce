"""Where conf's `checkpoint:` section says that each component lies: here, or on the hub.

Files here go ahead of the hub's: a file that lies in a ComfyUI `models/` folder is not downloaded once more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from darkroom.checkpoint import LAYOUT_OF_ENDING, RENDERING, TRAINING_ADAPTER
from darkroom.errors import CheckpointError
from darkroom.files.regular_file import from_home, missing
from darkroom.plan.conf.families import ENCODER_OF, FAMILIES
from darkroom.plan.conf.hub_reference import Reference, is_hub_id, read_reference
from darkroom.plan.conf.schema import CheckpointSource
from darkroom.plan.weights.comfyui import FOLDERS, below, files_named, holds_models, same_numbers

PICKLES = (".bin", ".ckpt", ".pt", ".pth")
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))  # without one, transformers builds an empty one
KNOWN_TOKENIZERS = {
    "tokenizer": "Qwen/Qwen3-4B (klein 4B), Qwen/Qwen3-8B (klein 9B), mistralai/Mistral-Small-3.1-24B-Instruct-2503, "
    "openai/clip-vit-large-patch14 (FLUX.1 and Flex)",
    "tokenizer_2": "ostris/Flex.1-alpha (FLUX.1 and Flex)",
}

_FILES = {
    "transformer": (".safetensors", ".sft", ".gguf"),
    "vae": (".safetensors", ".sft"),
    "text_encoder": (".safetensors", ".sft", ".gguf"),
    "text_encoder_2": (".safetensors", ".sft", ".gguf"),
    "training_adapter": (".safetensors", ".sft"),
}


@dataclass(frozen=True)
class Here:
    """A file or a component's folder on this machine, which need not exist."""

    path: Path
    written: str  # as configured


@dataclass(frozen=True)
class OnHub:
    """A file or a component's folder in a repository of the hub."""

    repo: str
    revision: str | None
    path: str | None  # in the repository; None: its root, or the folder there that has the component's name
    written: str


Place = Here | OnHub


def components(source: CheckpointSource, family: str, needs_text: bool) -> tuple[str, ...]:
    """The components to look for, by the names of their keys."""
    known = FAMILIES[family]
    has_adapter = known.takes_training_adapter and source.training_adapter is not None
    rendering = (part for part in RENDERING if part != TRAINING_ADAPTER or has_adapter)
    return (*rendering, *(known.text_parts if needs_text else ()))


def key_of(source: CheckpointSource, part: str) -> str:
    """The key that says where a component lies; a tokenizer comes with its text encoder."""
    if getattr(source, part) is not None:
        return part
    encoder = ENCODER_OF.get(part)
    return encoder if encoder and getattr(source, encoder) is not None else "repo"


def section_faults(source: CheckpointSource, family: str) -> Iterator[tuple[str, str]]:
    """(key, sentence) for what is wrong with the section as a whole."""
    for key, value in vars(source).items():
        if value is not None and not value.strip():
            yield key, "is empty; expected a hub id or a path"
        elif value is not None and key in _FILES.keys() | ENCODER_OF and key not in components(source, family, True):
            yield key, f"{value}: has no effect: a model of the family {family} has no {key}"
    if source.revision is not None and not _takes_from_hub_repo(source, family):
        yield "revision", f"{source.revision}: has no effect: nothing comes from {_repository(source)}"
    comfyui = source.comfyui_models
    if comfyui is not None and not holds_models(from_home(comfyui)):
        yield "comfyui_models", f"{comfyui}: expected a folder with one of {', '.join(FOLDERS)} in it"


def place_of(source: CheckpointSource, part: str) -> Place:
    """Where a component is to be found; CheckpointError with a sentence that leaves the key to the caller."""
    written = getattr(source, part)
    if written is None:
        return _beside_encoder(source, part) if part in ENCODER_OF else _in_repo(source, part)
    ending = _ending(written)
    _refuse(part, written, ending)
    return _file(source, part, written) if ending in LAYOUT_OF_ENDING else _folder(source, part, written)


def component_folder(root: Path, part: str) -> Path:
    """A component's folder: the root itself, or the one with the component's name below it."""
    own = holds_tokenizer(root) if part in ENCODER_OF else (root / "config.json").is_file()
    return root / part if not own and (root / part).is_dir() else root


def holds_tokenizer(folder: Path) -> bool:
    return any(all((folder / name).is_file() for name in names) for names in TOKENIZERS)


def _takes_from_hub_repo(source: CheckpointSource, family: str) -> bool:
    for part in components(source, family, needs_text=True):
        try:
            place = place_of(source, part)
        except CheckpointError:  # told where the component is looked for
            continue
        if isinstance(place, OnHub) and place.repo == source.repo:
            return True
    return False


def _repository(source: CheckpointSource) -> str:
    return f"a repository {source.repo} of the hub" if source.repo else "checkpoint.repo, which is null"


def _in_repo(source: CheckpointSource, part: str) -> Place:
    if source.repo is None:
        raise CheckpointError(f"null has no {part}; name a repo that has it, or set checkpoint.{part}")
    root, ending = from_home(source.repo), _ending(source.repo)
    _refuse("repo", source.repo, ending)
    if root.is_dir():
        return Here(root / part, source.repo)
    if is_hub_id(source.repo):
        return OnHub(source.repo, source.revision, part, source.repo)
    reference = read_reference(source.repo)
    if reference and reference.revision:
        raise CheckpointError(f"{source.repo}: name the revision as checkpoint.revision: {reference.revision}")
    raise CheckpointError(f"{source.repo}: neither a folder nor a hub id such as organisation/name")


def _beside_encoder(source: CheckpointSource, part: str) -> Place:
    """A tokenizer: its text encoder's own folder or repository, or one beside its folder, or else that of `repo`."""
    encoder = place_of(source, ENCODER_OF[part])
    is_named = getattr(source, ENCODER_OF[part]) is not None
    if isinstance(encoder, OnHub) and is_named and _ending(encoder.path or "") == "":
        return encoder
    if isinstance(encoder, Here) and encoder.path.is_dir():
        for folder in (encoder.path, encoder.path.parent / part):
            if holds_tokenizer(folder):
                return Here(folder, encoder.written)
    reference = read_reference(getattr(source, ENCODER_OF[part]) or "")
    if reference and not reference.file and is_named:  # ComfyUI has the text encoder, and no tokenizers
        return _on_hub(source, reference, encoder.written)
    try:
        return _in_repo(source, part)
    except CheckpointError as error:
        raise CheckpointError(
            f"{encoder.written}: has no tokenizer with it, and repo has none: {error}; "
            f"set checkpoint.{part} to that of the text encoder: {KNOWN_TOKENIZERS[part]}"
        ) from error


def _refuse(part: str, written: str, ending: str) -> None:
    if ending in PICKLES:
        raise CheckpointError(
            f"{written}: {ending} files are pickles, which can run code when they are read; convert it to .safetensors"
        )
    if ending not in LAYOUT_OF_ENDING or ending in _FILES.get(part, ()):
        return
    if part in _FILES:
        raise CheckpointError(f"{written}: GGUF is not read for the {part}; name a .safetensors file or a folder")
    advice = "; a single file goes to checkpoint.transformer" if part == "repo" else ""
    raise CheckpointError(f"{written}: expected a folder or a hub id, not a file{advice}")


def _file(source: CheckpointSource, part: str, written: str) -> Place:
    path = from_home(written)
    if path.is_file():
        return Here(path, written)
    reference = read_reference(written)
    if reference and not Path(reference.repo).is_dir():
        return _same_here(source, part, reference, written) or _on_hub(source, reference, written)
    if written.startswith(("/", "./", "../", "~")):
        raise CheckpointError(f"{written}: {missing(path)}")
    return _by_name(source, part, written)


def _by_name(source: CheckpointSource, part: str, name: str) -> Place:
    repo = from_home(source.repo) if source.repo else None
    if repo and (repo / name).is_file():
        return Here(repo / name, name)
    files = files_named(source.comfyui_models, part, name) if source.comfyui_models else []
    if len(files) > 1:
        raise CheckpointError(f"{name}: there are several, name one of them by its path: {', '.join(map(str, files))}")
    if files:
        return Here(files[0], name)
    if source.repo and repo and not repo.is_dir() and is_hub_id(source.repo):
        return OnHub(source.repo, source.revision, name, f"{source.repo}/{name}")
    comfyui = f", {below(source.comfyui_models, part)}" if source.comfyui_models else ""
    advice = f"; null means {source.repo}/{part}" if repo and (repo / part).is_dir() else ""
    in_repo = f", in {source.repo}" if repo else ""
    raise CheckpointError(f"{name}: {missing(Path(name))}; looked for it here{in_repo}{comfyui}{advice}")


def _folder(source: CheckpointSource, part: str, written: str) -> Place:
    path = from_home(written)
    if path.is_dir():
        return Here(component_folder(path, part), written)
    if path.is_file():
        endings = " or ".join(_FILES.get(part, ()))
        told = f"a name that ends in {endings}" if endings else "a folder"
        raise CheckpointError(f"{written}: is a file of no known ending; expected {told}")
    reference = read_reference(written)
    if reference is None:
        raise CheckpointError(f"{written}: neither a folder nor a file here, nor a hub id such as organisation/name")
    return _same_here(source, part, reference, written) or _on_hub(source, reference, written)


def _on_hub(source: CheckpointSource, reference: Reference, written: str) -> OnHub:
    return OnHub(reference.repo, _revision(source, reference), reference.file, written)


def _same_here(source: CheckpointSource, part: str, reference: Reference, written: str) -> Here | None:
    """What ComfyUI has under the name that it usually has there; nothing of its files is of a named revision."""
    if source.comfyui_models is None or _revision(source, reference) is not None:
        return None
    path = same_numbers(source.comfyui_models, part, written)
    return Here(path, path.name) if path else None


def _revision(source: CheckpointSource, reference: Reference) -> str | None:
    """A reference into `repo` itself means the commit that `revision` names."""
    return reference.revision or (source.revision if reference.repo == source.repo else None)


def _ending(written: str) -> str:
    """The ending of a file's name, `@revision` aside, if it is that of weights; "" for anything else."""
    for name in (written, written.rpartition("@")[0]):
        ending = Path(name).suffix.lower()
        if ending in LAYOUT_OF_ENDING or ending in PICKLES:
            return ending
    return ""

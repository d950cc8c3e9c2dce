"""A component in a repository of the hub: where it lies, what of it is fetched, which cached commit has it whole."""

from collections.abc import Mapping
from pathlib import Path

from darkroom.checkpoint import LAYOUT_OF_ENDING, READ_ENDINGS
from darkroom.display import named
from darkroom.plan.weights.hub import cached_snapshots
from darkroom.plan.weights.missing_files import component_faults
from darkroom.plan.weights.places import OnHub, component_folder

# Never consolidated.safetensors: Mistral's repositories hold the same 48 GB once more under that name.
_WEIGHTS = {
    "transformer": ("diffusion_pytorch_model*.safetensors",),
    "vae": ("diffusion_pytorch_model*.safetensors",),
    "text_encoder": ("model*.safetensors",),
    "text_encoder_2": ("model*.safetensors",),
    "tokenizer": (),
    "tokenizer_2": (),
    "training_adapter": (),
}


def inside(snapshot: Path, place: OnHub, part: str) -> Path:
    """Where a component lies in its repository's snapshot."""
    return component_folder(snapshot, part) if place.path is None else snapshot / place.path


def patterns_of(place: OnHub, part: str) -> list[str]:
    """The files of a repository that loading the component reads, as fnmatch patterns (`*` goes across `/`)."""
    described = [f"*{ending}" for ending in READ_ENDINGS]
    if place.path is None:
        return [*described, *(f"{folder}{name}" for name in _WEIGHTS[part] for folder in ("", f"{part}/"))]
    if Path(place.path).suffix.lower() in LAYOUT_OF_ENDING:
        return [place.path]
    return [f"{place.path}/{name}" for name in (*described, *_WEIGHTS[part])]


def other_commits(parts: Mapping[str, OnHub], repo: str | None) -> str:
    """What to write where the hub's cache has components whole, only at another commit than main; "" if it has not.

    `parts`: of one repository; `repo`: checkpoint.repo, whose commit is a key of its own.
    """
    place = next(iter(parts.values()))
    if place.revision is not None:
        return ""
    commits = [folder.name for folder in cached_snapshots(place.repo) if _are_whole(parts, folder)]
    if not commits:
        return ""
    way = f"revision: {commits[0]}" if place.repo == repo else f"{place.written}@{commits[0]}"
    return f"; the hub's cache has it whole at {named(commits)}: to take that, write {way}"


def _are_whole(parts: Mapping[str, OnHub], snapshot: Path) -> bool:
    return not any(list(component_faults(inside(snapshot, place, part), part)) for part, place in parts.items())

"""What lies in a ComfyUI models/ folder: a file by its name, and by the one that Comfy-Org usually gives it."""

import os
from pathlib import Path

from darkroom.files.regular_file import from_home

_FOLDERS = {
    "transformer": ("diffusion_models", "unet"),
    "vae": ("vae",),
    "text_encoder": ("text_encoders", "clip"),
    "text_encoder_2": ("text_encoders", "clip"),
    "training_adapter": ("loras",),
}
FOLDERS = tuple(dict.fromkeys(name for part, names in _FOLDERS.items() for name in names if part != "training_adapter"))

# What conf/model/ names: the file that has the same numbers, as Comfy-Org calls it.
_SAME = {
    "ai-toolkit/flux2_vae/ae.safetensors": "flux2-vae.safetensors",
    "black-forest-labs/FLUX.2-dev/ae.safetensors": "flux2-vae.safetensors",
    "Qwen/Qwen3-4B": "qwen_3_4b.safetensors",
    "Qwen/Qwen3-8B": "qwen_3_8b.safetensors",
}
# What conf/model/ names: how files begin that have other numbers, such as fp8. Taken only where conf/ says so.
_KINDRED = {
    "flux-2-klein-base-4b.safetensors": ("flux-2-klein-base-4b",),
    "flux-2-klein-base-9b.safetensors": ("flux-2-klein-base-9b",),
    "flux-2-klein-4b.safetensors": ("flux-2-klein-4b",),
    "flux-2-klein-9b.safetensors": ("flux-2-klein-9b",),
    "flux2-dev.safetensors": ("flux2-dev", "flux2_dev"),
    "Qwen/Qwen3-4B": ("qwen_3_4b",),
    "Qwen/Qwen3-8B": ("qwen_3_8b",),
    "mistralai/Mistral-Small-3.1-24B-Instruct-2503": ("mistral_3_small_flux2",),
}


def holds_models(folder: Path) -> bool:
    """True for a ComfyUI models/ folder."""
    return any((folder / name).is_dir() for name in FOLDERS)


def below(models: str, part: str) -> str:
    """Where files of a component are looked for."""
    return f"below {' and '.join(_FOLDERS[part])} of {models}"


def files_named(models: str, part: str, name: str) -> list[Path]:
    """The files of that name, each once: unet and clip are often links to diffusion_models and text_encoders."""
    tail = Path(name).parts
    return [path for path in _files(models, part) if path.parts[-len(tail) :] == tail]


def same_numbers(models: str, part: str, written: str) -> Path | None:
    """The file that has the same numbers as what conf/ names; the first by its path, where there are several."""
    name = _SAME.get(written)
    return next(iter(files_named(models, part, name)), None) if name else None


def instead(models: str, part: str, written: str) -> str:
    """A clause on the names that were looked for, and on files that may be meant but have other numbers."""
    name, beginnings = _SAME.get(written, written), _KINDRED.get(written, ())
    kindred = [path for path in _files(models, part) if path.name.lower().startswith(beginnings)] if beginnings else []
    found = f"; {', '.join(map(str, kindred))}: may be another precision, another picture" if kindred else ""
    cure = f", and is taken where checkpoint.{part} names it" if kindred else ""
    return f"no {name} {below(models, part)}{found}{cure}"


def _files(models: str, part: str) -> list[Path]:
    by_target: dict[Path, Path] = {}
    for folder in _FOLDERS[part]:
        for path in _files_below(from_home(models) / folder):
            by_target.setdefault(path.resolve(), path)
    return sorted(by_target.values())


def _files_below(folder: Path) -> tuple[Path, ...]:
    """All files, links followed; a folder that links lead to again is looked into once."""
    paths, seen = [], set()
    for root, folders, files in os.walk(folder, followlinks=True):
        if (real := os.path.realpath(root)) in seen:
            folders.clear()
            continue
        seen.add(real)
        paths += [Path(root, file) for file in files]
    return tuple(paths)

"""Where ComfyUI, ai-toolkit and the hub's cache usually lie, and whether a folder is one of them."""

import os
from collections.abc import Iterable
from pathlib import Path

from darkroom.errors import ConfigError
from darkroom.files.regular_file import from_home
from darkroom.machine.locations import Locations
from darkroom.plan.weights.comfyui import FOLDERS, holds_models

_BELOW_HOME = ("", "Documents", "git", "src", "code", "projects", "apps")  # Documents: the desktop app's
_ELSEWHERE = ("/workspace", "/opt", "/app", "/data", "/mnt/data")  # of rented machines and containers
_USUAL_CACHE = ".cache/huggingface"


def guessed(home: Path, elsewhere: Iterable[str] = _ELSEWHERE) -> Locations:
    """What lies in a usual place. HF_HOME is taken over, so that a job without a login's settings finds it too."""
    roots = [*(home / name for name in _BELOW_HOME), *map(Path, elsewhere)]
    comfyui = [root / name / "models" for root in roots for name in ("ComfyUI", "comfyui")]
    toolkits = [root / "ai-toolkit" for root in roots]
    cache = os.environ.get("HF_HOME")
    return Locations(
        comfyui=next((str(folder) for folder in comfyui if holds_models(folder)), None),
        ai_toolkit=next((str(folder) for folder in toolkits if _is_ai_toolkit(folder)), None),
        hf_home=cache if cache and Path(cache).is_dir() and Path(cache) != home / _USUAL_CACHE else None,
    )


def comfyui_models(said: str) -> str:
    """The models folder that a person means, by it or by ComfyUI's own; ConfigError where it is neither."""
    folder = _absolute(said)
    for models in (folder, folder / "models"):
        if holds_models(models):
            return str(models)
    raise ConfigError(f"{said}: expected ComfyUI's folder, or its models folder with one of {', '.join(FOLDERS)} in it")


def ai_toolkit(said: str) -> str:
    """The folder of ai-toolkit; ConfigError where it is not."""
    folder = _absolute(said)
    if not _is_ai_toolkit(folder):
        raise ConfigError(f"{said}: expected ai-toolkit's folder, with run.py and toolkit/ in it")
    return str(folder)


def hf_home(said: str) -> str:
    """The folder that HF_HOME names; ConfigError where there is none."""
    folder = _absolute(said)
    if folder.name == "hub" and not (folder / "hub").is_dir():  # the cache itself
        folder = folder.parent
    if not folder.is_dir():
        raise ConfigError(f"{said}: expected a folder, the one that HF_HOME would name, with hub/ in it")
    return str(folder)


def _is_ai_toolkit(folder: Path) -> bool:
    return (folder / "run.py").is_file() and (folder / "toolkit").is_dir()


def _absolute(said: str) -> Path:
    return from_home(said).absolute()

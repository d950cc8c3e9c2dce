"""Files that Python imports in place of its own modules or of a library: a torch.py in a folder of PYTHONPATH."""

import os
import sys
from collections.abc import Iterator, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from traceback import walk_tb

_INSTALLED = (".dist-info", ".egg-info")


def told_of_shadows(error: BaseException) -> str:
    """A sentence with the cure where this unexpected error may come of such files, "" where none was imported."""
    found = ", ".join(file for file in _shadows(sys.path) if _is_imported(file) or _raised_in(file, error))
    if not found:
        return ""
    return (
        f"{found}: imported in place of Python's own or a library's module of that name; rename it, or take its folder "
        f"out of PYTHONPATH. What came of it: {type(error).__name__}: {error}"
    )


def _shadows(path: Sequence[str]) -> Iterator[str]:
    """Modules in folders before Python's own, of names that come with it or are installed behind it."""
    own = str(Path(os.__file__).parent)
    end = path.index(own) if own in path else 0
    for folder in map(Path, path[:end]):
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        if any(file.name.endswith(_INSTALLED) for file in files):
            continue  # libraries, put there on purpose
        for name in dict.fromkeys(file.stem for file in files if file.stem != "darkroom"):
            found = PathFinder.find_spec(name, [str(folder)])
            if found and found.origin and PathFinder.find_spec(name, path[end:]):
                yield found.origin


def _is_imported(file: str) -> bool:
    return any(getattr(module, "__file__", None) == file for module in [*sys.modules.values()])


def _raised_in(file: str, error: BaseException) -> bool:
    return any(frame.f_code.co_filename == file for frame, _ in walk_tb(error.__traceback__))

"""Darkroom: the picture you get is the picture the trainer previewed, or you are told why not."""

import atexit
import gc
from pathlib import Path

__version__ = "0.1.0"

_INSTALLED = Path(__file__).parent / "workflow"
OWN_FOLDER = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[2]  # else a checkout's root
SNAKEFILE = OWN_FOLDER / "Snakefile"  # for a Snakefile of yours that includes it (docs/snakefile.md)
PROFILE = OWN_FOLDER / "profiles/default"

_SELDOM = 100_000  # objects made and not yet gone, after which garbage is looked for; Python's own is 700 to 2000


def look_for_garbage_seldom() -> None:
    """A million objects come with torch, and stay: to look through them is a third of the time that imports take.

    Nor at the end, where they go with the process.
    """
    gc.set_threshold(_SELDOM)
    atexit.register(gc.freeze)

"""Darkroom: the picture you get is the picture the trainer previewed, or you are told why not."""

from pathlib import Path

__version__ = "0.1.0"

_INSTALLED = Path(__file__).parent / "workflow"
OWN_FOLDER = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).parents[2]  # else a checkout's root
SNAKEFILE = OWN_FOLDER / "Snakefile"  # for a Snakefile of yours that includes it (docs/snakefile.md)
PROFILE = OWN_FOLDER / "profiles/default"

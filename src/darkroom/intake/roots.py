"""The folders in which files may lie that a stranger's file names, and the ways out of them that are refused."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom.display import from_here
from darkroom.errors import ConfigError


@dataclass(frozen=True)
class Roots:
    """The folders in which files may lie that a stranger's file names. A relative path is looked for in each."""

    folders: Sequence[Path]

    @classmethod
    def around(cls, home: Path, typed: Sequence[Path]) -> "Roots":
        """The working directory, what was typed as --root, and the folder where the stranger's file lies."""
        return cls(tuple(dict.fromkeys([Path(), *typed, home])))

    def inside(self, path_text: str, where: str) -> Path:
        """The path in the first folder that has it, or in the first folder if none has; relative to here where it can.

        ConfigError, with `where` (file and key) before it, for a path that leads out of all folders, be it by `..` or
        by a symbolic link.
        """
        if not path_text or "\0" in path_text:
            raise ConfigError(f"{where}: expected a path, got {path_text!r}")
        candidates = [folder / path_text for folder in self.folders]
        there = [path for path in candidates if os.path.lexists(path)]  # unlike exists, never an error
        allowed = [path for path in there or candidates if self._holds(path)]
        if not allowed:
            roots, folder = ", ".join(map(str, self.folders)), Path(os.path.realpath((there or candidates)[0])).parent
            raise ConfigError(
                f"{where}: {path_text!r} lies outside {roots}; if you trust this file, add --root {folder}"
            )
        return from_here(allowed[0])

    def _holds(self, path: Path) -> bool:
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(os.path.realpath(folder)) for folder in self.folders)

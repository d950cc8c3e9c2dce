"""The folders that a stranger's file may name files in; paths and links that lead out of them are refused."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path, PurePath, PureWindowsPath

from darkroom.display import from_here
from darkroom.errors import ConfigError


@dataclass(frozen=True)
class Roots:
    """The folders in which files may lie that a stranger's file names. A relative path is looked for in each.

    `typed`: those of them that were typed as --root, below which files may also be found by their names alone.
    """

    folders: Sequence[Path]
    typed: Sequence[Path] = ()

    @classmethod
    def around(cls, home: Path, typed: Sequence[Path]) -> "Roots":
        """The working directory, what was typed as --root, and the folder where the stranger's file lies."""
        return cls(tuple(dict.fromkeys([Path(), *typed, home])), typed)

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

    def namesakes(self, path_text: str) -> list[Path]:
        """Files below the typed folders with the name of a file elsewhere, whose path may be one of Windows.

        Of several those whose folders end as the path does: of images/a/1.png and images/b/1.png the first for
        `E:\\data\\a\\1.png`.
        """
        wanted = _folded(PureWindowsPath(path_text))  # which takes / as well
        named = self._by_name.get(wanted[-1], ()) if wanted else ()
        once = {os.path.realpath(path): path for path in reversed(named) if self._holds(path)}
        shared = {path: _shared_tail(_folded(path), wanted) for path in once.values()}
        return [from_here(path) for path in sorted(shared) if shared[path] == max(shared.values())]

    @cached_property
    def _by_name(self) -> Mapping[str, Sequence[Path]]:
        """Every file below the typed folders but not below the root of a machine, links to folders not followed."""
        found: dict[str, list[Path]] = {}
        for typed in self.typed:
            if typed != Path(typed.anchor):
                for folder, _, names in os.walk(typed):
                    for name in names:
                        found.setdefault(name.casefold(), []).append(Path(folder, name))
        return found

    def _holds(self, path: Path) -> bool:
        real = Path(os.path.realpath(path))
        return any(real.is_relative_to(os.path.realpath(folder)) for folder in self.folders)


def _folded(path: PurePath) -> tuple[str, ...]:
    """Its parts as Windows compares them."""
    return tuple(part.casefold() for part in path.parts)


def _shared_tail(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """The number of parts, from the end, in which two paths are alike."""
    pairs = zip(reversed(one), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

"""The folders of conf/ in search order: which file an option is, which options there are. Reads no file."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom.errors import ConfigError
from darkroom.plan.origin import suggestion

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LONGEST = 100  # characters: file systems take 255 bytes, and names are parts of file names


@dataclass(frozen=True)
class Folders:
    """Existing configuration folders; of two files with the same name the one in the earlier folder counts."""

    paths: tuple[Path, ...]

    def find(self, name: str) -> Path | None:
        """The file of `config` or of `model/demo`, as it is to be shown to people."""
        for folder in self.paths:
            if (folder / f"{name}.yaml").is_file():
                return folder / f"{name}.yaml"
        return None

    def option(self, group: str, name: str, asked_at: str) -> Path:
        """The file of a group's option; ConfigError with the closest name if there is none."""
        file = self.find(f"{group}/{name}")
        if file is None:
            raise ConfigError(
                f"{asked_at}: there is no conf/{group}/{name}.yaml; {suggestion(name, self.names(group))}"
            )
        return file

    def names(self, group: str) -> list[str]:
        """All options of a group."""
        return sorted({file.stem for folder in self.paths for file in (folder / group).glob("*.yaml")})


def existing_folders(conf_dirs: Sequence[Path], searchpath: Sequence[str] = ()) -> Folders:
    """The folders that are there, each once. Those of `searchpath` (file://…) come before the last, the built-in."""
    added = [_from_searchpath(entry) for entry in searchpath]
    paths = [*conf_dirs[:-1], *added, *conf_dirs[-1:]]
    distinct: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            distinct.setdefault(path.resolve(), _shown(path))
    if not distinct:
        raise ConfigError(f"no configuration folder: looked for {', '.join(map(str, paths))}")
    return Folders(tuple(distinct.values()))


def _from_searchpath(entry: str) -> Path:
    path = entry.removeprefix("file://")
    if "://" in path or not Path(path).is_dir():
        raise ConfigError(f"override hydra.searchpath: {entry}: expected file:// and an existing folder")
    return Path(path)


def name_fault(name: object) -> str | None:
    """What is wrong with the name of an option or experiment: it becomes part of paths."""
    if not isinstance(name, str):
        return f"expected a name, got {name!r}; put it in quotes"
    if not _NAME.fullmatch(name) or ".." in name:
        return (
            f"{name!r} is not a usable name: letters, digits, '.', '_' and '-' only, a letter or digit first, no '..'"
        )
    if len(name) > _LONGEST:
        return f"{name[:30] + '…'!r} is too long for a name: {len(name)} characters, at most {_LONGEST}"
    return None


def _shown(path: Path) -> Path:
    absolute = path.absolute()
    return Path(os.path.relpath(absolute)) if absolute.is_relative_to(Path.cwd()) else absolute

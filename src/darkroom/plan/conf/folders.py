"""The folders of conf/ in search order, Darkroom's own last: which file an option is, which options there are.

Of files named config.yaml all count, one over the other: conf/config.yaml, this machine's, Darkroom's own.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom import OWN_FOLDER
from darkroom.display import from_here, suggestion
from darkroom.errors import ConfigError

BUILT_IN = OWN_FOLDER / "conf"
CONF_DIRS = (Path("conf"), BUILT_IN)  # the working directory's, where there is one
_CONFIG = "config.yaml"


@dataclass(frozen=True)
class Folders:
    """Existing configuration folders; of two files with the same name the one in the earlier folder counts."""

    paths: tuple[Path, ...]

    def find(self, name: str) -> Path | None:
        """The file of `model/demo`, as it is to be shown to people."""
        for folder in self.paths:
            if os.path.lexists(file := folder / f"{name}.yaml"):  # whoever reads it says what it is, if no file
                return file
        return None

    def configs(self, machine: Path) -> list[Path]:
        """The files config.yaml that there are, the strongest first; `machine`'s goes over the last folder's alone."""
        *before, last = [folder / _CONFIG for folder in self.paths]
        # Not Path.exists, which fails in a home that is another user's.
        return [file for file in (*before, from_here(machine), last) if os.path.lexists(file)]

    def option(self, group: str, name: str, where: str) -> Path:
        """The file of a group's option; ConfigError with the closest name if there is none."""
        file = self.find(f"{group}/{name}")
        if file is None:
            cure = self._misnamed(group, name) or suggestion(name, self.names(group))
            raise ConfigError(f"{where}: there is no conf/{group}/{name}.yaml; {cure}")
        return file

    def _misnamed(self, group: str, name: str) -> str | None:
        """Where the name is one with its ending, or the file has another."""
        bare = name.removesuffix(".yaml").removesuffix(".yml")
        if bare != name and bare in self.names(group):
            return f"write its name without an ending: {bare}"
        also = "" if bare == name else f", and write its name without: {bare}"
        found = (folder / group / f"{bare}.yml" for folder in self.paths)
        return next((f"rename {file} to {bare}.yaml{also}" for file in found if file.is_file()), None)

    def names(self, group: str) -> list[str]:
        """All options of a group."""
        return sorted({file.stem for folder in self.paths for file in (folder / group).glob("*.yaml")})


def machine_file() -> Path:
    """What goes for every project on this machine, such as where ComfyUI keeps its files; it need not exist."""
    said = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    folder = said if said.is_absolute() else home() / ".config"  # as the XDG base directories have it
    return folder / "darkroom" / _CONFIG


def home() -> Path:
    """The home folder; for a user without one, as in a container, a folder that there is not."""
    return Path(os.path.expanduser("~"))  # noqa: PTH111  where Path.home fails


def existing_folders(conf_dirs: Sequence[Path], searchpath: Sequence[str] = ()) -> Folders:
    """The folders that are there, each once. Those of `searchpath` (file://…) come before the last, the built-in."""
    added = [_from_searchpath(entry) for entry in searchpath]
    paths = [*conf_dirs[:-1], *added, *conf_dirs[-1:]]
    distinct: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            distinct.setdefault(path.resolve(), from_here(path))
    if not distinct:
        raise ConfigError(f"no configuration folder: looked for {', '.join(map(str, paths))}")
    return Folders(tuple(distinct.values()))


def _from_searchpath(entry: str) -> Path:
    path = entry.removeprefix("file://")
    if "://" in path or not Path(path).is_dir():
        raise ConfigError(f"override hydra.searchpath: {entry}: expected file:// and an existing folder")
    return Path(path)

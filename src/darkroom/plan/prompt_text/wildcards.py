"""The lists that templates name: wildcards/colour.txt is __colour__, a line an entry."""

from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from darkroom.display import closest
from darkroom.errors import ConfigError
from darkroom.files.regular_file import read_text


class Wildcards:
    """The .txt files below a folder, by their paths in it without the ending; each is read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lines = cache(self._lines)

    def _lines(self, name: str) -> tuple[str, ...]:
        """Of the lists that `name` fits, without blank lines and comments; ConfigError where there are none."""
        names = [known for known in self._names() if fnmatchcase(known, name)]
        if not names:
            raise ConfigError(f"__{name}__: there is no {self._folder / f'{name}.txt'}; {self._nearest(name)}")
        lines = [line.strip() for found in names for line in read_text(self._folder / f"{found}.txt").split("\n")]
        entries = tuple(line for line in lines if line and not line.startswith("#"))
        if not entries:
            raise ConfigError(
                f"__{name}__: {self._folder / f'{names[0]}.txt'} has no lines but blank ones and comments"
            )
        return entries

    def _names(self) -> list[str]:
        files = self._folder.rglob("*.txt")
        return sorted(file.relative_to(self._folder).with_suffix("").as_posix() for file in files)

    def _nearest(self, name: str) -> str:
        known = self._names()
        if not known:
            return f"no .txt file is below {self._folder}/, which prompts name with `wildcards`"
        close = closest(name, known)
        return f"did you mean __{close}__?" if close else f"known: {', '.join(f'__{each}__' for each in known[:20])}"

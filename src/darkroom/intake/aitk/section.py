"""One mapping of an ai-toolkit configuration, read by type: what is of another type becomes a problem. Knows no key."""

from collections.abc import Mapping
from typing import Any

from darkroom.errors import ConfigError


class Section:
    """Keys and values found at `where` (file and key). A key that is missing and one that is null are the same."""

    def __init__(self, content: Mapping[Any, Any], where: str, problems: list[ConfigError]) -> None:
        self.content, self.where, self.problems = content, where, problems

    def __contains__(self, key: str) -> bool:
        return self.content.get(key) is not None

    def at(self, key: str) -> str:
        """`output/my_job/config.yaml: process[0].model.quantize`."""
        return f"{self.where}.{key}" if ": " in self.where else f"{self.where}: {key}"

    def text(self, key: str) -> str | None:
        value = self.content.get(key)
        if value is None or isinstance(value, str):
            return value
        self._fault(key, "text", value)
        return None

    def whole_number(self, key: str) -> int | None:
        value = self.content.get(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        self._fault(key, "a whole number", value)
        return None

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false; null is false, as to Python, and 0 and 1 are what they are to the trainer."""
        value = self.content.get(key, default)
        if value is None or value in (0, 1):
            return bool(value)
        self._fault(key, "true or false", value)
        return default

    def section(self, key: str) -> "Section":
        """A mapping below this one; empty where there is none."""
        value = self.content.get(key)
        if value is not None and not isinstance(value, Mapping):
            self._fault(key, "keys and values", value)
        return Section(value if isinstance(value, Mapping) else {}, self.at(key), self.problems)

    def entries(self, key: str) -> list[Any]:
        """A list; empty where there is none."""
        value = self.content.get(key)
        if value is not None and not isinstance(value, list):
            self._fault(key, "a list", value)
        return value if isinstance(value, list) else []

    def sections(self, key: str) -> list["Section"]:
        """A list of mappings; each that is none is a problem, and empty here."""
        found = []
        for number, value in enumerate(self.entries(key)):
            if not isinstance(value, Mapping):
                self._fault(f"{key}[{number}]", "keys and values", value)
            content = value if isinstance(value, Mapping) else {}
            found.append(Section(content, self.at(f"{key}[{number}]"), self.problems))
        return found

    def _fault(self, key: str, expected: str, value: object) -> None:
        shown = repr(value)
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        self.problems.append(ConfigError(f"{self.at(key)}: expected {expected}, got {shown}"))

"""Where a value of conf/ was written: the file and the key that a message names."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Origin:
    """The file of an option, and the keys of it that an override or the experiment's file sets instead."""

    file: str
    elsewhere: tuple[tuple[str, str], ...] = ()  # (key, where), first match wins

    def at(self, key: str) -> str:
        """`conf/model/demo.yaml: defaults.width`, or what sets this key in its stead."""
        for changed, where in self.elsewhere:
            if key == changed or key.startswith((f"{changed}.", f"{changed}[")):
                return where + key[len(changed) :]
        return f"{self.file}: {key}" if key else self.file


def leaves(content: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Dotted keys of everything but mappings: {"a": {"b": 1}, "c": []} gives a.b, c."""
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"

"""Names of experiments and options, which become parts of paths: which are usable, and the three of a combination."""

import re
from typing import NamedTuple

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LONGEST = 100  # characters: file systems take 255 bytes, and names are parts of file names


class Names(NamedTuple):
    """Of a combination: one choice of model, LoRA and prompt set."""

    model: str
    lora: str
    prompts: str


def as_name(text: str) -> str:
    """The text with what no name can have replaced by _; "" where nothing is left."""
    return re.sub(r"[^A-Za-z0-9._-]+|\.\.+", "_", text).strip("._-")


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

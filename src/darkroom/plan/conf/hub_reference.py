"""How conf/ refers to the Hugging Face hub: `organisation/name`, a file in it, a revision."""

import re
from dataclasses import dataclass
from pathlib import Path

from darkroom.checkpoint import LAYOUT_OF_ENDING

_REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Reference:
    """`organisation/name` or `organisation/name/file.safetensors`, either with `@revision` after it."""

    repo: str
    file: str | None
    revision: str | None


def read_reference(text: str) -> Reference | None:
    """What a text refers to on the hub, by its form alone; None for a text that can only be a path here."""
    name, at, revision = text.partition("@")
    organisation, _, rest = name.partition("/")
    title, _, file = rest.partition("/")
    repo = f"{organisation}/{title}"
    names_a_file = Path(name).suffix.lower() in LAYOUT_OF_ENDING
    if not _REPO.fullmatch(repo) or names_a_file != bool(file) or bool(at) != bool(revision):
        return None
    return None if {"", ".", ".."} & set(name.split("/")) else Reference(repo, file or None, revision or None)


def is_hub_id(text: str) -> bool:
    """True for `organisation/name`, whatever lies here under that name."""
    return read_reference(text) == Reference(text, None, None)

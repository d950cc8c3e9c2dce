"""The program that trained an adapter file, and its version, by the file's header."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from darkroom.files.json_text import json_object

AI_TOOLKIT = "ai-toolkit"
CHECKED = "0.12.26"  # of ai-toolkit: the version whose preview code Darkroom was held against

_SAID = re.compile(r"[!-~][ -~]{0,79}")  # a name or a version that is taken over: a line of ASCII
_NUMBERS = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6})*")
_KOHYA = "ss_sd_scripts_commit_hash"

Version = tuple[int, ...]


def version_of(text: str) -> Version | None:
    """(0, 12, 26) of "0.12.26", so that versions can be compared; None for what is not numbers and dots."""
    return tuple(map(int, text.split("."))) if _NUMBERS.fullmatch(text) else None


@dataclass(frozen=True)
class Trainer:
    """`version`: None where the header does not say it."""

    name: str
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.name} {self.version or 'of unknown version'}"

    @property
    def number(self) -> Version | None:
        """The version of an ai-toolkit, to be compared; None for other programs, and where it is not known."""
        return version_of(self.version) if self.name == AI_TOOLKIT and self.version else None

    @property
    def is_newer(self) -> bool:
        """True for an ai-toolkit that nobody has held Darkroom against yet."""
        return self.number is not None and self.number > (version_of(CHECKED) or ())

    @property
    def told(self) -> str:
        """As text, with what is to be known of a version that is newer than the one that was checked."""
        return f"{self} (newer than {CHECKED}, which was checked)" if self.is_newer else str(self)


def trainer_of(metadata: Mapping[str, str]) -> Trainer | None:
    """What a header says, by ai-toolkit's rules, kohya's, or those of modelspec; None where it says nothing.

    ai-toolkit's `software` is JSON: {"name": "ai-toolkit", "repo": …, "version": "0.12.26"} (its info.py).
    """
    software = json_object(metadata.get("software"))
    if name := _said(software.get("name")):
        return Trainer(name, _said(software.get("version")))
    if commit := _said(metadata.get(_KOHYA)):
        return Trainer("kohya", commit[:8])
    implementation = _said(metadata.get("modelspec.implementation"))
    return Trainer(implementation) if implementation else None


def _said(value: object) -> str | None:
    return value if isinstance(value, str) and _SAID.fullmatch(value) else None

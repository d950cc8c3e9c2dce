"""Where ComfyUI, ai-toolkit and the hub's cache lie, and the one file that says so: ~/.config/darkroom/config.yaml."""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import yaml

from darkroom.errors import ConfigError
from darkroom.files.atomic import atomic
from darkroom.files.yaml_text import yaml_text

_HEAD = "# Written by darkroom init; yours to edit. conf/config.yaml of a folder goes over it.\n"


@dataclass(frozen=True, kw_only=True)
class Locations:
    """Absolute paths of folders; None for what nobody says anything of, "" for what there is none of."""

    comfyui: str | None = None  # the models/ folder
    ai_toolkit: str | None = None
    hf_home: str | None = None

    def over(self, others: "Locations") -> "Locations":
        """These, and the others' where these are None."""
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(others, **{name: path for name, path in said.items() if path is not None})


@dataclass(frozen=True)
class LocationsFile:
    """The file as it is, or is not yet."""

    path: Path
    text: str | None
    content: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "LocationsFile":
        """ConfigError for a file that is no YAML of keys and values. One that nobody can see is not there."""
        if not os.path.isfile(path):  # noqa: PTH113  not Path.is_file, which fails in a home that is another user's
            return cls(path, None, {})
        try:
            text = path.read_text(encoding="utf-8")
            content = yaml.safe_load(text) or {}
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(
                f"{path}: cannot be read, so it stays as it is: {' '.join(str(error).split())}"
            ) from error
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: expected keys and values, got {content!r}; it stays as it is")
        return cls(path, text, content)

    @property
    def locations(self) -> Locations:
        """What it says."""
        checkpoint = _inside(_inside(self.content, "model"), "checkpoint")
        machine = _inside(self.content, "machine")
        return Locations(
            comfyui=checkpoint.get("comfyui_models"),
            ai_toolkit=machine.get("ai_toolkit"),
            hf_home=machine.get("hf_home"),
        )

    def with_locations(self, locations: Locations) -> str:
        """The text that says these locations, and all else that stands there; comments but the first line's go."""
        locations = Locations(**{each.name: getattr(locations, each.name) or None for each in fields(Locations)})
        if locations == self.locations and self.text is not None:
            return self.text
        model = dict(_inside(self.content, "model"))
        model["checkpoint"] = _said({**_inside(model, "checkpoint"), "comfyui_models": locations.comfyui})
        own = {"hf_home": locations.hf_home, "ai_toolkit": locations.ai_toolkit}
        machine = _said({**_inside(self.content, "machine"), **own})
        content = _said({**self.content, "model": _said(model), "machine": machine})
        return _HEAD + yaml_text(content)

    def changes(self, text: str) -> list[str]:
        """The lines that go (-) and come (+) where the file is to hold this text."""
        lines = difflib.unified_diff((self.text or "").splitlines(), text.splitlines(), lineterm="", n=0)
        return [line for line in lines if not line.startswith(("---", "+++", "@@"))]

    def write(self, text: str) -> None:
        """Whole or not at all."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with atomic(self.path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be written: {error.strerror}") from error


def _inside(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = content.get(key)
    return value if isinstance(value, Mapping) else {}


def _said(content: Mapping[str, Any]) -> dict[str, Any]:
    """Without what says nothing."""
    return {key: value for key, value in content.items() if value is not None and value != {}}

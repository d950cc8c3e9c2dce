"""Overrides of the command line, sorted by who applies them. Parsed by Hydra."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from darkroom.errors import ConfigError, one_line, raise_together
from darkroom.names import name_fault
from darkroom.plan.conf.other_tools import answer_at_root
from darkroom.plan.conf.schema import AXIS_GROUPS, COMPARE, Config

_ROOT = tuple(each.name for each in fields(Config))


def searching(folders: Iterable[Path]) -> str:
    """The override by which Hydra looks into these folders, too."""
    return f"hydra.searchpath=[{','.join(_quoted(f'file://{folder}') for folder in folders)}]"


def _quoted(text: str) -> str:
    """As Hydra reads it: a backslash is a sign only before a quote, unlike in JSON."""
    doubled = re.sub(r'(\\+)(?="|$)', r"\1\1", text).replace('"', '\\"')
    return f'"{doubled}"'


class Overrides:
    """Overrides, sorted by who applies them: Hydra, or `Conf.option` for the values of its groups."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.of_hydra: list[str] = []
        self.choices: dict[str, str] = {}
        self.searchpath: list[str] = []
        self.score: list[Any] | None = None  # which Hydra would take for the choice of a group
        self._values: list[Override] = []
        raise_together(self._sort_all(lines))
        self.keys = [override.key_or_group for override in reversed(self._values)]
        self.keys += ["score"] if self.score is not None else []
        self.keys += [line.lstrip("+").partition("=")[0] for line in self.of_hydra]

    def of_group(self, group: str) -> list[tuple[str, Any]]:
        """(key below the group, value), in the order given."""
        prefix = f"{group}."
        mine = [override for override in self._values if override.key_or_group.startswith(prefix)]
        return [(override.key_or_group[len(prefix) :], override.value()) for override in mine]

    def _sort_all(self, lines: Sequence[str]) -> Iterator[ConfigError]:
        for line in lines:
            try:
                self._sort(_parsed(line))
            except ConfigError as error:
                yield error

    def _sort(self, override: Override) -> None:
        key, line = override.key_or_group, override.input_line
        value = override.value()
        if key == "hydra.searchpath":
            if not isinstance(value, list):
                raise ConfigError(f"override {line}: expected a list of folders")
            self.searchpath += [str(entry) for entry in value]
        elif key.split("@")[0] == "experiment":
            raise ConfigError(f"override {line}: choose the experiment with --config experiment=NAME")
        elif override.package is not None:
            raise ConfigError(f"override {line}: a group cannot be put elsewhere with @")
        elif key == "score":
            if not isinstance(value, list):
                raise ConfigError(f"override {line}: expected a list, such as score=[change,diversity]")
            self.score = value
        elif key in (*AXIS_GROUPS, "output"):
            if fault := name_fault(value):
                raise ConfigError(f"override {line}: {fault}")
            self.choices[key] = str(value)
            if key == "output":
                self.of_hydra.append(str(line))
        elif key.split(".")[0] in (*AXIS_GROUPS, COMPARE):
            if override.is_delete():
                raise ConfigError(f"override {line}: a key cannot be taken away; give it another value")
            self._values.append(override)
        elif key.split(".")[0] not in _ROOT:
            raise ConfigError(f"override {line}: unknown key; {answer_at_root(key.split('.')[0])}")
        else:
            is_new = "." in key and not (override.is_delete() or override.is_add() or override.is_force_add())
            self.of_hydra.append(f"++{line}" if is_new else str(line))  # ++: whether or not conf/ has the key


def _parsed(line: str) -> Override:
    try:
        override = OverridesParser.create().parse_override(line)
    except HydraException as error:
        key = line.partition("=")[0]
        cure = f"""a text with quotes, brackets, braces or commas is written {key}='"…"'"""
        raise ConfigError(f"override {line}: cannot be read ({one_line(error)}); {cure}") from error
    if override.is_sweep_override():
        raise ConfigError(f"override {line}: one value or a [list] is needed: {override.key_or_group}=[…, …]")
    return override

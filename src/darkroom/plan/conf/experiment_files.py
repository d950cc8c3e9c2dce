"""What the files of one experiment say before they are composed: keys of the root, choices, where a value stands."""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from darkroom.display import from_here
from darkroom.errors import ConfigError
from darkroom.names import name_fault
from darkroom.plan.conf.folders import Folders
from darkroom.plan.conf.option_file import load_with_defaults_list
from darkroom.plan.conf.origin import Origin, leaves
from darkroom.plan.conf.other_tools import answer_at_root
from darkroom.plan.conf.schema import AXIS_GROUPS, Config
from darkroom.provenance.identity import MACHINE_KEYS

_EXPERIMENT = "experiment@_global_"  # so that the files of experiments need no package of their own

_LISTS = ("exclude", "score")  # keys of the root that hold no keys and values


@dataclass(frozen=True)
class ExperimentFiles:
    """The experiment's file, those that it includes, then the files config.yaml: the first that sets a key counts."""

    experiments: tuple[tuple[Path, Mapping[str, Any]], ...]
    configs: tuple[tuple[Path, Mapping[str, Any]], ...]

    @property
    def files(self) -> tuple[tuple[Path, Mapping[str, Any]], ...]:
        return (*self.experiments, *self.configs)

    def faults(self) -> Iterator[ConfigError]:
        """Keys that the root does not have, or that hold something else than it expects."""
        expected = {field.name: list if field.name in _LISTS else dict for field in fields(Config)}
        for file, content in self.files:
            for key in sorted(content.keys() - expected.keys() - {"defaults"}):
                yield ConfigError(f"{file}: {key}: unknown key; {answer_at_root(key)}")
            for key in sorted(content.keys() & expected.keys()):
                if not isinstance(content[key], expected[key]):
                    wanted = "a list" if key in _LISTS else "keys and values"
                    hint = f"; choices go to matrix.{key}" if key in AXIS_GROUPS else ""
                    yield ConfigError(f"{file}: {key}: expected {wanted}, got {content[key]!r}{hint}")
            axes = content.get("matrix")
            for key in [key for key in axes if not isinstance(key, str)] if isinstance(axes, Mapping) else []:
                cure = "several values go in brackets, [1, 2], and a decimal point is a dot"
                yield ConfigError(f"{file}: matrix.{key}: is no name of an axis; {cure}")
        for file, content in self._with_choices():
            if not any(isinstance(entry, Mapping) and _EXPERIMENT in entry for entry in content["defaults"]):
                cure = "leave defaults out, and the rest goes over Darkroom's own config.yaml"
                yield ConfigError(f"{file}: defaults: needs an entry {_EXPERIMENT}: NAME; or {cure}")

    def misplaced(self, machine: Path, overridden: list[str]) -> Iterator[ConfigError]:
        """Keys of a person's own that stand elsewhere than in this machine's file."""
        elsewhere = [(file, content.get("machine")) for file, content in self.files if file != from_here(machine)]
        for key, variable in MACHINE_KEYS.items():
            places = [str(file) for file, said in elsewhere if isinstance(said, Mapping) and key in said]
            places += ["override"] if f"machine.{key}" in overridden else []
            for place in places:
                cure = f"say it in {machine}, or set {variable}"
                yield ConfigError(f"{place}: machine.{key}: is a person's, and conf/ is handed on: {cure}")

    def _with_choices(self) -> tuple[tuple[Path, Mapping[str, Any]], ...]:
        """The one config.yaml whose defaults list counts: the first that has one."""
        return tuple(each for each in self.configs if "defaults" in each[1])[:1]

    def choice(self, group: str, instead: str | None = None) -> str:
        """The option that the defaults lists name for a group; ConfigError if there is none.

        `instead`: what goes before the choice of config.yaml.
        """
        files = self.experiments if instead else (*self.experiments, *self._with_choices())
        for entry in (entry for _, content in files for entry in content.get("defaults", [])):
            if isinstance(entry, Mapping):
                chosen = entry.get(f"override /{group}", entry.get(group))
                if chosen is not None and name_fault(chosen) is None:
                    return str(chosen)
        if instead:
            return instead
        raise ConfigError(
            f"{self.experiments[0][0]}: names no {group}, and neither does the defaults list of config.yaml"
        )

    def origin(self, group: str, file: Path, overridden: list[str]) -> Origin:
        """Where the values of a group's option were written; of the root for the group "". Overrides come first."""
        prefix = f"{group}." if group else ""
        elsewhere = [(key[len(prefix) :], f"override {key}") for key in overridden if key.startswith(prefix)]
        for written_in, content in self.files:
            part = content.get(group) if group else content
            if isinstance(part, Mapping):
                elsewhere += [(key, f"{written_in}: {prefix}{key}") for key in leaves(part)]
        return Origin(str(file), tuple(elsewhere))


def experiment_files(
    name: str, folders: Folders, seen: frozenset[str] = frozenset()
) -> Iterator[tuple[Path, dict[str, Any]]]:
    """An experiment's file and those that its defaults list includes, the strongest first."""
    file = folders.option("experiment", name, "experiment")
    if name in seen:
        raise ConfigError(f"{file}: defaults: includes itself")
    content = load_with_defaults_list(file)
    if not content:
        raise ConfigError(f"{file}: is empty; expected what to render, such as `matrix: {{lora: my_lora}}`")
    yield file, content
    for entry in reversed(content.get("defaults", [])):
        if isinstance(entry, str) and entry != "_self_":
            folders.option("experiment", entry, f"{file}: defaults")
            yield from experiment_files(entry, folders, seen | {name})


def experiment_fault(name: str) -> str | None:
    """What is wrong with the name of an experiment, and what to type in its place."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and name_fault(path.stem) is None:
        return f"{name!r}: expected its name alone, without folder and ending: {path.stem}"
    fault = name_fault(name)
    if fault and path.is_dir():
        return f"{name!r} is a folder; a training job's is imported first: darkroom import aitk {shlex.quote(name)}"
    return fault

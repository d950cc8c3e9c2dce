"""conf/ and overrides → one experiment's plain values, by Hydra.

Hydra composes the experiment once, with empty options for model, lora and prompts. The options that the axes name are
then read one by one, and what the experiment and the overrides set for the whole group is merged into each: what
composing once per option would give, forty times as fast. Hydra could not load them anyway, since `defaults` is in a
model or a prompt set the values of a prompt that names none, not a defaults list.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from darkroom import OWN_FOLDER
from darkroom.display import from_here
from darkroom.errors import ConfigError, one_line, raise_together
from darkroom.plan.conf.experiment_files import ExperimentFiles, experiment_fault, experiment_files
from darkroom.plan.conf.folders import existing_folders, machine_file
from darkroom.plan.conf.option_file import LITERAL, as_config_errors, load, load_with_defaults_list
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.overrides import Overrides, searching
from darkroom.plan.conf.schema import AXIS_GROUPS, COMPARE, Config

_OF_ROOT = ("output", "machine", "matrix", "exclude", "score")
_BLANK = "blank"  # conf/prompts/blank.yaml
# Names that no file of a user can have.
_UNCHOSEN = "_unchosen_"  # an empty option of each axis group
_PRIMARY = "_primary_"  # includes _CONFIG: Hydra looks for a primary config in the first folder only
_CONFIG = "_config_"  # the files config.yaml, one over the other
# What Hydra reads for programs that it starts itself: more than a quarter of a composition's time.
_HYDRAS_OWN = ("output", "launcher", "sweeper", "help", "hydra_help", "hydra_logging", "job_logging")


class Visible:
    """Values that an option may refer to as `${group.key}`: another option's, `output`, `darkroom.folder`."""

    def __init__(self, group: str, values: Mapping[str, Any]) -> None:
        self.group = group
        self.node = OmegaConf.create(dict(values))


@dataclass(frozen=True)
class Option:
    """One file of a group with the experiment's changes merged in; interpolations are not resolved yet."""

    group: str
    name: str
    content: dict[str, Any]
    origin: Origin

    @cached_property
    def is_interpolated(self) -> bool:
        return "${" in repr(self.content)  # not JSON: a key may be of any kind, until it is looked at

    def resolved(self, seen: Sequence[Visible] = ()) -> dict[str, Any]:
        """The content with interpolations resolved: `${lora.trigger_word}` needs the LoRA in `seen`."""
        if not self.is_interpolated:
            return self.content
        # Nodes are moved from root to root: copying them would cost more than all the rest.
        root = OmegaConf.create({}, flags={"no_deepcopy_set_nodes": True})
        for group, node in [*((visible.group, visible.node) for visible in seen), (self.group, self._node)]:
            root[group] = node
        return _resolved(self._node, self.group, self.origin)

    @cached_property
    def _node(self) -> DictConfig:
        with as_config_errors(Path(self.origin.file)):
            return OmegaConf.create(self.content)


class Conf:
    """One experiment's view of the configuration folders. Raises ConfigError or Problems."""

    def __init__(self, experiment: str, conf_dirs: Sequence[Path], overrides: Sequence[str]) -> None:
        self._overrides = Overrides(overrides)
        self._folders = existing_folders(conf_dirs, self._overrides.searchpath)
        if fault := experiment_fault(experiment):
            raise ConfigError(f"experiment: {fault}")
        self.file = self._folders.option("experiment", experiment, "experiment")
        self._hydra_overrides = [f"experiment@_global_='{experiment}'", *self._overrides.of_hydra]
        configs = self._folders.configs(machine_file())
        if not configs:
            raise ConfigError(f"no config.yaml in {', '.join(map(str, self._folders.paths))}")
        self._written = ExperimentFiles(
            tuple(experiment_files(experiment, self._folders)),
            tuple((file, load_with_defaults_list(file)) for file in configs),
        )
        raise_together((*self._written.faults(), *self._written.misplaced(machine_file(), self._overrides.keys)))
        self._output_file = self._folders.option("output", self.choice("output"), f"{self.file}: output")
        load_with_defaults_list(self._output_file)  # for errors that name the file
        self._root = self._compose()
        # Darkroom's own folder, for the files that come with it: a path in conf/ starts in the working directory.
        own = {"folder": str(from_here(OWN_FOLDER))}
        plan = OmegaConf.create({"darkroom": own, **{key: self._root[key] for key in _OF_ROOT}})
        output = _resolved(plan.output, "output", self.output_origin)
        self.root: dict[str, Any] = {**_resolved(plan, "", self.origin("")), "output": output}
        if self._overrides.score is not None:
            self.root["score"] = self._overrides.score
        self.visible = (Visible("darkroom", own), Visible("output", output))  # to every option
        raise_together(self._idle_choices())

    def origin(self, group: str, file: Path | None = None) -> Origin:
        """Where the values of an option, of `output`, or of the root (group "") were written."""
        return self._written.origin(group, file or self.file, self._overrides.keys)

    @property
    def output_origin(self) -> Origin:
        return self.origin("output", self._output_file)

    def choice(self, group: str) -> str:
        """The option of a group that the matrix does not list: an override's, else the defaults lists'."""
        # Prompts that are an axis need no set: they stand in one that has no text of its own.
        instead = _BLANK if group == "prompts" and "prompt" in self.root["matrix"] else None
        return self._overrides.choices.get(group) or self._written.choice(group, instead)

    def option(self, group: str, name: str) -> Option:
        """One option of an axis with what the experiment and the overrides change in its group."""
        return self._option(group, name, self._folders.option(group, name, f"{self.file}: matrix.{group}"))

    def has_option(self, group: str, name: str) -> bool:
        """True where there is a file of the name."""
        return self._folders.find(f"{group}/{name}") is not None

    def changed(self, group: str, content: dict[str, Any], origin: Origin) -> dict[str, Any]:
        """An option's content with what the experiment and the overrides change in its group."""
        changes, updates = self._root[group], self._overrides.of_group(group)
        return _merged(content, changes, updates, origin) if changes or updates else content

    def thresholds(self, model: str) -> Option:
        """The option of `compare` that goes for a model: its own, else `default`."""
        name = model if self._folders.find(f"{COMPARE}/{model}") else "default"
        return self._option(COMPARE, name, self._folders.option(COMPARE, name, COMPARE))

    def scorer(self, name: str, where: str) -> Option:
        """One of conf/score/, which an experiment names and does not change. `where`: it is asked for."""
        file = self._folders.option("score", name, where)
        return Option("score", name, load(file), Origin(str(file)))

    def _option(self, group: str, name: str, file: Path) -> Option:
        origin = self.origin(group, file)
        return Option(group, name, self.changed(group, load(file), origin), origin)

    def _idle_choices(self) -> Iterator[ConfigError]:
        for group, name in self._overrides.choices.items():
            if group in self.root["matrix"]:
                advice = f"{self.file} lists matrix.{group}; set matrix.{group}=[{name}]"
                yield ConfigError(f"override {group}={name}: has no effect: {advice}")

    def _compose(self) -> dict[str, Any]:
        """Hydra's composition; under an axis group stands what applies to every option."""
        unchosen = [f"{group}={_UNCHOSEN}" for group in AXIS_GROUPS]
        first, *others = (path.absolute() for path in self._folders.paths)
        config = OmegaConf.merge(*(content for _, content in reversed(self._written.configs)))
        _register(config)
        with as_config_errors(self.file), initialize_config_dir(str(first), version_base="1.3"):
            composed = compose(_PRIMARY, [searching(others), *self._hydra_overrides, *unchosen])
            content = OmegaConf.to_container(composed)
        assert isinstance(content, dict)
        return {str(key): value for key, value in content.items()}


def _register(config: ListConfig | DictConfig) -> None:
    store = ConfigStore.instance()
    store.store("schema", Config)
    without = ({f"override hydra/{part}": None} for part in _HYDRAS_OWN)
    store.store(_PRIMARY, {"defaults": [_CONFIG, *without]})
    store.store(_CONFIG, config)
    for group in AXIS_GROUPS:
        store.store(_UNCHOSEN, {}, group=group)


def _merged(
    content: dict[str, Any], changes: dict[str, Any], updates: Sequence[tuple[str, Any]], origin: Origin
) -> dict[str, Any]:
    merged = OmegaConf.merge(content, changes)
    for key, value in updates:
        try:
            OmegaConf.update(merged, key, value, merge=True, force_add=True)
        except (OmegaConfBaseException, ValueError, IndexError, TypeError) as error:
            raise ConfigError(f"{origin.at(key)}: cannot be set in {origin.file}: {one_line(error)}") from error
    plain = OmegaConf.to_container(merged)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _resolved(node: DictConfig, group: str, origin: Origin) -> dict[str, Any]:
    try:
        resolved = OmegaConf.to_container(node, resolve=True)
    except OmegaConfBaseException as error:
        key = str(error.full_key or "").removeprefix(f"{group}.")
        raise ConfigError(f"{origin.at(key)}: {str(error.msg).splitlines()[0]}; {LITERAL}") from error
    assert isinstance(resolved, dict)
    return {str(key): value for key, value in resolved.items()}

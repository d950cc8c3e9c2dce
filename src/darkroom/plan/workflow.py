"""What the Snakefile asks: the experiment, checked, and which finished combinations lost a picture.

Knows --config and results/; must stay quick to import, since Snakemake parses the Snakefile on every call.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

from darkroom.demo_folder import DEMO_CHECKPOINT_FILES, DEMO_FOLDER, is_in_demo_folder
from darkroom.errors import ConfigError, DarkroomError, StoreError, raise_together
from darkroom.plan.checkpoint_files import local_files
from darkroom.plan.experiment import Combination, Experiment, Names, load_experiment
from darkroom.request import digest_of
from darkroom.store import ENDINGS, RESULTS, STORE, ExperimentFolder, read_json, write_json

_KEYS = ("experiment", "set")


class Workflow:
    """One experiment as the rules see it: names, digests that trigger reruns, and drafts to be written."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.folder = ExperimentFolder(RESULTS / experiment.name)
        self._lost_tokens: dict[Names, str] = {}
        last_first = enumerate(reversed(experiment.combinations), 1)
        self._priorities = {_names(combination): priority for priority, combination in last_first}

    @property
    def name(self) -> str:
        return self.experiment.name

    def records(self) -> list[str]:
        return [str(self.folder.records(*_names(c))) for c in self.experiment.combinations]

    def trigger(self, model: str, lora: str, prompts: str) -> str:
        """Changes when the combination has to be planned and rendered again: what is asked, or a picture lost."""
        return f"{self.experiment.digest(model, lora, prompts)} {self._lost((model, lora, prompts))}"

    def priority(self, model: str, lora: str, prompts: str) -> int:
        """Higher for what comes earlier in the matrix, so that a worker sees each base model and each LoRA once."""
        return self._priorities[model, lora, prompts]

    @property
    def first_priority(self) -> int:
        """Above that of every combination."""
        return len(self._priorities) + 1

    def source_digest(self, model: str) -> str:
        """Changes when conf/ says that a model comes from elsewhere."""
        return digest_of(asdict(self.experiment.models[model].checkpoint))[:16]

    def checkpoint_files(self, model: str) -> list[str]:
        """The local files whose change makes a model another one; none for a repository of the hub."""
        source = self.experiment.models[model].checkpoint
        if is_in_demo_folder(source.repo):
            return [f"{DEMO_FOLDER}/{name}" for name in DEMO_CHECKPOINT_FILES]
        return [str(path) for path in local_files(source)]

    def write_drafts(self) -> None:
        """Write what conf/ asks for, a file a combination: the input of the plan and encode rules."""
        try:
            self._write_drafts()
        except DarkroomError as error:
            stop(error)

    def _write_drafts(self) -> None:
        experiment = self.experiment
        output = asdict(experiment.output)
        for model in experiment.models:
            write_json(self.folder.choice(model), self._choice(model))
        for combination in experiment.combinations:
            names = _names(combination)
            requests = [request.to_json() for request in combination.requests]
            draft = {"lost": self._lost(names), "output": output, "requests": requests}
            write_json(self.folder.draft(*names), draft)
        contents = [[*_names(c), len(c.requests)] for c in experiment.combinations]
        write_json(self.folder.contents, {"experiment": experiment.name, "combinations": contents})

    def _choice(self, model: str) -> dict[str, Any]:
        first = next(c.requests[0] for c in self.experiment.combinations if c.model == model)
        source = self.experiment.models[model].checkpoint
        return {"checkpoint": asdict(source), "request": first.to_json(), "texts": self.experiment.texts(model)}

    def _lost(self, names: Names) -> str:
        """What `_find_lost` said first: rules and drafts must not differ when a picture vanishes in between."""
        if names not in self._lost_tokens:
            self._lost_tokens[names] = self._find_lost(names)
        return self._lost_tokens[names]

    def _find_lost(self, names: Names) -> str:
        """A token that changes once when pictures of a finished combination are gone, and is kept until the next loss.

        The token in effect travels through the draft into the requests file, so that a repaired combination is at rest.
        """
        requests = self.folder.requests(*names)
        if not requests.is_file():
            return ""
        kept = str(read_json(requests)["lost"])
        if not self.folder.records(*names).is_file():
            return kept
        output = self.experiment.output
        endings = [ENDINGS[output.format], *(["safetensors"] if output.save_latents else [])]
        combination = self.experiment.combination(*names)
        expected = {f"{r.image_name}.{ending}" for r in combination.requests for ending in endings}
        images = self.folder.images(*names)
        gone = expected - ({file.name for file in images.iterdir()} if images.is_dir() else set())
        return digest_of([kept, sorted(gone)])[:8] if gone else kept


def open_workflow(config: Mapping[str, Any], conf_dirs: Sequence[Path]) -> Workflow:
    """Compose and check the experiment that --config names; on any error print it and end Snakemake, status 1."""
    try:
        name, overrides = _arguments(config)
        _check_writable(RESULTS)
        return Workflow(load_experiment(name, [path for path in conf_dirs if path.is_dir()], overrides))
    except DarkroomError as error:
        stop(error)


def stop(error: DarkroomError) -> NoReturn:
    print(f"darkroom: {error}", file=sys.stderr)
    sys.exit(1)


def _arguments(config: Mapping[str, Any]) -> tuple[str, list[str]]:
    problems: list[DarkroomError] = [
        ConfigError(f'--config {key}: unknown key; expected experiment=NAME or set=["KEY=VALUE", …]')
        for key in config
        if key not in _KEYS
    ]
    overrides = config.get("set", [])
    overrides = [overrides] if isinstance(overrides, str) else overrides
    if not isinstance(overrides, list) or not all(isinstance(item, str) for item in overrides):
        problems.append(ConfigError(f'--config set: expected a list of "KEY=VALUE" strings, got {overrides!r}'))
    name = str(config.get("experiment", "demo"))
    if name == STORE:
        problems.append(ConfigError(f"--config experiment={name}: results/{name} is the store's; name it otherwise"))
    raise_together(problems)
    return name, overrides


def _check_writable(folder: Path) -> None:
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise StoreError(f"{folder.absolute()}: cannot be written: {existing} is not a folder that you may write to")


def _names(combination: Combination) -> Names:
    return combination.model, combination.lora, combination.prompts

"""The experiment as Snakemake's rules see it: their input files, the digests that make them run again, priorities.

Must stay quick to import, since Snakemake parses the Snakefile on every call.
"""

import re
import sys
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from snakemake.io import ancient

from darkroom.errors import ConfigError, DarkroomError, StoreError
from darkroom.files.atomic import sweep
from darkroom.files.weight_file import identity
from darkroom.filesystem.lock import Lock, is_held, locked
from darkroom.job_errors import forget_job_errors
from darkroom.names import Names
from darkroom.plan.conf.schema import Model
from darkroom.plan.done_so_far import DoneSoFar, put_right
from darkroom.plan.drafts import write_contents, write_drafts
from darkroom.plan.experiment import Combination, Experiment
from darkroom.plan.scoring.asked import digest_of_scorer
from darkroom.plan.weights.checkpoint_files import local_files
from darkroom.plan.weights.memory import memory_to_encode, memory_to_render
from darkroom.previews import no_previews, read_previews, stored_previews
from darkroom.request.digest import digest_of
from darkroom.store import RESULTS, STORE, ExperimentFolder, Store, begin_afresh, settle
from darkroom.telling.messages import Began, Planned, Refused, say, tell

_STORE = RESULTS / STORE


class Workflow:
    """One experiment: what each rule looks up."""

    def __init__(self, experiment: Experiment, *, fresh: bool = False) -> None:
        """`fresh`: everything is rendered anew, whatever the store has."""
        self.experiment, self._fresh = experiment, fresh
        self.folder = ExperimentFolder(RESULTS / experiment.name)
        last_first = enumerate(reversed(experiment.combinations), 1)
        self._priorities = {combination.names: priority for priority, combination in last_first}
        self._done = DoneSoFar(experiment, self.folder, fresh=fresh)
        self._lock: Lock | None = None

    @property
    def name(self) -> str:
        return self.experiment.name

    @property
    def name_pattern(self) -> str:
        """The wildcard {experiment} has this one value."""
        return re.escape(self.name)

    def records(self) -> list[str]:
        return [str(self.folder.records(c.names)) for c in self.experiment.combinations]

    def trigger(self, model: str, lora: str, prompts: str) -> str:
        """Changes when a combination has to be planned again: asked otherwise, files replaced, or a picture lost."""
        state = self._done.of(self._combination(model, lora, prompts))
        return f"{state.asked} {state.lost}".strip()

    def priority(self, model: str, lora: str, prompts: str) -> int:
        """Higher for what comes earlier in the matrix, so that a worker sees each base model and each LoRA once."""
        return self._priorities[self._combination(model, lora, prompts).names]

    def embeddings(self, model: str, lora: str, prompts: str) -> Any:
        """The list of embeddings that a render job needs; its time counts only for a combination that is not finished.

        Snakemake does not ask whether an ancient input that exists is up to date; what is unfinished needs it to.
        """
        state = self._done.of(self._combination(model, lora, prompts))
        path = str(self.folder.embeddings(model))
        return ancient(path) if state.is_complete else path

    @property
    def first_priority(self) -> int:
        """Above that of every combination."""
        return len(self._priorities) + 1

    def source(self, model: str) -> str:
        """Changes when conf/ says that a model comes from elsewhere, or its files are others now."""
        choice, needs_text = self._model(model), bool(self.experiment.texts(model))
        files = local_files(choice.checkpoint, choice.family, needs_text)
        return digest_of([asdict(choice.checkpoint), choice.family, needs_text, list(map(identity, files))])[:16]

    def memory(self, model: str, attempt: int, *, encodes: bool = False) -> int:
        """MB of the machine's that a job of a model's asks for; more after an attempt that may have had too little."""
        self._model(model)
        return self._memory[model][0 if encodes else 1] * attempt

    def previews(self) -> str:
        """The list of the stored previews that a run compares with.

        A variant's are those of the first until some of its own were accepted.
        """
        path = stored_previews(self.name, self.experiment.source)
        if not path.is_file():
            stop(no_previews(path))
        return str(path)

    def compared_with(self) -> str:
        """Changes when pictures have to be compared anew: a preview's file is another one now, or a threshold."""
        listed = self.previews()
        try:
            paths = {preview.path for preview in read_previews(Path(listed)) if preview.path}
        except StoreError as error:
            stop(error)
        files = [[path, _identity_if_there(path)] for path in (listed, *sorted(paths))]
        thresholds = {model: each.to_json() for model, each in self.experiment.thresholds.items()}
        return digest_of([files, thresholds])[:16]

    @property
    def scorers(self) -> list[str]:
        """The names of what gives pictures scores."""
        return list(self.experiment.scorers)

    def score_tables(self) -> list[str]:
        """What they have given by now."""
        tables = [self.folder.scores(name) for name in self.scorers]
        return [str(table) for table in tables if table.is_file()]

    def scorer(self, name: str) -> str:
        """Changes when a scorer is asked for otherwise; an error in the name ends the run."""
        if name not in self.experiment.scorers:
            stop(ConfigError(f"experiment {self.name} has no score {name}"))
        return digest_of_scorer(self.experiment.scorers[name])

    def put_right(self) -> None:
        """Before Snakemake looks: times that have not come yet, what was cut off, embeddings that are gone."""
        if not is_held(self.folder.lock):  # else a run is at work, and this one will say so
            put_right(self.experiment, self._done, self.folder, Store(Path(self.store)))

    def is_complete(self, combination: Combination) -> bool:
        """Whether its pictures are those that are asked for, as the run began."""
        return self._done.of(combination).is_complete

    def missing(self, combination: Combination) -> int:
        """How many of its pictures were not there; of one that is to be rendered at least one counts."""
        return max(1, len(combination.requests) - self._done.of(combination).there)

    def start(self) -> None:
        """Take the experiment for this run, and write what conf/ asks for: the input of the plan and encode rules."""
        try:
            self._lock = locked(self.folder.lock)
            sweep(RESULTS)
            forget_job_errors(self.folder.logs)
            self.end()  # of a run that was killed
            if self._fresh:
                begin_afresh(self.folder, _STORE)
            write_drafts(self.experiment, self._done, self.folder)
        except DarkroomError as error:
            stop(error)
        tell(Began())

    def planned(self) -> Planned:
        """The experiment in numbers."""
        return Planned(
            experiment=self.name,
            pictures=self.experiment.images,
            there=sum(self._done.of(combination).there for combination in self.experiment.combinations),
            combinations=len(self.experiment.combinations),
            models=len(self.experiment.models),
        )

    @property
    def store(self) -> str:
        """The folder of the store that encode and render jobs look into, and fill."""
        return str(self.folder.fresh_store if self._fresh else _STORE)

    def end(self, *, well: bool = False) -> None:
        """Give the store what a run has rendered anew. `well`: it has done all that it was for."""
        try:
            settle(self.folder, _STORE)
            if well:
                self.folder.forget_costs()
        except DarkroomError as error:
            stop(error)

    def take_stock(self) -> bool:
        """Write into the table of contents what is done by now; True where a picture or the manifest is left."""
        is_complete = [self._done.is_complete_now(combination) for combination in self.experiment.combinations]
        try:
            write_contents(self.experiment, is_complete, self.folder, fresh=self._fresh)
        except StoreError as error:  # a full disk, perhaps: what became of the pictures is to be told all the same
            say(str(error))
        return not (all(is_complete) and self.folder.finished.is_file())

    @cached_property
    def _memory(self) -> dict[str, tuple[int, int]]:
        """MB by model: of a job that encodes, and of one that renders."""
        merges = {
            combination.names.model
            for combination in self.experiment.combinations
            if any(each.adapters.active and each.adapters.lora_merge != "live" for each in combination.requests)
        }
        models = self.experiment.models.items()
        return {name: (memory_to_encode(each), memory_to_render(each, name in merges)) for name, each in models}

    def _model(self, model: str) -> Model:
        if model not in self.experiment.models:
            stop(ConfigError(f"experiment {self.name} has no model {model}, so nothing can be made for it"))
        return self.experiment.models[model]

    def _combination(self, model: str, lora: str, prompts: str) -> Combination:
        names = Names(model, lora, prompts)
        if names not in self._priorities:
            stop(ConfigError(f"experiment {self.name} has no combination {' / '.join(names)}"))
        return self.experiment.combination(names)


def stop(error: DarkroomError) -> NoReturn:
    print(f"darkroom: {error}", file=sys.stderr)
    tell(Refused(str(error)))
    sys.exit(1)


def _identity_if_there(path: str) -> list[Any] | None:
    try:
        return identity(path) if Path(path).is_file() else None
    except OSError:  # a name that no file can have: whoever compares will say so
        return None

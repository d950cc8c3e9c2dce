"""One experiment, composed, checked and resolved: what the Snakefile asks.

Imported each time Snakemake parses the Snakefile: no torch, and nothing slow.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from darkroom.checkpoint import RENDERING
from darkroom.errors import ConfigError, ProvenanceError, Reading, UnfitLoraError, collected, raise_together
from darkroom.names import Names
from darkroom.plan.conf.compose import Conf
from darkroom.plan.conf.options import Options, mentions_trigger_word
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.prompt_set import Sheet
from darkroom.plan.conf.reader import is_finite, read
from darkroom.plan.conf.schema import AXIS_GROUPS, LoraStack, Machine, Model, Output
from darkroom.plan.contradictions import contradictions
from darkroom.plan.matrix import Matrix, Point, read_matrix
from darkroom.plan.model_values import base_of, encoder_of
from darkroom.plan.pictures import Picture, pictures
from darkroom.plan.resolve import resolve
from darkroom.plan.scoring.asked import read_scorers_of
from darkroom.plan.strengths import axis_of, nowhere, position_of, stack_at
from darkroom.plan.weights.adapter_path import Fetch
from darkroom.plan.weights.hub import look_in
from darkroom.plan.weights.lora_axis import read_lora_axis
from darkroom.plan.weights.loras import LoraCheck
from darkroom.plan.weights.missing_files import missing_weights
from darkroom.planned import PlannedModel
from darkroom.provenance.claim import try_identity
from darkroom.provenance.identity import name_identity
from darkroom.request import NUMERICS_REVISION, Request
from darkroom.scoring.scorer import Scorer
from darkroom.thresholds import ModelThresholds, Thresholds


@dataclass(frozen=True)
class Combination:
    """One choice of model, LoRA and prompt set: one render job."""

    names: Names
    requests: tuple[Request, ...]


@dataclass(frozen=True)
class Experiment:
    """Everything that conf/ says, resolved. Digests (16 hex digits) change with what is asked, not with files."""

    name: str  # of its folder in results/
    source: str  # conf/experiment/<source>.yaml: another name where it is a variant, rendered beside the first
    output: Output
    combinations: tuple[Combination, ...]
    models: Mapping[str, Model]
    thresholds: Mapping[str, ModelThresholds]  # by model
    scorers: Mapping[str, Scorer]  # by name
    notes: tuple[str, ...]  # what a person is to be told, and nothing fails of

    @property
    def images(self) -> int:
        return sum(len(combination.requests) for combination in self.combinations)

    def combination(self, names: Names) -> Combination:
        """KeyError if the experiment has no such combination."""
        return self._by_names[names]

    def digest(self, names: Names) -> str:
        """Over a combination's requests, where its base model comes from, and how images are written."""
        return self._digests[names]

    def texts(self, model: str) -> tuple[str, ...]:
        """The distinct texts that a model's text encoder has to encode, sorted."""
        requests = (request for c in self.combinations if c.names.model == model for request in c.requests)
        return tuple(sorted({text for request in requests for text in request.texts}))

    def planned_model(self, name: str) -> PlannedModel:
        """A model with what all its pictures show."""
        requests = (request for c in self.combinations if c.names.model == name for request in c.requests)
        embeds = {request.text.prompt_embeds for request in requests if request.text.prompt_embeds}
        model = self.models[name]
        return PlannedModel(
            name=name,
            checkpoint=asdict(model.checkpoint),
            base=base_of(model),
            encoder=encoder_of(model),
            texts=self.texts(name),
            prompt_embeds=tuple(sorted(embeds)),
        )

    def text_digest(self, model: str) -> str:
        """Over `texts` and everything in conf/ that can change their embeddings."""
        source = asdict(self.models[model].checkpoint)
        files = {key: value for key, value in source.items() if key not in RENDERING}
        return _digest([NUMERICS_REVISION, files, encoder_of(self.models[model]), self.texts(model)])

    def files(self, names: Names) -> tuple[str, ...]:
        """The files, besides the base model's, that a combination's pixels depend on: adapters, images, embeddings."""
        return self._files[names]

    @cached_property
    def _files(self) -> dict[Names, tuple[str, ...]]:
        return {names: _files(combination.requests) for names, combination in self._by_names.items()}

    @cached_property
    def _by_names(self) -> dict[Names, Combination]:
        return {combination.names: combination for combination in self.combinations}

    @cached_property
    def _digests(self) -> dict[Names, str]:
        sources = {name: asdict(model.checkpoint) for name, model in self.models.items()}
        output = asdict(self.output)
        return {
            names: _digest([NUMERICS_REVISION, output, sources[names.model], combination.requests])
            for names, combination in self._by_names.items()
        }


def load_experiment(
    name: str,
    conf_dirs: Sequence[Path],
    overrides: Sequence[str],
    *,
    variant: str | None = None,
    tell_unfit: Callable[[ConfigError], None] | None = None,
    fetch_lora: Fetch | None = None,
) -> Experiment:
    """Compose, check and resolve conf/experiment/NAME.yaml; an earlier folder of `conf_dirs` goes ahead of a later one.

    `overrides` are Hydra's, such as "model.numerics=fast"; `variant` is the name in results/ where it is not NAME.
    Raises ConfigError, or Problems with everything that can be said without opening weights. `tell_unfit`: hears of
    LoRAs that cannot be applied, for a run that renders the rest. `fetch_lora`: of those on the hub that are not in its
    cache; None where nothing is to be downloaded.
    """
    try:
        experiment, errors = collected(_experiment(variant or name, name, Conf(name, conf_dirs, overrides), fetch_lora))
    except OSError as failed:  # of a path that no file can have, or a folder that nobody may look into
        raise ConfigError(f"{failed.filename}: {failed.strerror}") from failed
    if tell_unfit is None:
        raise_together(errors)
    else:
        raise_together(error for error in errors if not isinstance(error, UnfitLoraError))
        for error in errors:
            tell_unfit(error)
    return experiment


def _experiment(name: str, source: str, conf: Conf, fetch_lora: Fetch | None) -> Reading[Experiment]:
    machine = yield from read(Machine, conf.root["machine"], conf.origin("machine"))
    if machine and machine.hf_home:
        look_in(machine.hf_home)
    output = yield from read(Output, conf.root["output"], conf.output_origin)
    if output and output.provenance == "c2pa":
        yield from _signing_faults(machine or Machine(), conf.output_origin.at("provenance"))
    choices = {group: conf.choice(group) for group in AXIS_GROUPS if group not in conf.root["matrix"]}
    axes = {**choices, **conf.root["matrix"]}
    loras = yield from read_lora_axis(axes["lora"], conf)
    matrix = yield from read_matrix(axes, conf.root["exclude"], loras.series, conf.origin(""))
    options = Options(conf, loras.options)
    yield from options.open(matrix.options)
    plan = _Plan(name, source, matrix, options, LoraCheck(fetch_lora))
    combinations = yield from plan.combinations()
    yield from plan.idle_strengths(conf.origin(""))
    yield from plan.lora_faults()
    yield from plan.missing_weights(combinations)
    thresholds = yield from _thresholds(conf, plan.models)
    requests = [request for combination in combinations for request in combination.requests]
    scorers = yield from read_scorers_of(conf, requests)
    # Without an output there was an error, and nobody gets to see this.
    return Experiment(
        name, source, output or Output(), combinations, plan.models, thresholds, scorers, tuple(loras.notes)
    )


def _signing_faults(machine: Machine, where: str) -> Iterator[ConfigError]:
    """What keeps this machine from signing pictures; its jobs then sign as it says."""
    name_identity(machine.c2pa_certificate, machine.c2pa_key)
    try:
        try_identity()
    except ProvenanceError as error:
        yield ConfigError(f"{where}: {error}")


def _thresholds(conf: Conf, models: Iterable[str]) -> Reading[dict[str, ModelThresholds]]:
    """By model; one that comes to nothing is an error."""
    made = {}
    for model in models:
        try:
            option = conf.thresholds(model)
            content = option.resolved()
        except ConfigError as error:
            yield error
            continue
        thresholds = yield from read(Thresholds, content, option.origin)
        if thresholds is None:
            continue
        limits = [("", thresholds), *([("encoded", thresholds.encoded)] if thresholds.encoded else [])]
        idle = [option.origin.at(key) for key, each in limits if not (each.asked or thresholds.own_floor is not None)]
        yield from (ConfigError(f"{key}: asks nothing: every picture would be within the floor") for key in idle)
        if not idle:
            made[model] = ModelThresholds(**vars(thresholds), source=option.origin.file)
    return made


class _Plan:
    """Walks the combinations and keeps what they share: checked models and stacks, pictures of a set."""

    def __init__(self, experiment: str, source: str, matrix: Matrix, options: Options, loras: LoraCheck) -> None:
        self._experiment, self._source, self._matrix, self._options = experiment, source, matrix, options
        self._pictures: dict[tuple[str, ...], list[Picture]] = {}
        self.models: dict[str, Model] = {}
        self._stacks: dict[str, LoraStack | None] = {}  # None: cannot be read
        self._loras = loras

    def combinations(self) -> Reading[tuple[Combination, ...]]:
        """Those without an error; each error once."""
        made = []
        for names, points in self._matrix.combinations():
            model = yield from self._model(names.model)
            stack = yield from self._options.lora(names.model, names.lora)
            sheet = yield from self._options.prompts(*names)
            if stack is not None:
                stack = self._loras.read(stack, self._options.option("lora", names.lora).origin)
            self._stacks[names.lora] = stack
            if model is None or sheet is None:
                continue
            shown = yield from self._shown(names, model, sheet, points)
            if stack is None:
                continue
            origin = self._options.option("lora", names.lora).origin
            for strengths in {picture.point.strengths for picture in shown if picture.strength != 0}:
                self._loras.judge(stack_at(stack, strengths), origin, names.model, model)
            steps, warnings = self._loras.steps(stack), self._warnings(names, stack)
            requests = resolve(self._experiment, names, model, stack, shown, steps, warnings)
            yield from _too_strong(requests, origin)
            made.append(Combination(names, requests))
        return tuple(made)

    def idle_strengths(self, origin: Origin) -> Iterator[ConfigError]:
        """Axes of the strength of a file that no LoRA has."""
        read = [stack for stack in self._stacks.values() if stack is not None]
        return nowhere(self._matrix.strengths, read if len(read) == len(self._stacks) else [], origin)

    def lora_faults(self) -> Iterator[ConfigError]:
        """Of each LoRA the files that are not there, broken, or not for the models that they are combined with."""
        yield from self._loras.faults()

    def missing_weights(self, made: Sequence[Combination]) -> Iterator[ConfigError]:
        """Of each base model the files that are not there; a text encoder is needed where there are texts."""
        for name, model in self.models.items():
            requests = [request for c in made if c.names.model == name for request in c.requests]
            needs_text = not requests or any(request.texts for request in requests)
            origin = self._options.option("model", name).origin
            yield from missing_weights(model.checkpoint, model.family, origin, needs_text)

    def _model(self, name: str) -> Reading[Model | None]:
        model = yield from self._options.model(name)
        if model and name not in self.models:
            self.models[name] = model
            yield from contradictions(model, self._options.option("model", name).origin)
        return model

    def _shown(self, names: Names, model: Model, sheet: Sheet, points: Sequence[Point]) -> Reading[list[Picture]]:
        """The pictures of a set that are not excluded."""
        shown = yield from self._set_pictures(names, model, sheet)
        if points is self._matrix.points:
            return shown
        kept = set(map(id, points))
        return [picture for picture in shown if id(picture.point) in kept]

    def _set_pictures(self, names: Names, model: Model, sheet: Sheet) -> Reading[list[Picture]]:
        key = (names.model, *self._options.key("prompts", names))
        if key not in self._pictures:
            drawn_for = (self._source, names.prompts)  # a variant has the seeds of the first
            self._pictures[key] = yield from pictures(sheet, model, self._matrix.points, drawn_for)
        return self._pictures[key]

    def _warnings(self, names: Names, stack: LoraStack) -> tuple[str, ...]:
        idle = tuple(f"{axis} has no effect: LoRA {names.lora} has no such file" for axis in self._idle(stack))
        return (*idle, *self._unset_trigger_word(names, stack))

    def _idle(self, stack: LoraStack) -> list[str]:
        """Axes of files that a stack has not; the base model alone has no strengths at all."""
        names = self._matrix.strengths if stack.loras else ()
        return [axis_of(name) for name in names if position_of(name, stack) is None]

    def _unset_trigger_word(self, names: Names, stack: LoraStack) -> tuple[str, ...]:
        if stack.trigger_word or not mentions_trigger_word(self._options.option("prompts", names.prompts)):
            return ()
        return (f"${{lora.trigger_word}} is empty: LoRA {names.lora} has no trigger_word",)


def _too_strong(requests: Sequence[Request], origin: Origin) -> Iterator[ConfigError]:
    """Strengths of a file, each a number, whose product is none."""
    for request in requests:
        for number, lora in enumerate(request.adapters.loras):
            if not is_finite(lora.network_multiplier):
                place = origin.at(f"loras[{number}].network_multiplier")
                yield ConfigError(f"{place}: times {request.asked.network_multiplier} is beyond what float32 holds")


def _files(requests: Sequence[Request]) -> tuple[str, ...]:
    paths = {lora.path for request in requests for lora in request.adapters.loras}
    paths |= {image.path for request in requests for image in request.sampling.ctrl_images}
    paths |= {request.text.prompt_embeds for request in requests if request.text.prompt_embeds}
    return tuple(sorted(paths))


def _digest(value: Any) -> str:
    """16 hex digits over canonical JSON; requests and their LoRAs count as their fields."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=vars)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

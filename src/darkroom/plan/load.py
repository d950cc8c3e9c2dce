"""Composes, checks and resolves an experiment of conf/.

Imported each time Snakemake parses the Snakefile: no torch, and nothing slow.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from darkroom.errors import ConfigError, ProvenanceError, Reading, UnfitLoraError, collected, raise_together
from darkroom.plan.combinations import Combinations
from darkroom.plan.conf.compose import Conf
from darkroom.plan.conf.options import Options
from darkroom.plan.conf.reader import read
from darkroom.plan.conf.schema import AXIS_GROUPS, Machine, Output
from darkroom.plan.experiment import Experiment
from darkroom.plan.requests.matrix import read_matrix
from darkroom.plan.scoring.asked import read_scorers_of
from darkroom.plan.weights.adapter_path import Fetch
from darkroom.plan.weights.hub import look_in
from darkroom.plan.weights.lora_axis import read_lora_axis
from darkroom.plan.weights.loras import LoraCheck
from darkroom.provenance.claim import try_identity
from darkroom.provenance.identity import name_identity
from darkroom.thresholds import ModelThresholds, Thresholds


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
    combinations = Combinations(name, source, matrix, options, LoraCheck(fetch_lora))
    resolved = yield from combinations.resolved()
    yield from combinations.idle_strengths(conf.origin(""))
    yield from combinations.lora_faults()
    yield from combinations.missing_weights(resolved)
    thresholds = yield from _thresholds(conf, combinations.models)
    requests = [request for combination in resolved for request in combination.requests]
    scorers = yield from read_scorers_of(conf, requests)
    # Without an output there was an error, and nobody gets to see this.
    return Experiment(
        name, source, output or Output(), resolved, combinations.models, thresholds, scorers, tuple(loras.notes)
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

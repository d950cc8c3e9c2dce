"""What a run would take before it is begun: the command plan, and the question that a run asks which takes much."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from darkroom.cli import RENDER, Commands, agreed, described
from darkroom.cli.completing import completes, experiments, overrides
from darkroom.errors import ConfigError, DarkroomError
from darkroom.store import RESULTS, STORE, check_writable

if TYPE_CHECKING:
    from darkroom.plan.estimate.estimate import Estimate
    from darkroom.plan.experiment import Experiment


def add_to(commands: Commands) -> None:
    plan = commands.add(
        RENDER,
        "plan",
        _plan,
        "Say what rendering an experiment would take: pictures, time, downloads, memory, disk, problems.",
        "plan demo model.numerics=fast",
    )
    completes(plan.add_argument("experiment", help="its name"), experiments)
    words = plan.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="what to have otherwise than conf/ says"
    )
    completes(words, overrides)
    plan.add_argument("--name", metavar="Y", help="as a variant beside the first, in results/Y")
    plan.add_argument("--profile", metavar="P", help="of a cluster, such as slurm: also its jobs, and what decides")
    plan.add_argument("--jobs", type=int, metavar="N", help="that run at once, if fewer than the profile says")


def _plan(options: argparse.Namespace) -> int:
    from darkroom.intake.yaml_file import read_yaml
    from darkroom.machine.hardware import card_here
    from darkroom.plan.estimate.look import estimate_of
    from darkroom.plan.estimate.told import told
    from darkroom.plan.shards.told import told as shards_told
    from darkroom.terminal.profile import profile_file

    if options.jobs is not None and options.profile is None:
        raise ConfigError("--jobs: expected --profile P beside it, whose jobs they are")
    for folder in (RESULTS / STORE, RESULTS / (options.name or options.experiment)):
        check_writable(folder)
    # 1. What is asked for; an experiment that cannot be rendered at all ends here, with every problem
    experiment, problems = _load(options.experiment, options.overrides, options.name)
    # 2. What it takes
    estimate = estimate_of(experiment, RESULTS, card=card_here())
    profile = None if options.profile is None else read_yaml(profile_file(options.profile))
    cluster = [] if profile is None else shards_told(experiment, profile, options.jobs)
    memory = list(_memory(experiment, estimate, elsewhere=profile is not None))
    print(told(estimate, memory, problems, experiment.notes, cluster), end="")
    return int(bool(problems))


def may_begin(words: Sequence[str], variant: str | None) -> bool:
    """Whether a run is to begin: asked once on a terminal where it takes much. `words`: those after `darkroom run`."""
    from darkroom.errors import value_of
    from darkroom.machine.hardware import card_here
    from darkroom.plan.estimate.look import estimate_of
    from darkroom.plan.estimate.told import question, told
    from darkroom.terminal.line import read_words

    wish = value_of(read_words(words))
    if wish.experiment is None or wish.is_dry_run or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return True
    try:
        experiment, _ = _load(wish.experiment, list(wish.overrides), variant)
    except DarkroomError:  # the run itself says so
        return True
    estimate = estimate_of(experiment, RESULTS, card=card_here())
    if not estimate.is_much:
        return True
    print(told(estimate, notes=experiment.notes), end="")
    return agreed(question(estimate))


def _load(name: str, words: list[str], variant: str | None) -> tuple[Experiment, list[DarkroomError]]:
    """The experiment, and the LoRAs that cannot be applied in it; all problems together where there is another one."""
    from darkroom.errors import value_of
    from darkroom.plan.arguments import read_arguments
    from darkroom.plan.conf.folders import CONF_DIRS
    from darkroom.plan.load import load_experiment

    asked = {"experiment": name, "set": words, **({} if variant is None else {"name": variant})}
    value_of(read_arguments(asked, None, described()))  # a name that a run refuses
    try:
        return load_experiment(name, CONF_DIRS, words, variant=variant), []
    except DarkroomError as error:
        unfit: list[ConfigError] = []
        try:
            return load_experiment(name, CONF_DIRS, words, variant=variant, tell_unfit=unfit.append), [*unfit]
        except DarkroomError:
            raise error from None


def _memory(experiment: Experiment, estimate: Estimate, *, elsewhere: bool) -> Iterator[str]:
    """A sentence for each model, of its largest picture; torch, which says what this machine has, takes seconds.

    `elsewhere`: another machine is going to render, of which nobody here knows what it has.
    """
    from darkroom.plan.weights.catalogue import catalogue_id

    for name, model in experiment.models.items() if estimate.to_render else ():
        known_as = catalogue_id(model.checkpoint)
        if known_as is None:
            yield f"{name}: known once its files are read"
            continue
        from darkroom.render.device.mode import Workload
        from darkroom.render.memory_table import mode_here, modes_of

        pictures = [Workload.of(r) for c in experiment.combinations if c.names.model == name for r in c.requests]
        largest = max(pictures, key=lambda picture: picture.width * picture.height)
        largest = replace(largest, merges=any(picture.merges for picture in pictures))
        said = modes_of if elsewhere else mode_here
        yield f"{name}: {said(known_as, model.quantize.transformer, largest)}"

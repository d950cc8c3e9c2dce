"""Writes what conf/ asks for into results/<experiment>/ as a run begins: the files that its jobs start from."""

from collections.abc import Sequence
from dataclasses import asdict

from darkroom.plan.done_so_far import DoneSoFar
from darkroom.plan.experiment import Combination, Experiment
from darkroom.planned import Contained, Contents, PlannedCombination
from darkroom.scoring.scorer import write_scorers
from darkroom.store import ExperimentFolder
from darkroom.thresholds import write_thresholds


def write_drafts(experiment: Experiment, done: DoneSoFar, folder: ExperimentFolder) -> None:
    """Models, a draft for each combination, the table of contents, thresholds, scorers."""
    for model in experiment.models:
        experiment.planned_model(model).write(folder.model(model))
    for combination in experiment.combinations:
        _write_draft(combination, experiment, done, folder)
    write_contents(experiment, [done.of(c).is_complete for c in experiment.combinations], folder, fresh=done.fresh)
    write_thresholds(folder.thresholds, experiment.thresholds)
    write_scorers(folder.scorers, experiment.scorers)


def write_contents(
    experiment: Experiment, is_complete: Sequence[bool], folder: ExperimentFolder, *, fresh: bool
) -> None:
    """The table of contents: how many images each combination has, and how many of them are done."""
    combinations = tuple(
        Contained(each.names, len(each.requests), len(each.requests) if complete else 0)
        for each, complete in zip(experiment.combinations, is_complete, strict=True)
    )
    contents = Contents(experiment=experiment.name, source=experiment.source, combinations=combinations, fresh=fresh)
    contents.write(folder.contents)


def _write_draft(combination: Combination, experiment: Experiment, done: DoneSoFar, folder: ExperimentFolder) -> None:
    """A combination as conf/ gives it, its files unread: the plan job completes its requests with their digests."""
    state = done.of(combination)
    PlannedCombination(
        asked=state.asked,
        lost=state.lost,
        output=asdict(experiment.output),
        lora_merge=experiment.models[combination.names.model].lora_merge,
        requests=combination.requests,
    ).write(folder.draft(combination.names), durable=False)  # each run writes it again

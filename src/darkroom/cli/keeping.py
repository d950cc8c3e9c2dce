"""The commands that decide what renders are compared with: accept, floor."""

import argparse
import getpass
import platform
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime

from darkroom.cli import PREVIEWS, Commands, add_offload, agreed
from darkroom.cli.completing import completes, experiments
from darkroom.errors import ConfigError, StoreError
from darkroom.store import RESULTS, ExperimentFolder


def add_to(commands: Commands) -> None:
    accept = commands.add(
        PREVIEWS,
        "accept",
        _accept,
        "Take renders as an experiment's previews: what regress compares with.",
        "accept my_job --verdict drifted",
    )
    completes(accept.add_argument("experiment", help="its name"), experiments)
    accept.add_argument("--verdict", action="append", default=[], metavar="TEXT", help="those with it, such as drifted")
    accept.add_argument("--id", action="append", default=[], metavar="PREFIX", help="the one with this request_id")
    accept.add_argument("--yes", action="store_true", help="do not ask")

    floor = commands.add(
        PREVIEWS,
        "floor",
        _floor,
        "Learn how far another machine may land: writes conf/compare/<model>.yaml.",
        "floor my_job --pictures 4",
    )
    completes(floor.add_argument("experiment", help="its name"), experiments)
    floor.add_argument("--repeats", type=_at_least(1), default=4, help="nudged repeats of each picture")
    floor.add_argument("--pictures", type=_at_least(1), default=8, help="how many, spread over the experiment")
    floor.add_argument("--margin", type=_margin, default=1.5, help="what the worst difference is multiplied by")
    floor.add_argument("--force", action="store_true", help="overwrite a file that was edited")
    add_offload(floor)


def _accept(options: argparse.Namespace) -> int:
    from darkroom.filesystem.lock import locked
    from darkroom.previews import previews_file
    from darkroom.review.accept import apply, plan_acceptance

    # 1. What would change, while no Snakemake changes it
    folder = _rendered(options.experiment)
    with closing(locked(folder.lock)):
        compared = folder.comparison if folder.comparison.is_file() else None
        file = previews_file(options.experiment)
        acceptance = plan_acceptance(
            folder.manifest, file, compared, options.experiment, verdicts=options.verdict, ids=options.id
        )
        print(acceptance.text())
        # 2. Consent
        if acceptance.is_empty:
            return 0
        if not (options.yes or agreed("Accept?")):
            print("nothing was changed")
            return 1
        # 3. The change
        apply(acceptance, f"{getpass.getuser()}@{platform.node()}", datetime.now(UTC).isoformat(timespec="seconds"))
    print(f"{file}: written; the target regress compares with it")
    return 0


def _rendered(experiment: str) -> ExperimentFolder:
    """The folder of an experiment that has a manifest."""
    from darkroom.names import name_fault

    if fault := name_fault(experiment):
        raise ConfigError(f"experiment: {fault}")
    folder = ExperimentFolder(RESULTS / experiment)
    if not folder.manifest.is_file():
        raise StoreError(f"{folder.manifest}: missing: render the experiment first")
    return folder


def _floor(options: argparse.Namespace) -> None:
    from darkroom.plan.trials.repeats import write_sheets, write_thresholds_to_conf
    from darkroom.render.trials import render_afresh
    from darkroom.review.regress.learned_floor import learn, told

    _rendered(options.experiment)
    sheets = write_sheets(options.experiment, RESULTS, pictures=options.pictures, repeats=options.repeats)
    learned = {
        model: learn(render_afresh(sheet, RESULTS, options.offload), margin=options.margin)
        for model, sheet in sheets.items()
    }
    print(*(told(model, thresholds) for model, thresholds in learned.items()), sep="\n")
    print(*write_thresholds_to_conf(learned, options.experiment, force=options.force), sep="\n")


def _at_least(lowest: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < lowest:
            raise argparse.ArgumentTypeError(f"expected a whole number from {lowest} on, got {text}")
        return int(text)

    return read


def _margin(text: str) -> float:
    try:
        margin = float(text)
    except ValueError:
        margin = 0.0
    if not 1 <= margin <= 100:
        raise argparse.ArgumentTypeError(f"expected a number from 1 to 100, got {text}")
    return margin

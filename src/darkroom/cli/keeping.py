"""The commands that decide what renders are compared with: accept, floor."""

import argparse
import getpass
import platform
from contextlib import closing
from datetime import UTC, datetime

from darkroom.cli import PREVIEWS, Commands, add_offload, agreed, described
from darkroom.cli.completing import completes, experiments
from darkroom.errors import StoreError
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
        "Say how far rounding alone can take each picture: renders the nudged repeats that are lacking.",
        "floor my_job",
    )
    completes(floor.add_argument("experiment", help="its name"), experiments)
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
    from darkroom.review.inventory.pages import rendered_folder

    folder = rendered_folder(experiment, RESULTS, described())
    if not folder.manifest.is_file():
        raise StoreError(f"{folder.manifest}: missing: render the experiment first")
    return folder


def _floor(options: argparse.Namespace) -> None:
    from darkroom.filesystem.lock import locked
    from darkroom.planned import Contents
    from darkroom.previews import stored_previews
    from darkroom.render.job import SheetJob
    from darkroom.render.worker.client import render_sheet
    from darkroom.review.repeats import floors_told, learn_floors, write_sheets_ahead
    from darkroom.trials import sheet_of

    folder = _rendered(options.experiment)
    with closing(locked(folder.lock)):
        # 1. Which pictures have none yet
        listed = stored_previews(options.experiment, Contents.read(folder.contents).source)
        previews = listed if listed.is_file() else None
        # 2. Their repeats
        for model in write_sheets_ahead(folder, previews):
            render_sheet(SheetJob.here(sheet_of(folder.root, model), options.offload), RESULTS)
        # 3. What they tell
        floors = learn_floors(folder, previews, ahead=True)
    print(floors_told(folder, floors), end="")

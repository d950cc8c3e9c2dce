"""Opens the experiment that `--config` names: composed, checked, and told to whoever began the run.

Must stay quick to import, since Snakemake parses the Snakefile on every call.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from darkroom.errors import ConfigError, DarkroomError, value_of
from darkroom.filesystem.shared import check_folders
from darkroom.plan.arguments import read_arguments
from darkroom.plan.conf.folders import existing_folders
from darkroom.plan.load import load_experiment
from darkroom.plan.weights.hub import fetch
from darkroom.plan.workflow import Workflow, stop
from darkroom.store import RESULTS, STORE, check_writable
from darkroom.telling.messages import say, tell


def open_workflow(
    config: Mapping[str, Any],
    conf_dirs: Sequence[Path],
    command_line: Sequence[str] | None = None,
    *,
    is_dry_run: bool,
) -> Workflow:
    """Compose and check the experiment that --config names; on any error print it and end Snakemake, status 1.

    `command_line`: what Snakemake was started with; None in a job of its, which is told less. A dry run ends at a LoRA
    that cannot be applied; another says so and goes on, since only its own combinations fail.
    """
    try:
        folders = existing_folders(conf_dirs)
        asked = value_of(read_arguments(config, command_line, folders.names("experiment")))
        for folder in (RESULTS / STORE, RESULTS / asked.name):
            check_writable(folder)
        if command_line is not None:
            check_folders(RESULTS / STORE)
            check_folders(RESULTS / asked.name)
            check_folders(Path(".snakemake"), deep=False)
        experiment = load_experiment(
            asked.experiment,
            conf_dirs,
            asked.overrides,
            variant=asked.name,
            tell_unfit=None if is_dry_run else _tell_unfit,
            fetch_lora=None if is_dry_run else _fetch_lora,
        )
        workflow = Workflow(experiment, fresh=asked.fresh)
        if command_line is not None:
            if not is_dry_run:
                workflow.put_right()
            tell(workflow.planned())
            for note in experiment.notes:
                say(note)
        return workflow
    except DarkroomError as error:
        stop(error)


def _fetch_lora(repo: str, revision: str | None, file: str) -> Path:
    say(f"{repo}/{file} is not here yet: it is downloaded from the hub")
    return fetch(repo, revision, [file]) / file


def _tell_unfit(error: ConfigError) -> None:
    say(str(error))
    say("so its pictures fail; all others are rendered")

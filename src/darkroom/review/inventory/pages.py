"""Which page an experiment has, or why there is none yet, with the name that a mistyped one is closest to."""

from collections.abc import Iterable
from pathlib import Path

from darkroom.display import closest
from darkroom.errors import ConfigError, StoreError
from darkroom.names import name_fault
from darkroom.review.inventory.experiments import experiment_folders
from darkroom.store import ExperimentFolder


def page_of(experiment: str, results: Path, described: Iterable[str], *, regress: bool = False) -> Path:
    """The contact sheet, or the comparison with previews. StoreError with what to run where it is not there yet.

    `described`: the experiments of conf/. ConfigError for a name that neither has.
    """
    if fault := name_fault(experiment):
        raise ConfigError(f"experiment: {fault}")
    folder, command = ExperimentFolder(results / experiment), "regress" if regress else "run"
    page = folder.root / "regress.html" if regress else folder.report
    if page.is_file():
        return page
    rendered_folder(experiment, results, described, command)
    raise StoreError(f"{experiment}: has no {page.name} yet: `darkroom {command} {experiment}` makes it")


def rendered_folder(experiment: str, results: Path, described: Iterable[str], command: str = "run") -> ExperimentFolder:
    """Of an experiment in which a run was begun; errors as for `page_of`."""
    if fault := name_fault(experiment):
        raise ConfigError(f"experiment: {fault}")
    rendered = [each.root.name for each in experiment_folders(results)]
    if experiment not in (known := sorted({*rendered, *described})):
        close = closest(experiment, known)
        meant = f"did you mean {close}? " if close else ""
        raise ConfigError(f"there is no experiment {experiment}; {meant}`darkroom list` has all")
    if experiment not in rendered:
        raise StoreError(f"{experiment}: was never rendered: `darkroom {command} {experiment}` makes it")
    return ExperimentFolder(results / experiment)

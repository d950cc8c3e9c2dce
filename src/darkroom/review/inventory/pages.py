"""Which page an experiment has, or why there is none yet, with the names that are close to a mistyped one."""

import difflib
from collections.abc import Iterable
from pathlib import Path

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
    rendered = [each.root.name for each in experiment_folders(results)]
    if experiment not in (known := sorted({*rendered, *described})):
        raise ConfigError(f"there is no experiment {experiment}; {_close(experiment, known)}`darkroom list` has all")
    what = "was never rendered" if experiment not in rendered else f"has no {page.name} yet"
    raise StoreError(f"{experiment}: {what}: `darkroom {command} {experiment}` makes it")


def _close(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, known, n=3)
    return f"did you mean {' or '.join(close)}? " if close else ""

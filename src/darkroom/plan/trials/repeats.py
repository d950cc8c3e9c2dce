"""`darkroom floor`: the sheets of pictures that are rendered and repeated, and conf/compare/ from what was learned."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from darkroom.errors import StoreError
from darkroom.files.yaml_text import yaml_text
from darkroom.names import Names
from darkroom.plan.conf.owned_files import CONF, ConfFile, Writing, conf_file, write_conf_files
from darkroom.planned import Contents, PlannedCombination
from darkroom.previews import refuse_fast
from darkroom.record import read_records
from darkroom.request import Request
from darkroom.store import ExperimentFolder
from darkroom.thresholds import Thresholds
from darkroom.trials import FLOOR, Trial, TrialSheet


def write_sheets(experiment: str, results: Path, *, pictures: int, repeats: int) -> dict[str, Path]:
    """By model, the sheet of at most `pictures` of the experiment's, spread over its combinations.

    Each goes to a folder of its own, results/<experiment>/floor/<model>/, emptied first: nothing that was rendered
    before counts. StoreError where the experiment was not rendered yet, or fast.
    """
    folder = ExperimentFolder(results / experiment)
    combinations = [each.names for each in Contents.read(folder.contents).combinations]
    models = dict.fromkeys(names.model for names in combinations)
    planned = {m: _sheet(folder, [names for names in combinations if names.model == m], pictures) for m in models}
    sheets = {}
    for model, sheet in planned.items():
        root = folder.root / FLOOR / model
        _empty(root)
        sheets[model] = root / "trials.json"
        replace(sheet, repeats=repeats).write(sheets[model])
    return sheets


def write_thresholds_to_conf(
    thresholds: Mapping[str, Thresholds], experiment: str, *, force: bool = False
) -> list[str]:
    """conf/compare/<model>.yaml for each model; a line for each says what was done.

    Problems or ConfigError where somebody has edited such a file, unless `force`.
    """
    files = [thresholds_file(model, each, experiment) for model, each in thresholds.items()]
    return write_conf_files(files, Writing(force=force))


def thresholds_file(model: str, thresholds: Thresholds, experiment: str) -> ConfFile:
    """The file of conf/ with what was learned of one model."""
    body = yaml_text(asdict(thresholds))
    return conf_file(CONF / "compare" / f"{model}.yaml", f"darkroom floor {experiment}", body, how="Written by")


def spread(count: int, wanted: int) -> list[int]:
    """Positions, evenly over 0 … count - 1, the first and the last among them.

    >>> spread(10, 4)
    [0, 3, 6, 9]
    """
    if wanted >= count:
        return list(range(count))
    return [position * (count - 1) // max(1, wanted - 1) for position in range(wanted)]


def _empty(folder: Path) -> None:
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise StoreError(f"{folder}: cannot be emptied: {error.strerror or error}") from error


def _sheet(folder: ExperimentFolder, combinations: Sequence[Names], pictures: int) -> TrialSheet:
    distinct: dict[str, tuple[str, Request]] = {}
    threads = 1
    for names in combinations:
        records, _ = read_records(folder.records(names))
        threads = records[0].environment.threads
        for request in PlannedCombination.read(folder.requests(names)).requests:
            label = f"{names.lora} {names.prompts} {request.title.image_name}"
            distinct.setdefault(request.request_id, (label, request))
    refuse_fast({request.title.image_name: request.base.numerics for _, request in distinct.values()})
    listed = list(distinct.values())
    chosen = [listed[position] for position in spread(len(listed), pictures)]
    return TrialSheet(
        name=f"floor {combinations[0].model}",
        checkpoint=str(folder.checkpoint(combinations[0].model)),
        image_format="png",
        quality=100,
        threads=threads,
        trials=tuple(Trial(label, request) for label, request in chosen),
    )

"""A job of ai-toolkit, imported: what is written, and why what cannot be reproduced cannot."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.examples.job_folder import (
    ADAPTER,
    KLEIN,
    job_config,
    write_job,
)
from tests.places import REPOSITORY

from darkroom.errors import DarkroomError
from darkroom.intake.aitk.base_model import Copies
from darkroom.intake.aitk.job import plan_job
from darkroom.intake.imported_job import ImportedJob
from darkroom.intake.options import ImportOptions
from darkroom.plan.conf.owned_files import Writing
from darkroom.plan.load import load_experiment
from darkroom.previews import Preview
from darkroom.request.picture_key import PictureKey

BUILT_IN = REPOSITORY / "conf"
JOB = Path("output/my_job")
GREY = np.full((64, 64, 3), 128, np.uint8)
ENCODER = "qwen3"
COPIES = Copies(text_encoder=ENCODER)
SMALL = np.full((32, 48, 3), 128, np.uint8)


def pictures(*steps: int, count: int = 2) -> dict[tuple[int, int], Any]:
    return {(step, index): GREY for step in steps for index in range(count)}


def a_job(steps: tuple[int, ...] = (0, 250, 500), kept: tuple[int, ...] = (250, 500), **sections: Any) -> Path:
    return write_job(JOB, job_config(**sections), pictures(*steps), dict.fromkeys(kept, ADAPTER), final=500)


def imported(
    path: Path = JOB,
    copies: Copies = COPIES,
    config_unchanged: bool = False,
    name: str | None = None,
    roots: tuple[Path, ...] = (KLEIN,),
) -> ImportedJob:
    return plan_job(path, ImportOptions(name=name, roots=roots), copies=copies, config_unchanged=config_unchanged)


def written(job: ImportedJob, path: str) -> Any:
    return yaml.safe_load(text_of(job, path))


def text_of(job: ImportedJob, path: str) -> str:
    return next(file.text for file in job.files if str(file.path) == f"conf/{path}.yaml")


def error(path: Path = JOB, **changes: Any) -> str:
    with pytest.raises(DarkroomError) as caught:
        imported(path, **changes)
    return str(caught.value)


def reasons(job: ImportedJob) -> dict[tuple[str, int], str | None]:
    """By LoRA and index."""
    return {(row.lora.removeprefix("my_job_000000"), row.index): row.reason for row in job.previews}


def check_against_requests(job: ImportedJob, conf: tuple[Path, ...] = (Path("conf"), BUILT_IN)) -> int:
    """Every request has a row; of those that can be reproduced, each fact of the trainer is one of the request."""
    job.write(Writing())
    experiment = load_experiment(job.name, conf, [])
    rows: dict[object, Preview] = {row.key: row for row in job.previews}
    for combination in experiment.combinations:
        for request in combination.requests:
            values = request.row()
            row = rows[PictureKey.of(request.changed(axes=()))]
            if row.reason is None:
                assert request.remarks.not_comparable == ()
                assert facts(row.then) == facts({key: values[key] for key in row.then})
    return experiment.images


def rendered(job: ImportedJob) -> list[str]:
    """The values of the axis lora that the job's experiment renders."""
    job.write(Writing())
    combinations = load_experiment(job.name, [Path("conf"), BUILT_IN], []).combinations
    return list(dict.fromkeys(combination.names.lora for combination in combinations))


def facts(then: Mapping[str, Any]) -> dict[str, Any]:
    """Without digests, which requests have later than here, and without the steps that headers say."""
    known = ("path", "network_multiplier")
    bare = {
        key: [{name: value for name, value in each.items() if name in known} for each in then[key]]
        for key in ("loras", "ctrl_images")
    }
    return {**then, **bare}

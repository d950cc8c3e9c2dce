"""Jobs of several versions of the trainer: computed as that version did, and said where it is not known how."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.examples.job_folder import ADAPTER, KLEIN, job_config, write_checkpoint, write_job

from darkroom.intake.aitk.base_model import Copies
from darkroom.intake.aitk.job import plan_job
from darkroom.intake.imported_job import ImportedJob
from darkroom.intake.options import ImportOptions

JOB = Path("output/my_job")
GREY = np.full((64, 64, 3), 128, np.uint8)
QUANTIZED = {"quantize": True, "quantize_te": True, "qtype": "qint8", "qtype_te": "qfloat8"}
CAST = "cast the whole text encoder to the job's dtype first, and quantised it as model.qtype says, not qtype_te"


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder with the base model that jobs name as `klein`."""
    monkeypatch.chdir(tmp_path)
    Path("klein").symlink_to(KLEIN)
    Path("qwen3").symlink_to(KLEIN / "qwen3")


def a_job(trainer: str | None, *, later: str | None = None, **model: Any) -> ImportedJob:
    """A job with samples of steps 0, 250 and 500. `later`: the version that made the last checkpoint."""
    pictures = {(step, 0): GREY for step in (0, 250, 500)}
    config = job_config(model=model, sample={"samples": [{"prompt": "a cat"}]})
    write_job(JOB, config, pictures, dict.fromkeys((250, 500), ADAPTER), trainer=trainer)
    if later:
        write_checkpoint(JOB / "my_job_000000500.safetensors", ADAPTER, 500, later)
    return plan_job(JOB, ImportOptions(roots=(KLEIN,)), copies=Copies(text_encoder="qwen3"), config_unchanged=True)


def model_of(job: ImportedJob) -> Any:
    return yaml.safe_load(next(file.text for file in job.files if file.path == Path("conf/model/my_job.yaml")))


def test_a_job_is_computed_as_the_version_that_made_its_checkpoints_did() -> None:
    job = a_job("0.8.1", **QUANTIZED)
    assert job.heading.endswith(", trained by ai-toolkit 0.8.1")
    assert job.notes == (f"computed as then: ai-toolkit 0.8.1 {CAST}",)
    assert model_of(job)["text_encoder_cast"] is True
    assert model_of(job)["quantize"] == {"transformer": "qint8", "text_encoder": "qint8"}
    assert f"# As trained: ai-toolkit 0.8.1 {CAST}" in next(f.text for f in job.files if f.path.parent.name == "model")
    assert {(row.trainer, row.reason, row.note) for row in job.previews} == {("ai-toolkit 0.8.1", None, None)}
    assert {row.then["quantize_text_encoder"] for row in job.previews} == {"qint8"}


def test_the_same_job_of_a_later_version_is_another_model() -> None:
    job = a_job("0.9.0", **QUANTIZED)
    assert (job.notes, model_of(job).get("text_encoder_cast")) == ((), None)
    assert model_of(job)["quantize"] == {"transformer": "qint8", "text_encoder": "qfloat8"}


def test_pictures_of_a_version_that_computed_otherwise_than_the_last_one_are_not_reproducible() -> None:
    job = a_job("0.8.1", later="0.9.0", **QUANTIZED)
    assert job.heading.endswith("trained by ai-toolkit 0.8.1 (step 250), ai-toolkit 0.9.0 (step 500)")
    assert job.notes == ()
    otherwise = f"ai-toolkit 0.8.1 {CAST}; conf/ follows ai-toolkit 0.9.0, which computes otherwise"
    assert [(row.step, row.reason) for row in job.previews] == [(0, otherwise), (250, otherwise), (500, None)]


def test_a_version_newer_than_the_one_that_was_checked_is_said_to_be_so() -> None:
    job = a_job("0.13.19")
    newer = "ai-toolkit 0.13.19 is newer than 0.12.26, which was checked: what it does otherwise is not known"
    assert job.heading.endswith("trained by ai-toolkit 0.13.19 (newer than 0.12.26, which was checked)")
    assert job.notes == (newer,)
    assert {(row.reason, row.note) for row in job.previews} == {(None, newer)}


def test_an_unknown_version_is_unknown_and_a_note_where_it_makes_a_difference() -> None:
    job = a_job(None, **QUANTIZED)
    assert job.heading.endswith("trained by ai-toolkit of unknown version")
    (note,) = job.notes
    assert note.startswith(
        "which version of ai-toolkit previewed it is not known, and it is computed as 0.12.26 does; "
    )
    assert {(row.trainer, row.note) for row in job.previews} == {(None, note)}


def test_where_it_makes_none_an_unknown_version_is_named_alone() -> None:
    assert (job := a_job(None)).heading.endswith("trained by ai-toolkit of unknown version")
    assert (job.notes, {row.note for row in job.previews}) == ((), {None})

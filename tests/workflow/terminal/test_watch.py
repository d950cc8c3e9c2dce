"""`darkroom watch`, as a person types it beside a training run; and when what failed is tried again."""

import subprocess
import sys

from tests.examples.job_folder import ADAPTER, DATA, KLEIN, job_config, write_checkpoint, write_job
from tests.machine.waiting import PATIENCE
from tests.workflow.project import Project

from darkroom.cli.watching import Backoff


def darkroom(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    options = ["--text-encoder", str(KLEIN / "qwen3"), "--root", str(DATA)]
    command = [sys.executable, "-m", "darkroom", *arguments, *options]
    return subprocess.run(command, cwd=project.folder, capture_output=True, text=True, timeout=PATIENCE)


def test_a_checkpoint_that_came_since_the_import_is_rendered(project: Project) -> None:
    short = {"width": 64, "height": 64, "sample_steps": 1, "samples": [{"prompt": "a cat"}]}
    config = job_config(model={"name_or_path": str(KLEIN)}, sample=short)
    job = write_job(project.folder / "output/my_job", config, checkpoints={250: ADAPTER})
    imported = darkroom(project, "import", "aitk", "output/my_job")
    assert imported.returncode == 0, imported.stderr
    write_checkpoint(job / "my_job_000000500.safetensors", ADAPTER, 500, ss_base_model_version="flux2_klein_4b")

    watched = darkroom(project, "watch", "output/my_job", "--once")

    assert watched.returncode == 0, watched.stderr
    assert {row["lora"] for row in project.rows("my_job")} == {"none", "my_job_000000250", "my_job_000000500"}
    assert "3 rendered, 0 kept" in watched.stdout
    assert not project.has_live_page("my_job")


def test_a_folder_that_there_is_not_is_told(project: Project) -> None:
    watched = darkroom(project, "watch", "output/none")
    assert (watched.returncode, watched.stdout) == (1, "")
    assert watched.stderr == "darkroom: output/none: no such folder; expected that of a training run\n"


def test_what_failed_is_tried_again_after_pauses_that_grow_to_32_looks() -> None:
    backoff = Backoff()
    tried = [look for look in range(1, 128) if backoff.is_due(arrived=False, failed=True)]
    assert tried == [1, 3, 7, 15, 31, 63, 95, 127]


def test_what_arrives_is_rendered_at_once_and_the_pauses_are_short_again() -> None:
    backoff = Backoff()
    failing = [backoff.is_due(arrived=False, failed=True) for _ in range(5)]
    assert failing == [True, False, True, False, False]
    assert backoff.is_due(arrived=True, failed=True)
    assert backoff.is_due(arrived=False, failed=True)


def test_what_went_well_is_left_alone() -> None:
    backoff = Backoff()
    assert not any(backoff.is_due(arrived=False, failed=False) for _ in range(100))

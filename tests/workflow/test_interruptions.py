"""Workers and whole runs that are killed: nothing is lost, nothing is left."""

import os
import signal

import psutil
from PIL import Image
from tests.workflow.project import Project, wait_for


def _worker(project: Project) -> psutil.Process:
    found: list[psutil.Process] = wait_for(project.workers, 60, "a worker")
    return found[0]


def _some_pictures(project: Project, count: int) -> None:
    wait_for(lambda: len(project.stored()) >= count, 60, f"{count} finished pictures")


def test_a_killed_worker_fails_its_job_and_the_retry_finishes(project: Project) -> None:
    run = project.start()
    worker = _worker(project)
    _some_pictures(project, 2)
    worker.kill()

    assert run.wait(timeout=120) == 0
    output = (project.folder / "snakemake.out").read_text()
    assert "the render worker ended before it had finished" in output
    assert "Traceback" not in output
    rows = project.rows()
    assert len(rows) == 12
    assert worker.pid not in {row["worker_pid"] for row in rows if not row["reused"] and row["lora"] != rows[0]["lora"]}


def test_sigkill_of_everything_then_resume_equals_an_undisturbed_run(project: Project, tmp_path_factory) -> None:
    run = project.start()
    worker = _worker(project)
    _some_pictures(project, 3)
    os.killpg(run.pid, signal.SIGKILL)
    worker.kill()
    run.wait()
    finished = {path.name for path in project.stored()}

    resumed = project.snakemake("--rerun-incomplete")

    assert resumed.returncode == 0, resumed.stderr
    rows = project.rows()
    reused = {f"{row['request_id']}.png" for row in rows if row["reused"]}
    assert finished <= reused, "what was finished before is not rendered again"
    undisturbed = Project(tmp_path_factory.mktemp("undisturbed") / "project")
    for name in ("experiment/small", "prompts/cats", "prompts/dogs"):
        undisturbed.write(f"conf/{name}.yaml", (project.folder / f"conf/{name}.yaml").read_text())
    (undisturbed.folder / "results/store").mkdir(parents=True)
    (undisturbed.folder / "results/store/demo").symlink_to((project.folder / "results/store/demo").resolve())
    assert undisturbed.snakemake().returncode == 0
    assert project.pictures() == undisturbed.pictures()
    for row in rows:
        Image.open(project.folder / row["image_path"]).load()


def test_no_worker_outlives_a_killed_snakemake(project: Project) -> None:
    run = project.start()
    _worker(project)
    _some_pictures(project, 1)
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    wait_for(lambda: not project.workers(), 5, "the worker's end")


def test_ctrl_c_ends_run_and_worker_and_keeps_finished_pictures(project: Project) -> None:
    run = project.start()
    _worker(project)
    _some_pictures(project, 1)
    os.killpg(run.pid, signal.SIGINT)  # a terminal signals the whole foreground group
    assert run.wait(timeout=60) != 0
    wait_for(lambda: not project.workers(), 5, "the worker's end")
    assert project.stored()
    assert "Traceback" not in (project.folder / "snakemake.out").read_text()


def test_a_finished_run_leaves_no_worker(project: Project) -> None:
    assert project.snakemake().returncode == 0
    wait_for(lambda: not project.workers(), 5, "the worker's end")

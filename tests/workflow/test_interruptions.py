"""Runs that are killed, files that are damaged, clocks that are moved: nothing is lost, nothing is left."""

import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
from PIL import Image
from tests.machine.waiting import PATIENCE, wait_for
from tests.workflow.project import CATS, Project


def _worker(project: Project, run: subprocess.Popen[bytes]) -> psutil.Process:
    found: list[psutil.Process] = wait_for(project.workers, "a worker", run)
    return found[0]


def _some_pictures(project: Project, run: subprocess.Popen[bytes], count: int) -> None:
    wait_for(lambda: len(project.stored()) >= count, f"{count} finished pictures", run)


def _no_worker_is_left(project: Project) -> None:
    wait_for(lambda: not project.workers(), "the worker's end")


def test_a_killed_worker_fails_its_job_and_the_retry_finishes(project: Project) -> None:
    project.write("conf/prompts/cats.yaml", CATS.replace("sample_steps: 2", "sample_steps: 30"))  # to be killed within
    run = project.start("--config", "experiment=small", 'set=["matrix.prompts=[cats]"]')
    worker = _worker(project, run)
    _some_pictures(project, run, 1)  # of the four in the first job
    worker.kill()

    assert run.wait(PATIENCE) == 0
    output = (project.folder / "snakemake.out").read_text()
    assert "the render worker ended before it had finished" in output
    assert "Traceback" not in output
    rows = project.rows()
    assert len(rows) == 8
    by_worker = Counter(row["worker_pid"] for row in rows)
    assert by_worker[worker.pid] >= 1, "what the killed worker had finished is kept, with what it took"
    assert (len(by_worker), by_worker[None]) == (2, 0)
    assert len({row["base_load_id"] for row in rows}) == 2


def test_sigkill_of_everything_then_resume_equals_an_undisturbed_run(project: Project, finished_once: Project) -> None:
    run = project.start()
    worker = _worker(project, run)
    _some_pictures(project, run, 3)
    worker.suspend()  # else it might end with Snakemake before it is killed
    os.killpg(run.pid, signal.SIGKILL)
    worker.kill()
    run.wait()
    finished = {path.name for path in project.stored()}
    assert project.has_live_page(), "it waits for news"

    resumed = project.snakemake("--rerun-incomplete")

    assert resumed.returncode == 0, resumed.stderr
    rows = project.rows()
    of_the_first = {f"{row['request_id']}.png" for row in rows if row["worker_pid"] == worker.pid}
    assert finished <= of_the_first, "what was finished before is not rendered again, and what it took is not lost"
    assert project.pictures() == finished_once.pictures()
    assert not project.has_live_page()
    for row in rows:
        Image.open(project.folder / row["image_path"]).load()


def test_no_worker_outlives_a_killed_snakemake_and_its_page_waits_until_the_next_run_only(finished: Project) -> None:
    before = len(finished.stored())
    run = finished.start("--config", "experiment=small", 'set=["model.schedule=diffusers"]')
    wait_for(finished.has_live_page, "the page of the run at work", run)
    _some_pictures(finished, run, before + 1)
    os.kill(run.pid, signal.SIGKILL)
    # Not reaped yet: under a parent that does not wait, Snakemake stays a zombie for good.
    _no_worker_is_left(finished)
    run.wait()
    assert finished.has_live_page()

    back = finished.snakemake()

    assert back.returncode == 0, back.stderr
    assert not finished.has_live_page(), "though every picture is there"
    settled = finished.snakemake()
    assert "Nothing to be done" in settled.stderr + settled.stdout


def test_an_encode_that_is_told_to_end_has_failed_nothing_and_hides_nothing_that_is_missing(project: Project) -> None:
    run = project.start()
    logs = project.folder / "results/small/logs/worker"
    wait_for(lambda: list(logs.glob("*.log")), "the encode job, which starts the worker", run)
    os.killpg(run.pid, signal.SIGTERM)
    assert run.wait(PATIENCE) != 0
    said = "darkroom: stopped at 0 of 12 pictures; the next run goes on from there; results/small/report.html"
    assert said in (project.folder / "snakemake.out").read_text().splitlines()
    assert {row["status"] for row in project.rows()} == {"not rendered"}
    _no_worker_is_left(project)

    assert project.snakemake().returncode == 0
    assert len(project.rows()) == 12
    settled = project.snakemake()
    assert "Nothing to be done" in settled.stderr + settled.stdout


def test_a_missing_record_comes_back_although_encode_runs_too(finished: Project) -> None:
    (finished.folder / "results/small/records/demo/none/dogs.parquet").unlink()
    assert finished.snakemake("--forcerun", "encode").returncode == 0
    assert (finished.folder / "results/small/records/demo/none/dogs.parquet").is_file()


def test_where_sigint_is_ignored_a_run_goes_on_and_beside_it_is_no_other_of_its_experiment(project: Project) -> None:
    run = project.start(sigint=signal.SIG_IGN)  # as of `nohup snakemake … &` in a script
    worker = _worker(project, run)
    worker.suspend()  # so that the first run cannot end before the second has begun
    second = project.snakemake()
    worker.resume()
    assert second.returncode != 0
    assert "results/small: another Snakemake is at work on this experiment" in second.stderr

    _some_pictures(project, run, 1)
    os.killpg(run.pid, signal.SIGINT)
    assert run.wait(PATIENCE) == 0
    assert len(project.rows()) == 12
    _no_worker_is_left(project)


def test_a_finished_run_leaves_no_worker(finished_once: Project) -> None:
    _no_worker_is_left(finished_once)


def cut(path: Path) -> None:
    """In place, whatever its mode: every link of it is shorter."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 100)


def test_what_was_cut_off_or_deleted_is_there_again_and_no_other_picture_is_rendered(finished: Project) -> None:
    results = finished.folder / "results/small"
    before, loads = finished.pictures(), {row["base_load_id"] for row in finished.rows()}
    cut(results / "images/demo/none/dogs/000_1.png")
    cut(results / "records/demo/demo_lora/dogs.parquet")
    cut(results / "manifest.parquet")
    (results / "images/demo/none/cats/000_1.png").unlink()
    (results / "records/demo/demo_lora/cats.parquet").unlink()

    assert finished.snakemake().returncode == 0

    assert (results / "records/demo/demo_lora/cats.parquet").is_file()
    assert finished.pictures() == before
    rendered = [row["image_path"] for row in finished.rows() if row["base_load_id"] not in loads | {None}]
    assert rendered == ["results/small/images/demo/none/dogs/000_1.png"]
    settled = finished.snakemake()
    assert "Nothing to be done" in settled.stderr + settled.stdout


def test_a_clock_that_was_set_back_stops_no_run(finished: Project) -> None:
    """All that the first run wrote is from the future then, and so are the files that it read."""
    ahead = time.time() + 7200
    for path in (
        *finished.folder.rglob("*.json"),
        *finished.folder.rglob("*.parquet"),
        *finished.folder.rglob("*.yaml"),
    ):
        os.utime(path, (ahead, ahead))
    settled = finished.snakemake()
    assert settled.returncode == 0, settled.stderr
    assert "Nothing to be done" in settled.stderr + settled.stdout
    (finished.folder / "results/small/images/demo/none/dogs/000_1.png").unlink()
    assert finished.snakemake().returncode == 0
    assert len(finished.pictures()) == 12

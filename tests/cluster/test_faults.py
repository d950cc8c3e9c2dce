"""A cluster loses jobs and nodes: the pictures are those of an undisturbed run, and none that was finished is lost."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from tests.cluster.cluster import Cluster
from tests.machine.waiting import wait_for

LONG = "defaults: {width: 64, height: 64, sample_steps: 40}\nprompts: [a cat, a dog, a cow, a pig]\n"
TWELVE = ("--set-resources", "shard:images=12")


@pytest.fixture
def slow(cluster: Cluster) -> Cluster:
    """One base model and 24 pictures that take long enough for something to happen meanwhile."""
    for name in ("cats", "dogs"):
        cluster.write(f"conf/prompts/{name}.yaml", LONG)
    cluster.write(
        "conf/experiment/small.yaml",
        "matrix: {model: demo, lora: [none, demo_lora, demo_lokr], prompts: [cats, dogs], seed: [1]}\n",
    )
    return cluster


def undisturbed(cluster: Cluster, folder: Path) -> dict[str, bytes]:
    alone = cluster.alone(folder)
    subprocess.run(["rm", "-rf", alone.folder / "results", alone.folder / ".snakemake"], check=True)
    assert alone.snakemake().returncode == 0
    return alone.pictures()


def test_a_cancelled_job_is_done_again_and_what_it_had_finished_is_kept(slow: Cluster, tmp_path: Path) -> None:
    run = slow.begin("slurm", *TWELVE)
    job = wait_for(slow.running_shard, "a shard at work", run)
    finished = slow.rendered()
    subprocess.run(["scancel", job["JobId"]], check=True)
    assert run.wait() == 0, slow.said()
    assert finished.items() <= slow.rendered().items(), "nothing finished was rendered again"
    assert slow.pictures() == undisturbed(slow, tmp_path / "alone")


def test_the_jobs_of_a_node_that_died_are_done_elsewhere(slow: Cluster, tmp_path: Path) -> None:
    run = slow.begin("slurm", *TWELVE)
    job = wait_for(slow.running_shard, "a shard at work", run)
    finished, node = slow.rendered(), job["NodeList"]
    kill_node(slow.slurm, node, job["JobId"])
    assert run.wait() == 0, slow.said()
    assert finished.items() <= slow.rendered().items(), "nothing finished was rendered again"
    assert slow.pictures() == undisturbed(slow, tmp_path / "alone")
    subprocess.run(["slurmd", "-N", node], check=True)
    wait_for(lambda: node_state(node) == "idle", f"{node} at work again")


def kill_node(slurm: Path, node: str, job: str) -> None:
    """Its daemon and every process of a job on it, at once."""
    of_job = [process for process in psutil.process_iter() if _job_of(process) == job]
    os.kill(int((slurm / f"run/slurmd-{node}.pid").read_text()), signal.SIGKILL)
    for process in of_job:
        process.kill()


def node_state(node: str) -> str:
    shown = subprocess.run(["sinfo", "-h", "-n", node, "-o", "%T"], capture_output=True, text=True, check=True)
    return shown.stdout.strip()


def _job_of(process: psutil.Process) -> str | None:
    """By its environment; a slurmstepd has none and says it in its title."""
    try:
        title = " ".join(process.cmdline())
        if title.startswith("slurmstepd: ["):
            return title.removeprefix("slurmstepd: [").partition(".")[0]
        return process.environ().get("SLURM_JOB_ID")
    except psutil.Error:
        return None

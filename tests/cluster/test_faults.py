"""A cluster loses jobs and nodes: the pictures are those of an undisturbed run, and none that was finished is lost."""

import os
import signal
import subprocess
from pathlib import Path

import psutil
from tests.cluster.cluster import RENDERED, Cluster, cut_off
from tests.machine.waiting import wait_for
from tests.places import REPOSITORY

TWELVE = ("--set-resources", "shard:images=12")
ONE_JOB = ("--set-resources", "shard:images=24")
END_THEM = "squeue -h -u $(id -un) -o '%A %j' | awk '$2 ~ /^darkroom/ {print $1}' | xargs -r scancel"  # docs/cluster.md
NO_TURN = "not rendered: the run ended before it was its turn"
FAILING_GPU = REPOSITORY / "tools/disturbance/failing_gpu"


def test_a_cancelled_job_is_done_again_and_what_it_had_finished_is_kept(
    slow: Cluster, undisturbed: dict[str, bytes]
) -> None:
    run = slow.begin("slurm", *TWELVE)
    job = wait_for(slow.running_shard, "a shard at work", run)
    finished = slow.rendered()
    subprocess.run(["scancel", job["JobId"]], check=True)
    assert run.wait() == 0, slow.said()
    assert finished.items() <= slow.rendered().items(), "nothing finished was rendered again"
    assert slow.pictures() == undisturbed
    assert {job["Restarts"] for job in slow.jobs()} == {"0"}, "what somebody cancelled does not come back by itself"


def test_the_jobs_of_a_node_that_died_are_done_elsewhere(
    slurm: Path, slow: Cluster, undisturbed: dict[str, bytes]
) -> None:
    run = slow.begin("slurm", *TWELVE)
    job = wait_for(slow.running_shard, "a shard at work", run)
    finished, node = slow.rendered(), job["NodeList"]
    kill_node(slurm, node, job["JobId"])
    assert run.wait() == 0, slow.said()
    assert finished.items() <= slow.rendered().items(), "nothing finished was rendered again"
    assert slow.pictures() == undisturbed
    subprocess.run([Path(__file__).with_name("node.sh"), slurm, node], check=True)
    wait_for(lambda: node_state(node) == "idle", f"{node} at work again")


def test_a_job_that_is_told_to_end_waits_for_a_place_again_and_uses_up_no_retry(
    slow: Cluster, undisturbed: dict[str, bytes]
) -> None:
    with slow.watched() as written:
        run = slow.begin("slurm", *ONE_JOB, "--retries", "0")
        wait_for(slow.running_shard, "a shard at work", run)
        (shard,) = (each for each in slow.processes() if {"rule", "shard"} <= {*each.info["cmdline"]} and _job_of(each))
        shard.terminate()
        (waits,) = wait_for(lambda: [job for job in slow.jobs() if job["Restarts"] == "1"], "a job that waits", run)
        subprocess.run(["scontrol", "update", f"JobId={waits['JobId']}", "StartTime=now"], check=True)  # not 2 minutes
        assert run.wait() == 0, slow.said()
    assert [job["Restarts"] for job in slow.jobs()] == ["1"]
    assert len(written) == RENDERED, "no picture was written twice"
    assert slow.pictures() == undisturbed
    loads = {row["base_load_id"] for row in slow.rows() if row["prompts"] == "cats"}
    assert len(loads - {None}) == len(loads) == 2, "what the first part took is not lost"


def test_a_job_that_knows_its_limit_leaves_before_it(slow: Cluster, undisturbed: dict[str, bytes]) -> None:
    with slow.watched() as written:
        done = slow.run("slurm", "--retries", "0", "--set-resources", "shard:images=24", "shard:runtime=2")
    assert done.returncode == 0, done.stderr
    assert {job["TimeLimit"] for job in slow.jobs()} == {"00:02:00"}
    assert len(written) == RENDERED, "no picture was written twice"
    assert slow.pictures() == undisturbed


def test_pictures_of_a_job_that_had_no_time_to_speak_have_what_slurm_says_of_it(slow: Cluster) -> None:
    run = slow.begin("slurm", *ONE_JOB, "--retries", "0")
    job = wait_for(slow.running_shard, "a shard at work", run)["JobId"]
    silenced = [process for process in psutil.process_iter() if _job_of(process) == job and not _is_slurms(process)]
    for process in silenced:
        process.suspend()
    subprocess.run(["scancel", job], check=True)
    for process in silenced:
        process.kill()
    assert run.wait() != 0
    reasons = {row["error"].partition(";")[0] for row in slow.rows() if row["status"] != "done"}
    killed = f"ended without a word: SLURM-job '{job}' failed, SLURM status is: 'CANCELLED'"
    assert reasons == {killed, NO_TURN}, slow.said()


def test_a_job_with_too_little_memory_gets_more(slow: Cluster, undisturbed: dict[str, bytes]) -> None:
    run = slow.run("slurm", "--set-resources", "shard:images=24", "shard:mem_mb=600*attempt")
    assert run.returncode == 0, run.stderr
    first, *_, last = sorted(slow.jobs(), key=lambda job: int(job["JobId"]))
    assert (first["JobState"], last["JobState"]) in {("OUT_OF_MEMORY", "COMPLETED"), ("FAILED", "COMPLETED")}
    assert slow.pictures() == undisturbed


def test_a_gpu_that_fails_costs_the_attempt_and_no_combination(
    slow: Cluster, undisturbed: dict[str, bytes], tmp_path: Path
) -> None:
    (tmp_path / "failures").write_text("9\n")  # of the first worker, at that point
    path = os.pathsep.join([str(FAILING_GPU), os.environ.get("PYTHONPATH", "")])
    run = slow.run("slurm", *ONE_JOB, PYTHONPATH=path, FAILING_GPU=str(tmp_path / "failures"))
    assert run.returncode == 0, run.stderr
    assert [job["JobState"] for job in slow.jobs()] == ["FAILED", "COMPLETED"]
    assert slow.pictures() == undisturbed


def test_a_run_that_was_killed_and_begun_again_shares_the_work_with_the_jobs_that_it_left(
    slow: Cluster, undisturbed: dict[str, bytes]
) -> None:
    with slow.watched() as written:
        run = slow.begin("slurm", *TWELVE)
        wait_for(slow.running_shard, "a shard at work", run)
        run.kill()
        run.wait()
        again = slow.run("slurm", *TWELVE)
        assert again.returncode == 0, again.stderr
        slow.wait_for_silence()
    assert len(written) == RENDERED, "no picture was written twice"
    assert slow.pictures() == undisturbed


def test_jobs_that_a_killed_run_left_end_with_one_command(slow: Cluster) -> None:
    run = slow.begin("slurm", *TWELVE)
    wait_for(slow.running_shard, "a shard at work", run)
    run.kill()
    run.wait()
    assert slow.running_shard(), "what its cluster has given it is not thrown away"
    finished = slow.rendered()
    subprocess.run(["sh", "-c", END_THEM], check=True)
    slow.wait_for_silence()
    assert {job["JobState"] for job in slow.jobs() if job["JobState"] != "COMPLETED"} == {"CANCELLED"}
    assert finished.items() <= slow.rendered().items()


def test_a_run_that_is_stopped_on_purpose_takes_its_jobs_along(slow: Cluster) -> None:
    run = slow.begin("slurm", *TWELVE)
    wait_for(slow.running_shard, "a shard at work", run)
    run.send_signal(signal.SIGINT)
    assert run.wait() != 0
    rows = slow.rows()
    slow.wait_for_silence()
    assert {job["JobState"] for job in slow.jobs() if job["JobState"] != "COMPLETED"} == {"CANCELLED"}
    there = sum(row["status"] == "done" for row in rows)
    assert {row["error"] for row in rows if row["status"] != "done"} == {NO_TURN}
    assert f"stopped at {there} of 24 pictures; the next run goes on from there" in slow.said()
    assert slow.darkroom("status", "small").stdout.startswith("small: stopped at ")


def test_a_node_that_cannot_be_reached_for_a_while_renders_nothing_twice(
    slow: Cluster, undisturbed: dict[str, bytes]
) -> None:
    with slow.watched() as written:
        run = slow.begin("slurm", *TWELVE)
        job = wait_for(slow.running_shard, "a shard at work", run)
        with cut_off(17000 + int(job["NodeList"].removeprefix("n"))):
            wait_for(lambda: node_state(job["NodeList"]).startswith("down"), "a node that Slurm has given up")
        assert run.wait() == 0, slow.said()
    assert len(written) == RENDERED, "though the job was done elsewhere while its node went on with it"
    assert slow.pictures() == undisturbed
    wait_for(lambda: node_state(job["NodeList"]) == "idle", "the node at work again")


def kill_node(slurm: Path, node: str, job: str) -> None:
    """Its daemon and every process of a job on it, at once."""
    of_job = [process for process in psutil.process_iter() if _job_of(process) == job]
    os.kill(int((slurm / f"run/slurmd-{node}.pid").read_text()), signal.SIGKILL)
    for process in of_job:
        process.kill()


def node_state(node: str) -> str:
    shown = subprocess.run(["sinfo", "-h", "-n", node, "-o", "%T"], capture_output=True, text=True, check=True)
    return shown.stdout.strip()


def _is_slurms(process: psutil.Process) -> bool:
    return bool(process.name() == "slurmstepd")


def _job_of(process: psutil.Process) -> str | None:
    """By its environment; a slurmstepd has none and says it in its title."""
    try:
        title = " ".join(process.cmdline())
        if title.startswith("slurmstepd: ["):
            return title.removeprefix("slurmstepd: [").partition(".")[0]
        return process.environ().get("SLURM_JOB_ID")
    except psutil.Error:
        return None

"""Workers behind `srun` on a real Slurm, whose jobs stay with the Snakemake where the run was begun."""

import os
import signal
import subprocess
import time

from tests.cluster.cluster import RENDERED, Cluster, cut_off
from tests.machine.waiting import PATIENCE, wait_for

SRUN = "3 * srun --quiet --gpus=1 --mem=2000"
POOL = ("--cores", "3", "--resources", "gpu=3", "--set-resources", f"encode:launcher={SRUN}", f"render:launcher={SRUN}")


def test_pictures_are_those_of_one_machine_and_each_worker_loads_a_base_once(
    cluster: Cluster, one_machine: dict[str, bytes]
) -> None:
    done = cluster.snakemake(*POOL)
    assert done.returncode == 0, done.stderr

    rows = cluster.rows()
    assert len(rows) == 24
    assert len({row["base_load_id"] for row in rows}) <= 6, "2 base models on 3 workers"
    assert len(cluster.jobs()) <= 3
    assert cluster.pictures() == one_machine


def test_workers_elsewhere_end_with_a_killed_snakemake_and_nothing_finished_is_rendered_again(cluster: Cluster) -> None:
    run = cluster.start(*POOL)
    wait_for(lambda: len(cluster.stored()) >= 4, "4 pictures", run)
    os.kill(run.pid, signal.SIGKILL)
    run.wait(PATIENCE)
    wait_for(lambda: not _jobs_left(), "the end of Slurm's jobs")
    finished = {path.name: path.stat().st_mtime_ns for path in cluster.stored()}

    assert cluster.snakemake(*POOL).returncode == 0
    assert {path.name: path.stat().st_mtime_ns for path in cluster.stored() if path.name in finished} == finished
    assert None not in {row["base_load_id"] for row in cluster.rows()}, "what the killed run took is not lost"


def test_a_network_that_fails_for_half_a_minute_ends_no_worker_and_nothing_is_rendered_twice(
    slow: Cluster, undisturbed: dict[str, bytes]
) -> None:
    with slow.watched() as written:
        run = slow.start(*POOL)
        wait_for(slow.stored, "a picture", run)
        sruns = [process for process in slow.processes() if process.info["cmdline"][:1] == ["srun"]]
        with cut_off(*{each.laddr.port for process in sruns for each in process.net_connections("tcp")}):
            time.sleep(30)
        assert run.wait(PATIENCE) == 0, slow.said()
    assert len(written) == RENDERED
    assert slow.pictures() == undisturbed
    assert len(slow.jobs()) <= 3, "the workers are those that it began with"


def _jobs_left() -> str:
    return subprocess.run(["squeue", "--noheader"], capture_output=True, text=True, check=True).stdout

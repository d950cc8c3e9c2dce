"""How much memory a process may have, by trees of files as cgroups show them and by what Slurm says."""

from pathlib import Path

import pytest

from darkroom.machine.allotment.memory import Memory, memory, memory_within

MB = 2**20
GB = 1024 * MB
MACHINE = Memory(24 * GB, 20 * GB)
UNLIMITED_V1 = 9223372036854771712  # what a cgroup of version 1 says of no limit


def tree(root: Path, files: dict[str, object]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def test_a_machine_without_limits_is_had_whole(tmp_path):
    assert memory_within(MACHINE, tmp_path, {}, mine=GB) == MACHINE
    assert str(MACHINE) == "21.5 GB of 25.8 GB free"


def test_a_slurm_job_s_cgroup_of_version_1_is_the_limit_and_its_cache_of_files_counts_as_free(tmp_path):
    """As Slurm makes them: the limit stands above the step that the process is in."""
    job = "sys/fs/cgroup/memory/slurm/uid_0/job_17"
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "9:cpuset:/\n4:memory:/slurm/uid_0/job_17/step_0\n0::/",
            f"{job}/step_0/memory.limit_in_bytes": UNLIMITED_V1,
            f"{job}/step_0/memory.usage_in_bytes": 900 * MB,
            f"{job}/memory.limit_in_bytes": 1500 * MB,
            f"{job}/memory.usage_in_bytes": 900 * MB,
            f"{job}/memory.stat": f"cache 5\ntotal_inactive_file {150 * MB}\ntotal_active_file {50 * MB}",
        },
    )
    found = memory_within(MACHINE, root, {}, mine=0)
    assert found == Memory(1500 * MB, 800 * MB, "cgroup /slurm/uid_0/job_17")
    assert str(found) == "839 MB of 1.6 GB free, the limit of cgroup /slurm/uid_0/job_17"


def test_a_container_of_version_2_is_held_to_its_own_limit(tmp_path):
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/",
            "sys/fs/cgroup/memory.max": 4 * GB,
            "sys/fs/cgroup/memory.current": 3 * GB,
            "sys/fs/cgroup/memory.stat": f"anon 7\ninactive_file {GB}\nactive_file 0",
        },
    )
    assert memory_within(MACHINE, root, {}, mine=0) == Memory(4 * GB, 2 * GB, "cgroup /")


@pytest.mark.parametrize(
    ("said", "megabytes"),
    [
        ({"SLURM_MEM_PER_NODE": "2000"}, 2000),
        ({"SLURM_MEM_PER_CPU": "500", "SLURM_CPUS_ON_NODE": "3"}, 1500),
        ({"SLURM_MEM_PER_GPU": "4000", "SLURM_GPUS_ON_NODE": "2"}, 8000),
    ],
)
def test_without_a_cgroup_it_is_what_the_slurm_job_asked_for_less_what_this_process_has(tmp_path, said, megabytes):
    found = memory_within(MACHINE, tmp_path, {"SLURM_JOB_ID": "17", **said}, mine=300 * MB)
    assert found == Memory(megabytes * MB, (megabytes - 300) * MB, "Slurm job 17")


@pytest.mark.parametrize("said", [{"SLURM_MEM_PER_NODE": "0"}, {"SLURM_MEM_PER_CPU": "500"}, {}])
def test_a_slurm_job_with_all_of_its_node_has_no_limit_of_its_own(tmp_path, said):
    assert memory_within(MACHINE, tmp_path, {"SLURM_JOB_ID": "17", **said}, mine=0) == MACHINE


def test_what_is_free_is_no_more_than_the_machine_has(tmp_path):
    busy = Memory(24 * GB, GB)
    assert memory_within(busy, tmp_path, {"SLURM_MEM_PER_NODE": "4096"}, mine=0).free == GB


def test_this_machine_has_some():
    found = memory()
    assert 0 < found.free <= found.total

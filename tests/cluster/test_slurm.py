"""The profiles on a real Slurm of three nodes: what one machine renders, byte for byte, and with few loads."""

import subprocess

import pytest
from tests.cluster.cluster import Cluster
from tests.places import REPOSITORY
from tests.workflow.project import DEMO

PROFILES = ("slurm", "cluster-generic")
SIX = ("--set-resources", "shard:images=6")


@pytest.mark.parametrize("profile", PROFILES)
def test_pictures_are_those_of_one_machine_and_a_shard_loads_its_base_once(
    cluster: Cluster, one_machine: dict[str, bytes], profile: str
) -> None:
    done = cluster.run(profile, *SIX)
    assert done.returncode == 0, done.stderr

    rows = cluster.rows()
    assert len(rows) == 24
    assert len({row["base_load_id"] for row in rows}) == 4, "2 base models, each in 2 shards of 6 pictures"
    assert len(cluster.jobs()) == 6, "2 encode, 4 shards"
    assert cluster.pictures() == one_machine

    again = cluster.run(profile, *SIX)
    assert "Nothing to be done" in again.stderr
    here = cluster.snakemake()
    assert "Nothing to be done" in here.stderr + here.stdout, "and on one machine neither"


def test_a_bad_lora_costs_its_own_pictures_alone_and_is_named_where_the_run_was_begun(cluster: Cluster) -> None:
    data = (DEMO / "demo_lora.safetensors").read_bytes()
    (cluster.folder / "bad.safetensors").write_bytes(data[:-64] + bytes([0xFF, 0x7F] * 32))  # NaN in bfloat16, float16
    cluster.write("conf/lora/bad.yaml", "trigger_word: sks\nloras: [{path: bad.safetensors}]\n")
    cluster.write(
        "conf/experiment/small.yaml", "matrix: {model: demo, lora: [none, bad, demo_lora], prompts: [cats, dogs]}\n"
    )

    failed = cluster.run("slurm", "--set-resources", "shard:images=20")

    assert failed.returncode == 1
    done = {path.parent.name for path in (cluster.folder / "results/small/records").rglob("*.parquet")}
    assert done == {"none", "demo_lora"}
    assert "bad.safetensors" in failed.stderr
    assert len(cluster.jobs()) == 2, "encode and one shard: nothing was tried again"
    rows = cluster.rows()
    assert {row["lora"]: row["status"] for row in rows} == {"none": "done", "bad": "failed", "demo_lora": "done"}


def test_what_sbatch_says_is_said_where_the_run_was_begun(cluster: Cluster) -> None:
    refused = cluster.run("slurm", "--default-resources", "slurm_partition=nope", "mem_mb=500", "--retries", "0", *SIX)
    assert refused.returncode == 1
    assert "invalid partition specified: nope" in refused.stderr


def test_a_node_is_a_big_workstation(cluster: Cluster) -> None:
    line = cluster.command("--config", "experiment=small")
    script = f"cd {cluster.folder} && exec {' '.join(line)}"
    asked = ["sbatch", "--wait", "--nodes=1", "--gpus-per-node=1", "--chdir", cluster.folder, "--wrap", script]
    done = subprocess.run(asked, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(cluster.jobs()) == 1
    assert len({row["base_load_id"] for row in cluster.rows()}) == 2


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_used_from_any_folder(cluster: Cluster, profile: str) -> None:
    assert not cluster.folder.is_relative_to(REPOSITORY)
    planned = cluster.run(profile, "-n")
    assert planned.returncode == 0, planned.stderr
    assert "shard " in planned.stdout

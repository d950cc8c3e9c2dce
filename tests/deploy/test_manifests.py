"""What the chart asks a cluster for, in the manifests that `make manifests` renders from it."""

import re
from typing import Any

import pytest
import yaml
from tests.places import REPOSITORY

MANIFESTS = REPOSITORY / "deploy/kubernetes"
WAYS = ("pods", "alone")


def objects(way: str) -> dict[str, Any]:
    """By kind and name."""
    text = (MANIFESTS / f"{way}.yaml").read_text(encoding="utf-8")
    return {f"{each['kind']}/{each['metadata']['name']}": each for each in yaml.safe_load_all(text)}


def gpu_job() -> Any:
    return yaml.safe_load(objects("pods")["ConfigMap/darkroom-job"]["data"]["job.yaml"])


def pods(way: str) -> list[Any]:
    jobs = [objects(way)["Job/darkroom"], *([gpu_job()] if way == "pods" else [])]
    return [job["spec"]["template"]["spec"] for job in jobs]


def test_pods_have_a_driver_without_a_gpu_that_may_start_jobs_and_nothing_else() -> None:
    found = objects("pods")
    assert list(found) == [
        "PersistentVolumeClaim/darkroom-work",
        "PersistentVolumeClaim/darkroom-weights",
        "ServiceAccount/darkroom-driver",
        "Role/darkroom-driver",
        "RoleBinding/darkroom-driver",
        "ConfigMap/darkroom-job",
        "Job/darkroom",
    ]
    assert [rule["resources"] for rule in found["Role/darkroom-driver"]["rules"]] == [["jobs"]]
    (driver,) = pods("pods")[0]["containers"]
    assert driver["resources"]["limits"] == {"memory": "8Gi"}
    assert driver["args"] == ["run", "demo", "--profile=kubernetes", "--jobs=4"]


def test_alone_is_one_pod_with_gpus_and_no_way_to_the_cluster() -> None:
    assert list(objects("alone")) == [
        "PersistentVolumeClaim/darkroom-work",
        "PersistentVolumeClaim/darkroom-weights",
        "Job/darkroom",
    ]
    (pod,) = pods("alone")
    (driver,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert driver["resources"]["limits"] == {"memory": "8Gi", "nvidia.com/gpu": "1"}
    assert driver["args"][2:] == ["--profile=workstation", "--cores=1", "--resources=gpu=1"]


def test_a_job_takes_the_gpus_that_it_is_given_and_no_token() -> None:
    (pod,) = pods("pods")[1:]
    (container,) = pod["containers"]
    assert container["resources"]["limits"] == {"memory": "@MEM_MB@M", "nvidia.com/gpu": "@GPUS@"}
    assert container["command"] == ["tini", "-g", "--", "sh", "@JOBSCRIPT@"]
    assert pod["automountServiceAccountToken"] is False
    assert {"name": "weights", "mountPath": "/weights", "readOnly": True} in container["volumeMounts"]


def test_submit_pod_knows_each_name_of_the_job_and_no_other() -> None:
    names = re.compile(r"@[A-Z_]+@")
    script = (REPOSITORY / "deploy/pods/submit-pod").read_text(encoding="utf-8").split("set -eu")[1]
    job = objects("pods")["ConfigMap/darkroom-job"]["data"]["job.yaml"]
    assert {*names.findall(script)} == {*names.findall(job)} == {"@GPUS@", "@CPUS@", "@MEM_MB@", "@JOBSCRIPT@"}


@pytest.mark.parametrize("way", WAYS)
def test_nobody_is_root_and_nothing_but_volumes_can_be_written(way: str) -> None:
    for pod in pods(way):
        assert pod["securityContext"]["runAsNonRoot"] is True
        for container in [*pod.get("initContainers", ()), *pod["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }


@pytest.mark.parametrize("way", WAYS)
def test_a_pod_has_time_to_end_and_an_eviction_is_no_failure(way: str) -> None:
    assert all(pod["terminationGracePeriodSeconds"] >= 60 and pod["restartPolicy"] == "Never" for pod in pods(way))
    first, *_ = objects(way)["Job/darkroom"]["spec"]["podFailurePolicy"]["rules"]
    assert first == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}

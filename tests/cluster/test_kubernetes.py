"""The driver's own command of the chart, with pods that are processes of this machine: tests/cluster/kubectl."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from tests.machine.waiting import wait_for
from tests.places import REPOSITORY
from tests.workflow.project import CATS, DOGS, EXPERIMENT, Project, inheriting_sigint

HERE = Path(__file__).parent
MANIFEST = REPOSITORY / "deploy/kubernetes/pods.yaml"


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the cluster keeps the Jobs it was asked for; the chart's template and the image's programs are there."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    objects = {each["kind"]: each for each in yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8"))}
    template = tmp_path / "job.yaml"
    template.write_text(objects["ConfigMap"]["data"]["job.yaml"], encoding="utf-8")
    image = [str(Path(sys.executable).parent), os.environ["PATH"]]
    monkeypatch.setenv("DARKROOM_JOB", str(template))
    monkeypatch.setenv("KUBECTL_FOLDER", str(folder))
    monkeypatch.setenv("KUBECTL_PATH", os.pathsep.join(image))
    monkeypatch.setenv("PATH", os.pathsep.join([str(HERE), str(REPOSITORY / "deploy/pods"), *image]))
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Any:
    project = Project(tmp_path / "work")
    project.write("conf/experiment/small.yaml", EXPERIMENT)
    project.write("conf/prompts/cats.yaml", CATS)
    project.write("conf/prompts/dogs.yaml", DOGS)
    yield project
    for process in project.processes():
        process.kill()


def driver_words(experiment: str) -> list[str]:
    """What the chart's driver is given."""
    jobs = [each for each in yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8")) if each["kind"] == "Job"]
    words: list[str] = jobs[0]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert words[1] == "demo"
    return ["run", experiment, *words[2:]]


def start(project: Project) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-P", "-m", "darkroom", *driver_words("small")]
    with (project.folder / "driver.out").open("wb") as out, inheriting_sigint(signal.default_int_handler):
        return subprocess.Popen(command, cwd=project.folder, stdout=out, stderr=out, start_new_session=True)


def asked(cluster: Path) -> list[Any]:
    """The Jobs that were asked for, in order."""
    files = sorted(cluster.glob("*.yaml"), key=lambda file: int(file.stem.rpartition("-")[2]))
    return [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]


def limits(job: Any) -> Any:
    return job["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]


def running(cluster: Path) -> list[psutil.Process]:
    pids = [int(file.read_text()) for file in cluster.glob("*.pid") if not file.with_suffix(".status").is_file()]
    return [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]


def test_pods_render_what_one_machine_renders_byte_for_byte(project: Project, cluster: Path, tmp_path: Path) -> None:
    done = project.darkroom(*driver_words("small"))

    assert done.returncode == 0, done.stderr
    alone = Project(tmp_path / "alone")
    shutil.copytree(project.folder / "conf", alone.folder / "conf")
    assert alone.snakemake().returncode == 0
    assert len(project.pictures()) == 12
    assert project.pictures() == alone.pictures()
    jobs = asked(cluster)
    assert [limits(job) for job in jobs] == [{"memory": "4100M", "nvidia.com/gpu": "1"}] * len(jobs)
    assert project.processes() == []


def test_of_a_pod_that_is_killed_the_next_attempt_asks_for_more(project: Project, cluster: Path) -> None:
    run = start(project)
    wait_for(project.stored, "a picture", run)
    (pod, *_) = running(cluster)
    for process in [*pod.children(recursive=True), pod]:
        process.kill()

    assert run.wait() == 0
    assert len(project.pictures()) == 12
    assert "8200M" in [limits(job)["memory"] for job in asked(cluster)]


def test_a_driver_that_is_stopped_leaves_no_pod(project: Project, cluster: Path) -> None:
    run = start(project)
    wait_for(project.stored, "a picture", run)

    run.send_signal(signal.SIGTERM)

    assert run.wait() == 128 + signal.SIGTERM
    wait_for(lambda: running(cluster) == [] == project.processes(), "the end of all pods")
    before = {path: path.stat().st_mtime_ns for path in project.stored()}
    assert project.darkroom(*driver_words("small")).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(project.pictures()) == 12

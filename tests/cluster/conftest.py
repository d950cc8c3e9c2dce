"""Real runs on a Slurm of this machine: only where these tests are asked for by name, as `make test-cluster` does."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cluster.cluster import Cluster
from tests.workflow.project import Project

HERE = Path(__file__).parent
NEEDED = ("slurmctld", "slurmd", "sbatch", "munged")


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """They start daemons, so that a run of all tests leaves them out."""
    asked = (Path(str(config.invocation_params.dir), word.partition("::")[0]) for word in config.args)
    return None if any(path.resolve().is_relative_to(HERE) for path in asked) else True


@pytest.fixture(scope="session")
def slurm() -> Iterator[Path]:
    """The folder of a cluster at work; its daemons end with this process, however that ends."""
    if lacking := [name for name in NEEDED if shutil.which(name) is None]:
        pytest.skip(f"no {lacking[0]} (Debian: {HERE.name}/install.sh)")
    if os.getuid() != 0:
        pytest.skip("Slurm's daemons are started as root")
    if Path("/etc/slurm/slurm.conf").exists():
        pytest.skip("/etc/slurm/slurm.conf is another cluster's")
    with tempfile.TemporaryDirectory() as name:  # pytest's are closed to munge's own user, and to people
        folder = Path(name)
        folder.chmod(0o755)
        ends_later = 'tail --pid="$1" -f /dev/null; exec "$2" "$3"'
        line = ["sh", "-c", ends_later, "sh", str(os.getpid()), HERE / "down.sh", folder]
        with subprocess.Popen(line, start_new_session=True) as watch:  # not ended with this process, as `timeout` would
            try:
                subprocess.run([HERE / "up.sh", folder], check=True)
                yield folder
            finally:
                subprocess.run([HERE / "down.sh", folder], check=True)
                watch.terminate()


LONG = "defaults: {width: 64, height: 64, sample_steps: 40}\nprompts: [a cat, a dog, a cow, a pig]\n"
MATRIX = "matrix: {model: demo, lora: [none, demo_lora, demo_lokr], prompts: [cats, dogs], seed: [1]}\n"


@pytest.fixture(scope="session")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """24 pictures, of which 12 are rendered, that take long enough for something to happen. Texts are encoded."""
    project = Project(tmp_path_factory.mktemp("encoded") / "project")
    for name in ("cats", "dogs"):
        project.write(f"conf/prompts/{name}.yaml", LONG)
    project.write("conf/experiment/small.yaml", MATRIX)
    done = project.snakemake("--until", "encode")
    assert done.returncode == 0, done.stderr
    return project


@pytest.fixture(scope="session")
def undisturbed(encoded: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The pictures of a run to which nothing happens."""
    alone = Project(tmp_path_factory.mktemp("undisturbed") / "project")
    subprocess.run(["cp", "-a", encoded.folder, alone.folder], check=True)
    assert alone.snakemake().returncode == 0
    return alone.pictures()


@pytest.fixture(scope="session")
def one_machine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The pictures of a whole project, as this machine alone renders them."""
    project = Cluster(tmp_path_factory.mktemp("one_machine") / "project")
    project.fill()
    assert project.snakemake().returncode == 0
    return project.pictures()


@pytest.fixture
def slow(encoded: Project, slurm: Path, tmp_path: Path) -> Iterator[Cluster]:
    """The same on the cluster, for a test to disturb."""
    cluster = Cluster(tmp_path / "project")
    subprocess.run(["cp", "-a", encoded.folder, cluster.folder], check=True)
    yield cluster
    cluster.wait_for_silence()


@pytest.fixture
def cluster(slurm: Path, tmp_path: Path) -> Iterator[Cluster]:
    """A project folder on it. When a test has ended there is no job, and no process of a run, left."""
    cluster = Cluster(tmp_path / "project")
    cluster.fill()
    yield cluster
    cluster.wait_for_silence()

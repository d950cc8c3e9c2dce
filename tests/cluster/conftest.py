"""Real runs on a Slurm of this machine: only where these tests are asked for by name, as `make test-cluster` does."""

import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cluster.cluster import Cluster
from tests.workflow.project import Project

HERE = Path(__file__).parent
NODES = 3
NEEDED = ("slurmctld", "slurmd", "sbatch", "munged")


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """They start daemons, so that a run of all tests leaves them out."""
    asked = (Path(str(config.invocation_params.dir), word.partition("::")[0]) for word in config.args)
    return None if any(path.resolve().is_relative_to(HERE) for path in asked) else True


@pytest.fixture(scope="session")
def slurm() -> Iterator[Path]:
    """The folder of a cluster at work, one a process of xdist; its daemons end with this process, however that ends."""
    if lacking := [name for name in NEEDED if shutil.which(name) is None]:
        pytest.skip(f"no {lacking[0]} (Debian: {HERE.name}/install.sh)")
    if os.getuid() != 0:
        pytest.skip("Slurm's daemons are started as root")
    first = 1 + NODES * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with socket.socket() as port:
        if port.connect_ex(("127.0.0.1", 16800 + first)) == 0:
            pytest.skip(f"another cluster is at work at port {16800 + first}")
    with tempfile.TemporaryDirectory() as name:  # pytest's are closed to munge's own user, and to people
        folder = Path(name)
        folder.chmod(0o755)
        ends_later = 'tail --pid="$1" -f /dev/null; exec "$2" "$3"'
        line = ["sh", "-c", ends_later, "sh", str(os.getpid()), HERE / "down.sh", folder]
        with subprocess.Popen(line, start_new_session=True) as watch:  # not ended with this process, as `timeout` would
            try:
                subprocess.run([HERE / "up.sh", folder], env={**os.environ, "FIRST": str(first)}, check=True)
                os.environ["SLURM_CONF"] = str(folder / "etc/slurm.conf")
                yield folder
            finally:
                subprocess.run([HERE / "down.sh", folder], check=True)
                watch.terminate()


LONG = "defaults: {width: 64, height: 64, sample_steps: 40}\nprompts: [a cat, a dog, a cow, a pig]\n"
MATRIX = "matrix: {model: demo, lora: [none, demo_lora, demo_lokr], prompts: [cats, dogs], seed: [1]}\n"


MadeOnce = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Makes a project folder by its name: one for all processes of xdist, of which the others wait meanwhile."""
    own = tmp_path_factory.getbasetemp()
    common = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made(name: str, make: Callable[[Path], None]) -> Path:
        folder = common / f"once/{name}/project"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with (folder.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder.parent / "is made").exists():
                make(folder)
                (folder.parent / "is made").touch()
        return folder

    return made


@pytest.fixture(scope="session")
def encoded(made_once: MadeOnce) -> Project:
    """24 pictures, of which 12 are rendered, that take long enough for something to happen. Texts are encoded."""

    def make(folder: Path) -> None:
        project = Project(folder)
        for name in ("cats", "dogs"):
            project.write(f"conf/prompts/{name}.yaml", LONG)
        project.write("conf/experiment/small.yaml", MATRIX)
        done = project.snakemake("--until", "encode")
        assert done.returncode == 0, done.stderr

    return Project(made_once("encoded", make))


@pytest.fixture(scope="session")
def undisturbed(encoded: Project, made_once: MadeOnce) -> dict[str, bytes]:
    """The pictures of a run to which nothing happens."""

    def make(folder: Path) -> None:
        subprocess.run(["cp", "-a", encoded.folder, folder], check=True)
        assert Project(folder).snakemake().returncode == 0

    return Project(made_once("undisturbed", make)).pictures()


@pytest.fixture(scope="session")
def one_machine(made_once: MadeOnce) -> dict[str, bytes]:
    """The pictures of a whole project, as this machine alone renders them."""

    def make(folder: Path) -> None:
        Cluster(folder).fill()
        assert Project(folder).snakemake().returncode == 0

    return Project(made_once("one_machine", make)).pictures()


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

"""Several people in a folder of their group's, on a real Slurm whose jobs are theirs."""

import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cluster.cluster import RENDERED, Cluster
from tests.cluster.conftest import LONG
from tests.cluster.people import Person, people
from tests.cluster.test_surroundings import machines
from tests.machine.waiting import PATIENCE, wait_for

from darkroom.files.images.image_file import without_record

MATRIX = "matrix: {model: demo, lora: [%s], prompts: [cats, dogs], seed: [1]}\n"
_A_GROUPS = stat.S_IRWXG | stat.S_ISGID
_NOBODYS = 0o444  # a finished picture, which is replaced and never written to
TWELVE = ("--set-resources", "shard:images=12")


@dataclass(frozen=True)
class Shared:
    """A project folder of a group's, and two of its people."""

    project: Cluster
    group: str
    first: Person
    second: Person

    def begin(self, person: Person, experiment: str = "small") -> subprocess.Popen[str]:
        """A run on the cluster, in the background; what it says is read at its end."""
        line = person.typing(self.project.on("slurm", *TWELVE, experiment=experiment), self.project.folder)
        return subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def run(self, person: Person, experiment: str = "small") -> tuple[int, str]:
        run = self.begin(person, experiment)
        said, _ = run.communicate(timeout=PATIENCE)
        return run.returncode, said

    def not_the_groups(self) -> list[str]:
        """What of the folder one of them cannot write, and whose it is."""
        found = [path for path in self.project.folder.rglob("*") if not path.is_symlink()]
        return [f"{path} {path.owner()} {oct(path.stat().st_mode)}" for path in found if not self._is_the_groups(path)]

    def _is_the_groups(self, path: Path) -> bool:
        at = path.stat()
        if path.group() != self.group:
            return False
        if path.is_dir():
            return at.st_mode & _A_GROUPS == _A_GROUPS
        return bool(at.st_mode & stat.S_IWGRP) or stat.S_IMODE(at.st_mode) == _NOBODYS


@pytest.fixture
def shared(slurm: Path) -> Iterator[Shared]:
    with tempfile.TemporaryDirectory() as name:  # pytest's are closed to people
        top = Path(name)
        top.chmod(0o755)
        project = Cluster(top / "project")
        for prompts in ("cats", "dogs"):
            project.write(f"conf/prompts/{prompts}.yaml", LONG)
        project.write("conf/experiment/small.yaml", MATRIX % "none, demo_lora")
        project.write("conf/experiment/more.yaml", MATRIX % "none, demo_lora, demo_lokr")
        (project.folder / ".snakemake/log").mkdir(parents=True)  # somebody has worked here before
        with people(2, machines(slurm), top) as (group, (first, second)):
            shared = (
                f"chgrp -R {group} . && chmod -R g+rwX . && find . -type d -exec chmod g+s {{}} +"  # docs/cluster.md
            )
            subprocess.run(["sh", "-c", shared], cwd=project.folder, check=True)
            yield Shared(project, group, first, second)
            project.wait_for_silence()


def test_what_one_has_rendered_another_goes_on_with(shared: Shared, undisturbed: dict[str, bytes]) -> None:
    project = shared.project
    with project.watched() as written:
        status, said = shared.run(shared.first)
        assert status == 0, said
        before = project.rendered()
        project.write("conf/experiment/small.yaml", MATRIX % "none, demo_lora, demo_lokr")
        status, said = shared.run(shared.second)
        assert status == 0, said
    assert before.items() <= project.rendered().items()
    assert len(written) == RENDERED, "nothing was rendered twice"
    assert project.pictures() == undisturbed
    assert {job["UserId"].partition("(")[0] for job in project.jobs()} == {shared.first.name, shared.second.name}
    assert shared.not_the_groups() == []
    assert "Nothing to be done" in shared.run(shared.first)[1], "and the first one has it too"


def test_two_who_run_at_once_share_the_work(shared: Shared, undisturbed: dict[str, bytes]) -> None:
    project = shared.project
    with project.watched() as written:
        runs = [shared.begin(shared.first, "small"), shared.begin(shared.second, "more")]
        wait_for(project.stored, "a picture", runs[0])
        status, said = shared.run(shared.second, "small")
        assert status == 1
        assert "results/small: another Snakemake is at work on this experiment; wait for its end" in said
        for run in runs:
            said, _ = run.communicate(timeout=PATIENCE)
            assert run.returncode == 0, said
    assert len(written) == RENDERED, "nothing was rendered twice"
    for experiment, count in (("more", RENDERED * 2), ("small", 16)):
        found = project.pictures(experiment)
        assert len(found) == count
        assert all(without_record(data) == without_record(undisturbed[name]) for name, data in found.items()), (
            "but for the experiment's name"
        )
    assert shared.not_the_groups() == []
    for person, experiment in ((shared.second, "small"), (shared.first, "more")):
        assert "Nothing to be done" in shared.run(person, experiment)[1], "whoever asks"

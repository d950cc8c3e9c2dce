"""People of a machine for tests: users with a group in common, who type at a node of the test cluster."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.places import REPOSITORY


@dataclass(frozen=True)
class Person:
    """A user. `node`: what is mounted where they type, for nsenter."""

    name: str
    home: Path
    node: Path

    def typing(self, command: Sequence[str], folder: Path, **environment: str) -> list[str]:
        """The command line of root's that is this person's, in a folder."""
        user = ["setpriv", f"--reuid={self.name}", "--regid=nogroup", "--init-groups"]
        variables = {"HOME": str(self.home), "XDG_CACHE_HOME": str(self.home / ".cache"), **environment}
        place = ["env", f"--chdir={folder}", *(f"{name}={value}" for name, value in variables.items())]
        return ["nsenter", f"--mount={self.node}", *user, *place, *command]


@contextmanager
def people(count: int, nodes: Sequence[Path], homes: Path) -> Iterator[tuple[str, list[Person]]]:
    """A group, and users in it, for a while, to whom Python and this checkout are open on these nodes."""
    if shutil.which("useradd") is None:
        pytest.skip("no useradd, to make users with")
    mark = secrets.token_hex(3)
    with ExitStack() as made:

        def make(kind: str, name: str, *options: str) -> None:
            subprocess.run([f"{kind}add", *options, name], check=True)
            made.callback(subprocess.run, [f"{kind}del", name], check=True)

        group, names = f"lab-{mark}", [f"person{number}-{mark}" for number in range(1, count + 1)]
        make("group", group)
        for name in names:
            home = homes / name
            make("user", name, "--no-create-home", f"--home-dir={home}", "--gid=nogroup", f"--groups={group}")
            home.mkdir()
            shutil.chown(home, name)
        for node in nodes:
            made.enter_context(_opened(node))
        yield group, [Person(name, homes / name, nodes[0]) for name in names]


OPEN = """\
set -e
closed=$1 hold=$(mktemp -d) number=0; shift
for path; do number=$((number + 1)); mkdir "$hold/$number"; mount --bind "$path" "$hold/$number"; done
mount -t tmpfs -o mode=755 none "$closed"
number=0
for path; do number=$((number + 1)); mkdir -p "$path"; mount --move "$hold/$number" "$path"; rmdir "$hold/$number"; done
rmdir "$hold"
"""


@contextmanager
def _opened(node: Path) -> Iterator[None]:
    """Within, what these tests need of a folder that is closed to people, as root's home is, is open on a node."""
    needed = {
        Path(sys.base_prefix),
        Path(sys.prefix),
        REPOSITORY,
        *map(Path, os.environ.get("PYTHONPATH", "").split(":")),
    }
    closed = [folder for path in needed for folder in path.parents if not folder.stat().st_mode & 0o001]
    if not closed:
        yield
        return
    (top,) = {min(closed, key=lambda folder: len(folder.parts))}
    within = [str(path) for path in needed if path.is_relative_to(top)]
    subprocess.run(["nsenter", f"--mount={node}", "sh", "-c", OPEN, "sh", str(top), *within], check=True)
    try:
        yield
    finally:
        subprocess.run(["nsenter", f"--mount={node}", "umount", "--lazy", "--recursive", str(top)], check=True)

"""File systems without locks, links, mappings, modes or renames: what goes on, and what is said."""

import errno
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.machine.preloading import python, refusing

from darkroom.errors import StoreError
from darkroom.files.atomic import write_json
from darkroom.filesystem.lock import locked
from darkroom.filesystem.refusals import replace

REFUSALS = [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK, errno.ENODEV, errno.EPERM, errno.EINVAL]
by_name = pytest.mark.parametrize("number", REFUSALS, ids=lambda number: errno.errorcode[number])

LINK = "from pathlib import Path; from darkroom.files.atomic import link; link(Path('a'), Path('b'))"
WRITE = "from pathlib import Path; from darkroom.files.atomic import write_json; write_json(Path('x.json'), 2)"
READ_ONLY = (
    "from pathlib import Path; from darkroom.filesystem.refusals import make_read_only; make_read_only(Path('a'))"
)
LOCK = """\
import sys
from pathlib import Path
from darkroom.errors import StoreError
from darkroom.filesystem.lock import locked
try:
    lock = locked(Path("results/x/.lock"))
except StoreError as error:
    sys.exit(f"refused: {error}")
print("held", flush=True)
sys.stdin.readline()
"""


@by_name
def test_where_there_are_no_links_there_is_a_copy(tmp_path: Path, number: int) -> None:
    (tmp_path / "a").write_text("the picture")
    python(LINK, tmp_path, refusing(tmp_path, "link", "chmod", number=number))
    assert (tmp_path / "b").read_text() == "the picture"
    assert not (tmp_path / "b").samefile(tmp_path / "a")
    python(LINK.replace("'b'", "'c'"), tmp_path)
    assert (tmp_path / "c").samefile(tmp_path / "a")


@by_name
def test_where_there_are_no_modes_a_file_keeps_its_own(tmp_path: Path, number: int) -> None:
    (tmp_path / "a").touch(0o640)
    python(READ_ONLY, tmp_path, refusing(tmp_path, "chmod", number=number))
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("number", [errno.EEXIST, errno.EACCES, errno.EPERM, errno.ENOTSUP])
def test_where_no_file_is_renamed_over_another_it_goes_first(tmp_path: Path, number: int) -> None:
    write_json(tmp_path / "x.json", 1)
    python(WRITE, tmp_path, refusing(tmp_path, "overwriting", number=number))
    assert json.loads((tmp_path / "x.json").read_text()) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_file_that_was_put_aside_comes_back_when_the_new_one_cannot_take_its_place(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "new").write_text("new")

    class Broken(type(tmp_path)):  # type: ignore[misc]
        def replace(self, target: Path) -> None:
            raise OSError(errno.EEXIST, "in the way")

        def rename(self, target: Path) -> Path:
            if self.name == "new":
                raise OSError(errno.EIO, "the disk is gone")
            return Path(self).rename(target)

    with pytest.raises(OSError, match="the disk is gone"):
        replace(Broken(tmp_path / "new"), tmp_path / "old")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"old": "old", "new": "new"}


def test_without_renames_nothing_is_written_and_the_old_file_stays(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", 1)
    code = f"from darkroom.errors import StoreError\ntry:\n    {WRITE}\nexcept StoreError as error:\n    print(error)"
    said = python(code, tmp_path, refusing(tmp_path, "rename")).stdout
    assert said == (
        "x.json: cannot be written: its file system cannot rename files (Function not implemented), and only so are "
        "they whole or not there; work in a folder of another\n"
    )
    assert json.loads((tmp_path / "x.json").read_text()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


# locks


def process(folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", LOCK]
    return subprocess.Popen(command, cwd=folder, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def holder(folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    """A process that has the lock by now."""
    held = process(folder, environment)
    assert held.stdout is not None
    assert held.stdout.readline() == "held\n"
    return held


def test_a_lock_keeps_two_runs_apart(tmp_path: Path) -> None:
    first = locked(tmp_path / "x/.lock")
    with pytest.raises(StoreError, match="x: another Snakemake is at work on this experiment; wait for its end"):
        locked(tmp_path / "x/.lock")
    first.close()
    locked(tmp_path / "x/.lock").close()


@by_name
def test_where_there_are_no_locks_a_file_keeps_two_runs_apart(tmp_path: Path, number: int) -> None:
    environment = refusing(tmp_path, "flock", number=number)
    first = holder(tmp_path, environment)
    _, said = process(tmp_path, environment).communicate()
    assert said == (
        f"refused: results/x: process {first.pid} on {platform.node()} is at work on this experiment; wait for its "
        "end, or delete results/x/.lock.owner if it has ended\n"
    )
    _, said = first.communicate("\n")
    assert said == (
        f"darkroom: results/x: its file system has no locks ({os.strerror(number)}); .lock.owner with host and "
        "process keeps two runs apart instead\n"
    )
    assert not (tmp_path / "results/x/.lock.owner").exists()


def test_the_file_of_a_killed_run_is_taken_over(tmp_path: Path) -> None:
    environment = refusing(tmp_path, "flock")
    killed = holder(tmp_path, environment)
    killed.kill()
    killed.communicate()
    assert (tmp_path / "results/x/.lock.owner").is_file()
    holder(tmp_path, environment).communicate("\n")


@pytest.mark.parametrize(
    ("found", "who"),
    [
        (json.dumps({"host": "another", "pid": 1, "started": 0.0}), "process 1 on another"),
        ("", "a process"),
    ],
)
def test_nobody_but_people_can_tell_of_another_host(tmp_path: Path, found: str, who: str) -> None:
    (tmp_path / "results/x").mkdir(parents=True)
    (tmp_path / "results/x/.lock.owner").write_text(found)
    _, said = process(tmp_path, refusing(tmp_path, "flock")).communicate()
    assert said.startswith(f"refused: results/x: {who} is at work on this experiment; wait for its end, or delete")


# mappings

ROWS = """\
from pathlib import Path
from darkroom.render.weights.tensor_file import read_rows, tensors_in
from darkroom.filesystem.refusals import can_map
path = Path("x.safetensors")
for key in ("matrix", "vector", "number", "fp8", "none"):
    for rows in (slice(None), slice(1, 3)):
        tensor = read_rows(path, key, rows)
        print(key, tensor.dtype, list(tensor.shape), tensor.double().flatten().tolist())
print(sorted(tensors_in(path.read_bytes(), path)))
print(can_map(path))
"""
GGUF = """\
from pathlib import Path
from darkroom.render.weights.gguf_file import gguf_architecture, gguf_tensors
tensors = gguf_tensors(Path("x.gguf"))
print(gguf_architecture(Path("x.gguf")), tensors["w"].shape, tensors["w"].read(slice(1, 2)).tolist())
"""


def test_weights_are_the_same_where_files_cannot_be_mapped(tmp_path: Path) -> None:
    tensors = {
        "matrix": torch.arange(12, dtype=torch.bfloat16).reshape(4, 3) / 7,
        "vector": torch.arange(4, dtype=torch.float16) / 3,
        "number": torch.tensor(0.1),
        "fp8": torch.arange(8.0).reshape(4, 2).to(torch.float8_e4m3fn),
        "none": torch.zeros(0, 5),
    }
    save_file(tensors, tmp_path / "x.safetensors")
    mapped = python(ROWS, tmp_path).stdout.splitlines()
    read = python(ROWS, tmp_path, refusing(tmp_path, "mmap", number=errno.ENODEV)).stdout.splitlines()
    assert read[:-1] == mapped[:-1]
    assert (mapped[-1], read[-1]) == ("True", "False")
    assert "vector torch.float16 [2] [0.333251953125, 0.66650390625]" in read


@pytest.mark.slow
def test_a_gguf_file_is_never_mapped(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "flux")
    writer.add_tensor("w", np.arange(6, dtype=np.float32).reshape(2, 3))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert python(GGUF, tmp_path, refusing(tmp_path, "mmap")).stdout == "flux (2, 3) [[3.0, 4.0, 5.0]]\n"

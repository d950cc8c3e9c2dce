"""Folders that several people work in."""

import os
import pwd
from pathlib import Path

import pytest
from tests.machine.preloading import python

from darkroom.filesystem.shared import check_folders

MADE = """\
import os
from pathlib import Path
from darkroom.filesystem.shared import share_with_group
os.umask(0o022)
Path("before").mkdir()
Path("before/file").touch()
share_with_group(Path(), made=[Path("before"), Path("before/file"), Path("elsewhere")])
Path("new").mkdir()
Path("new/file").touch()
print(*(oct(Path(name).stat().st_mode & 0o777) for name in ("before", "before/file", "new", "new/file")))
"""
CHECKED = """\
import os
from pathlib import Path
from darkroom.errors import StoreError
from darkroom.filesystem.shared import check_folders
if os.getuid() == 0:
    os.setresuid(65534, 65534, 65534)
try:
    check_folders(Path("store"))
except StoreError as error:
    print(error)
"""


@pytest.mark.parametrize(("mode", "made"), [(0o2775, "0o775 0o664 0o775 0o664"), (0o755, "0o755 0o644 0o755 0o644")])
def test_what_is_made_in_a_folder_of_a_groups_is_the_groups_as_well(tmp_path: Path, mode: int, made: str) -> None:
    tmp_path.chmod(mode)
    assert python(MADE, tmp_path).stdout == f"{made}\n"


def test_whose_folder_lets_nobody_in_is_said_with_what_lets_a_group_in(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "store/8d").mkdir(parents=True)
    (tmp_path / "store").chmod(0o777)
    (tmp_path / "store/8d").chmod(0o555)

    me = pwd.getpwuid(os.getuid()).pw_name
    assert python(CHECKED, tmp_path).stdout == (
        f"store/8d: cannot be written: it is {me}'s, who lets a group in by chmod -R g+rwX, and by chmod g+s on each "
        "folder (docs/cluster.md, Several people); or work in a folder of your own\n"
    )


def test_a_folder_in_which_nobody_else_can_have_made_any_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "store/8d").mkdir(parents=True)
    (tmp_path / "store").chmod(0o755)
    (tmp_path / "store/8d").chmod(0o555)
    check_folders(tmp_path / "store")
    check_folders(tmp_path / "none")

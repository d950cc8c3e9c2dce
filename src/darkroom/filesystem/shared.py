"""A folder that several people share: whether its group may write what a run makes in it, and who can change that.

A folder is its group's by two bits of its mode: setgid, with which what is made in it is the group's, and the group's
right to write.
"""

import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path

from darkroom.errors import StoreError

_GROUPS = stat.S_ISGID | stat.S_IWGRP
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def share_with_group(folder: Path, made: Iterable[Path] = ()) -> None:
    """Where a folder is its group's, let what this process writes be so from now on, and what its children write.

    `made`: folders and files in it that this process may have made before.
    """
    if folder.stat().st_mode & _GROUPS != _GROUPS:
        return
    os.umask(os.umask(0o077) & ~stat.S_IRWXG)
    for each in made:
        if each.exists() and (found := each.stat()).st_uid == os.geteuid():
            each.chmod(found.st_mode | (stat.S_IRWXG if each.is_dir() else stat.S_IRGRP | stat.S_IWGRP))


def check_folders(top: Path, *, deep: bool = True) -> None:
    """StoreError where one of the folders in `top`, which need not be there, is somebody's who lets nobody write to it.

    Where nobody else can have made one, none is looked for. `deep`: in its folders as well.
    """
    if not top.is_dir():
        return
    found = top.stat()
    if found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_MAY_WRITE:
        return
    for folder, inner, _ in os.walk(top):
        if not deep and folder != str(top):
            inner.clear()
        if not os.access(folder, os.W_OK | os.X_OK):
            raise StoreError(
                f"{folder}: cannot be written: it is {_owner(folder)}'s, who lets a group in by chmod -R g+rwX, and by "
                "chmod g+s on each folder (docs/cluster.md, Several people); or work in a folder of your own"
            )


def _owner(folder: str) -> str:
    user = Path(folder).stat().st_uid
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"

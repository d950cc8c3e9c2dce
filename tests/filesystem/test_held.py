"""Whether a lock is held, asked by whoever only looks."""

import json
import os
import platform
from contextlib import closing
from dataclasses import asdict, replace

import pytest

from darkroom.errors import StoreError
from darkroom.filesystem.lock import is_held, locked
from darkroom.filesystem.owner import Owner


def test_a_lock_is_held_until_it_is_closed(tmp_path):
    path = tmp_path / "x/.lock"
    assert not is_held(path)
    assert not path.parent.exists(), "asking writes nothing"
    with closing(locked(path)):
        assert is_held(path)
    assert not is_held(path)


def test_where_a_file_says_who_is_at_work_its_process_counts(tmp_path):
    path, owner = tmp_path / ".lock", tmp_path / ".lock.owner"
    owner.write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": 0.0}))
    assert is_held(path), "of another host nobody can tell"
    owner.write_text(json.dumps({"host": platform.node(), "pid": 1, "started": 0.0}))
    assert is_held(path), "of an older version, which said by a clock when it had started"
    owner.write_text(json.dumps(asdict(replace(Owner.here(), pid=2**22 + 1))))
    assert not is_held(path)


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    (tmp_path / ".lock").symlink_to("thesis.txt")
    with pytest.raises(StoreError, match=r"\.lock: cannot be written: it is a link; remove it$"):
        locked(tmp_path / ".lock")
    assert not is_held(tmp_path / ".lock")
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_nobody_waits_for_a_lock_that_is_a_fifo(tmp_path):
    os.mkfifo(tmp_path / ".lock")
    assert not is_held(tmp_path / ".lock")
    with pytest.raises(StoreError, match=r"\.lock: cannot be written: "):
        locked(tmp_path / ".lock")

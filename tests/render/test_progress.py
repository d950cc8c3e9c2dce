"""The line that says how far an experiment is."""

import io
import os
from pathlib import Path

from darkroom.files.atomic import write_json
from darkroom.names import Names
from darkroom.render.progress import Progress, ProgressLine, images_elsewhere
from darkroom.store import ExperimentFolder

AT_12 = Progress("demo", "demo / none / cats", done=12, total=40, seconds_per_image=0.314)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_and_the_bar() -> None:
    assert AT_12.line() == "demo  12/40 images · 0.31 s/image · ETA 0:00:09 · demo / none / cats"
    assert AT_12.bar().startswith("[#######.................] demo  12/40")
    start = Progress("demo", "demo / none / cats", 0, 40, None)
    assert start.line() == "demo  0/40 images · demo / none / cats"


def test_a_terminal_has_one_line_rewritten() -> None:
    terminal = Terminal()
    line = ProgressLine(terminal)
    line.show(AT_12)
    line.show(AT_12)
    line.close()
    assert terminal.getvalue() == f"\r\x1b[2K{AT_12.bar()}" * 2 + "\n"


def test_elsewhere_lines_are_few_and_the_last_state_is_said_once() -> None:
    stream = io.StringIO()
    line = ProgressLine(stream)
    for done in range(10):
        line.show(Progress("demo", "c", done, 10, 1.0))
    line.close()
    assert stream.getvalue().splitlines() == [
        "demo  0/10 images · 1.00 s/image · ETA 0:00:10 · c",
        "demo  9/10 images · 1.00 s/image · ETA 0:00:01 · c",
    ]


def test_other_combinations_count_if_they_were_done_before_or_have_records_by_now(tmp_path: Path) -> None:
    folder = ExperimentFolder(tmp_path / "demo")
    stale, finished = folder.records(Names("m", "b", "p")), folder.records(Names("m", "c", "p"))
    for path in (stale, finished):
        path.parent.mkdir(parents=True)
        path.touch()
    os.utime(stale, (1, 1))
    write_json(
        folder.contents,
        {"experiment": "e", "combinations": [["m", "a", "p", 2, 2], ["m", "b", "p", 3, 0], ["m", "c", "p", 4, 0]]},
    )
    os.utime(folder.contents, (1000, 1000))
    assert images_elsewhere(folder, Names("m", "a", "p")) == (4, 9)
    assert images_elsewhere(folder, Names("m", "c", "p")) == (2, 9)

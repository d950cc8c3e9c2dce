"""docs/first_night.md, followed to the letter in an empty folder."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.machine.waiting import PATIENCE
from tests.places import REPOSITORY

PAGE = (REPOSITORY / "docs/first_night.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(yaml|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
MEASURED = re.compile(r"(?<![\w.])(?:\d+\.\d+(?![\w.])|\d+(?= levels)|\d+:\d\d)")  # otherwise on another processor


@pytest.mark.slow
def test_the_page_says_what_comes(tmp_path: Path) -> None:
    environment = machine(tmp_path)
    folder = tmp_path / "renders"
    folder.mkdir()
    for language, block in BLOCK.findall(PAGE):
        if language == "console":
            for line, expected in typed(block):
                done = subprocess.run(
                    ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE
                )
                assert lacking(expected, done.stdout) == [], f"{line}\n{done.stdout}\n{done.stderr}"
        elif block.startswith("# conf/"):
            file = folder / block.partition("\n")[0].removeprefix("# ")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block, encoding="utf-8")
    assert (folder / "results/nightly/summary.md").read_text(encoding="utf-8").startswith("### nightly: failed\n")
    assert (folder / "nightly.zip").is_file()


def machine(folder: Path) -> dict[str, str]:
    """An environment in which Darkroom is installed, and its repository lies in the home folder."""
    commands = folder / "bin"
    commands.mkdir()
    for name in ("darkroom", "snakemake"):
        (commands / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" -m {name} "$@"\n')
        (commands / name).chmod(0o755)
    (folder / "darkroom").symlink_to(REPOSITORY)
    identity = {f"GIT_{who}_{what}": "night" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = f"{commands}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, **identity, "HOME": str(folder), "PATH": path}


def typed(block: str) -> Iterator[tuple[str, list[str]]]:
    """Each line that is typed, and what comes."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        line, *output = part.splitlines()
        yield line, output


def lacking(expected: list[str], output: str) -> list[str]:
    """The lines of a page that do not come, one after the other; … stands for anything, alone for lines of it."""
    lines = iter(MEASURED.sub("#", line) for line in output.splitlines())
    patterns = {line: ".*".join(map(re.escape, MEASURED.sub("#", line).split("…"))) for line in expected if line != "…"}
    return [line for line, pattern in patterns.items() if not any(re.fullmatch(pattern, each) for each in lines)]

"""A program of the user's as a scorer."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.places import REPOSITORY
from tests.review.renders import render, write_manifest

from darkroom.errors import ConfigError, DarkroomError, StoreError
from darkroom.review.scores.command import run_command

WRITES = "import sys; open(sys.argv[2], 'w').write('request,length\\na1,' + str(len(open(sys.argv[1]).read())))"


def run(code: str, manifest: Path, arguments: str = "{manifest} {table}") -> dict[str, dict[str, float]]:
    return run_command("conf/score/mine.yaml: command", f'{sys.executable} -c "{code}" {arguments}', manifest, ["a1"])


def test_it_reads_the_manifest_and_writes_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = tmp_path / "my manifest"
    manifest.write_text("12345")
    assert run(WRITES, manifest) == {"length": {"a1": 5.0}}
    run(f"print(chr(27) + '[31m'); {WRITES}", manifest)
    assert capsys.readouterr().out == "\\x1b[31m\n"


def test_the_program_of_the_page_scores_a_manifest(tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (REPOSITORY / "docs/scores.md").read_text(), re.DOTALL)
    (tmp_path / "mine.py").write_text(program)
    row = render(tmp_path, np.full((48, 64, 3), 90, np.uint8))
    command = f"{sys.executable} {tmp_path / 'mine.py'} {{manifest}} {{table}}"
    found = run_command("here", command, write_manifest(tmp_path, [row]), [row.request_id])
    assert found == {"brightness": {row.request_id: 90.0}}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit('no face found')", "ended with status 1: no face found"),
        ("import sys; open(sys.argv[2], 'w').write('id')", "command: the table that "),
        ("pass", "ended well and wrote no table: {table} in the command is its path"),
    ],
)
def test_what_it_fails_of_is_told(tmp_path: Path, code: str, said: str) -> None:
    with pytest.raises(StoreError) as caught:
        run(code, tmp_path / "manifest")
    assert said in str(caught.value)


def test_a_command_that_is_none_is_told() -> None:
    for command, said in [
        ("python x.py {manifest}", "{table} should be in it"),
        ("python 'x", "No closing quotation"),
        ("python x\0 {manifest} {table}", "no argument of a program can have a zero byte in it"),
        ("", "expected a program and its arguments, got nothing"),
    ]:
        with pytest.raises(ConfigError, match=said):
            run_command("here", command, Path("m"), [])
    with pytest.raises(DarkroomError, match="nowhere cannot be run: No such file"):
        run_command("here", "nowhere {manifest} {table}", Path("m"), [])

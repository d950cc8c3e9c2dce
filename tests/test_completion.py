"""What the Tab key offers, asked as a shell asks: by argcomplete's environment variables."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from darkroom.__main__ import main


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("conf/experiment/strength.yaml", "conf/model/mine.yaml", "results/strength/0.png", "results/a.json"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text("")
    return tmp_path


def offered(line: str, *python: str) -> tuple[list[str], str]:
    """The words offered at the end of a line, and what stands in the error stream."""
    answer = Path("answer")
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    command = [sys.executable, *python, "-m", "darkroom"]
    done = subprocess.run(command, env={**os.environ, **asked}, capture_output=True, text=True, check=True)
    return [word.strip() for word in answer.read_text().splitlines()], done.stderr


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("darkroom sho", ["show"]),
        ("darkroom import ", ["aitk", "request", "prompts"]),
        ("darkroom ru", ["run"]),
        ("darkroom run st", ["strength"]),
        ("darkroom run strength model.nu", ["model.numerics=exact", "model.numerics=fast"]),
        ("darkroom open st", ["strength"]),
        ("darkroom accept d", ["demo", "demo_nightly", "demo_training"]),
        ("darkroom show --as", ["--as-conf"]),
        ("darkroom show results/st", ["results/strength/"]),
        ("darkroom show results/strength/", ["results/strength/0.png"]),
        ("darkroom floor demo --offload b", ["block"]),
        ("darkroom completion ", ["bash", "zsh", "fish"]),
    ],
)
def test_it_offers(line: str, words: list[str]) -> None:
    assert offered(line)[0] == words


def test_nothing_slow_is_imported_for_an_answer() -> None:
    words, imported = offered("darkroom open ", "-X", "importtime")
    assert "strength" in words
    names = {line.rpartition("|")[2].strip().split(".")[0] for line in imported.splitlines()}
    assert "argcomplete" in names
    assert names & {"hydra", "omegaconf", "torch", "pyarrow", "numpy", "PIL", "snakemake", "huggingface_hub"} == set()


@pytest.mark.parametrize(("shell", "registers"), [("bash", "complete -o"), ("zsh", "compdef"), ("fish", "complete")])
def test_a_shell_is_told_how_to_ask(shell: str, registers: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    code = capsys.readouterr().out
    assert registers in code
    assert "darkroom" in code

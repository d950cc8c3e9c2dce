"""A short round of `make fuzz`: whatever a stranger's file holds, it comes to a result or to a sentence, soon."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from darkroom.errors import ConfigError, DarkroomError, ImageError
from fuzzing.mutators import bytes_changed
from fuzzing.readers import prepare
from fuzzing.rounds import Outcome, fuzz
from fuzzing.targets import TARGETS, Target

ROUNDS = 20


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    prepare(tmp_path)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_strangers_files_come_to_a_result_or_to_a_sentence(target: Target) -> None:
    outcome = fuzz(target, max(1, int(ROUNDS * target.share)), seed="short")
    assert [f"round {fault.round}: {fault.said}" for fault in outcome.faults] == []


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_what_fuzzing_begins_with_is_read(target: Target) -> None:
    for content in target.corpus():
        Path(target.file).write_bytes(content)
        for reader in target.readers:
            try:
                reader(Path(target.file))
            except DarkroomError:
                continue
            return
    raise AssertionError("no reader takes any of it")


def outcome_of(reader: Callable[[Path], object], seconds: float = 10.0) -> Outcome:
    target = Target("x", "x.bin", lambda: [b"abc"], bytes_changed, [reader], (ConfigError,))
    return fuzz(target, 1, seed="a", seconds=seconds)


def refuse(error: Exception) -> Callable[[Path], object]:
    def reader(_: Path) -> object:
        raise error

    return reader


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        (lambda path: path.read_bytes().decode("utf-16")[99], "Error"),
        (refuse(ImageError("cut off")), "ImageError is none of its refusals: 'cut off'"),
        (refuse(ConfigError("a\nb" * 9, lines=True)), ""),
        (lambda _: warnings.warn("odd", stacklevel=1), "UserWarning: odd"),
        (lambda _: "\x1b[2J", "shows '\\x1b'"),
        (lambda _: ["a", "\u202e"], "shows '\\u202e'"),
    ],
)
def test_all_else_is_a_fault(reader: Callable[[Path], object], said: str) -> None:
    faults = outcome_of(reader).faults
    assert said in "".join(fault.said for fault in faults)
    assert bool(faults) == bool(said)


def test_a_reader_without_end_is_ended() -> None:
    def reader(_: Path) -> object:
        while True:
            pass

    (first, _) = outcome_of(reader, seconds=0.05).faults
    assert "TooSlow: more than 0.1 s" in first.said


def test_the_same_seed_makes_the_same_inputs() -> None:
    seen: list[bytes] = []
    for _ in range(2):
        outcome_of(lambda path: seen.append(path.read_bytes()))
    assert seen[0] == seen[1]
    assert not Path("x.bin").exists()

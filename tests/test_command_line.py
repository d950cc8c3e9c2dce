"""What the door refuses before anything is imported for it."""

import os
import sys
from pathlib import Path

import pytest

from darkroom.__main__ import main
from darkroom.cli.entry import command_line


@pytest.mark.parametrize(
    "command",
    [
        "rule encode choice.json checkpoint.json embeddings.json",
        "rule render requests.json checkpoint.json records.parquet",
        "explain picture.png",
        "floor demo",
    ],
)
def test_a_memory_mode_that_there_is_not_is_refused_with_those_there_are(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([*command.split(), "--offload", "blok"])
    assert end.value.code == 2
    said = "argument --offload: invalid choice: 'blok' (choose from 'auto', 'none', 'model', 'block')"
    assert said in capsys.readouterr().err


def test_alone_it_lists_what_people_type_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert "Look:\n  list " in listed
    assert "Previews:\n  accept " in listed


@pytest.mark.parametrize("command", ["plan demo", "list", "prune", "run demo -n"])
def test_results_that_are_no_folder_are_said(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("results").write_text("")
    assert main(command.split()) == 1
    said = capfd.readouterr()
    assert f"{tmp_path}/results" in said.out + said.err
    assert "folder" in said.out + said.err


@pytest.mark.parametrize("command", ["accept deom", "floor deom", "status deom", "top deom", "open deom", "check deom"])
def test_a_mistyped_experiment_is_told_the_closest_there_is(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(command.split()) == 1
    assert "there is no experiment deom; did you mean demo?" in capsys.readouterr().err


def test_what_rules_call_is_listed_only_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert "unfinished" not in capsys.readouterr().out
    main(["rule"])
    assert "unfinished" in capsys.readouterr().out


def test_each_command_of_peoples_gives_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["show", "--help"])
    assert "example: darkroom show results/" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("shwo picture.png", "darkroom: error: there is no command 'shwo'; did you mean 'show'? known: accept, "),
        ("worker", "darkroom: error: there is no command 'worker'; known: accept, "),
        ("import aitkk output/job", "there is no command 'aitkk'; did you mean 'aitk'? known: aitk, prompts, request"),
    ],
)
def test_a_command_that_there_is_not_is_answered_with_the_closest_one_that_people_type(command, said, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(command.split())
    told = capsys.readouterr().err
    assert said in told
    assert "rule" not in told


@pytest.mark.parametrize(
    "words",
    [
        "demo model.numerics=fast output.format=jpeg --name q3 --profile slurm",
        "demo --name q3 model.numerics=fast --profile slurm output.format=jpeg",
        "--name q3 demo --profile slurm model.numerics=fast output.format=jpeg",
        "demo model.numerics=fast --name q3 output.format=jpeg --profile=slurm",
    ],
)
def test_overrides_and_options_of_plan_come_in_any_order(words: str) -> None:
    options = command_line().parse_args(["plan", *words.split()])
    assert options.overrides == ["model.numerics=fast", "output.format=jpeg"]
    assert (options.experiment, options.name, options.profile) == ("demo", "q3", "slurm")


@pytest.mark.parametrize("command", ["run", "regress"])
def test_overrides_behind_an_option_of_darkrooms_reach_snakemakes_words(command: str) -> None:
    options, words = command_line().parse_known_args([command, "demo", "--name", "q3", "model.numerics=fast", "-n"])
    assert (options.name, words) == ("q3", ["demo", "model.numerics=fast", "-n"])


def test_an_option_that_there_is_not_is_refused_among_overrides(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["plan", "demo", "--nmae", "model.numerics=fast"])
    assert capsys.readouterr().err.endswith("unrecognized arguments: --nmae\n")


def test_files_behind_an_option_are_files(tmp_path: Path) -> None:
    options = command_line().parse_args(["lora", "a.safetensors", "--base", "conf", "b.safetensors"])
    assert options.files == [Path("a.safetensors"), Path("b.safetensors")]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../x", "--config name: '../x' is not a usable name: "),
        ("", "--config name: '' is not a usable name: "),
        ("store", "--config name=store: results/store is the store's; name it otherwise"),
        ("demo_nightly", "--config name=demo_nightly: results/demo_nightly is experiment demo_nightly's own"),
    ],
)
def test_plan_refuses_the_names_that_a_run_refuses(
    name: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plan", "demo", "--name", name]) == 1
    assert said in capsys.readouterr().err


def test_what_is_said_where_stderr_is_closed_goes_nowhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)  # as Python has it after `2>&-`
    assert main(["open", "../x"]) == 1
    sys.stderr.close()
    assert capsys.readouterr().out == ""


def test_a_closed_stdin_is_an_empty_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it after `<&-`
    kept = os.dup(0)
    os.close(0)
    try:
        assert main(["list"]) == 0
        assert os.get_inheritable(0), "whatever is started from here has it too"
        assert (os.read(0, 1), sys.stdin.isatty()) == (b"", False)
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_results_that_another_user_keeps_private_are_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    tmp_path.chmod(0o755)
    assert main(["list"]) == 0  # all is imported now, which another user might not be able to read
    (tmp_path / "results").chmod(0)
    user = os.geteuid()
    try:
        if user == 0:
            os.seteuid(65534)
        statuses = [main(["list"]), main(["check"]), main(["prune"])]
    finally:
        os.seteuid(user)
    assert statuses == [1, 1, 1]
    assert capsys.readouterr().err == "darkroom: results: Permission denied\n" * 3


def test_a_folder_that_somebody_has_removed_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["list"]) == 1
    said = capsys.readouterr().err
    assert said == 'darkroom: the folder that you are in is no more; cd "$PWD" goes to a new one of its name\n'

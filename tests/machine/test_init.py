"""`darkroom init`: what is found, what is asked, what is written, and over what nothing is written."""

from pathlib import Path

import pytest
import yaml

from darkroom.__main__ import main
from darkroom.errors import ConfigError
from darkroom.machine.asking import agreed_locations
from darkroom.machine.locations import Locations, LocationsFile
from darkroom.machine.usual_places import guessed

FILE = Path(".config/darkroom/config.yaml")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def programs(home: Path) -> tuple[str, str]:
    comfyui, toolkit = home / "ComfyUI/models", home / "ai-toolkit"
    for folder in (comfyui / "vae", toolkit / "toolkit"):
        folder.mkdir(parents=True)
    (toolkit / "run.py").touch()
    return str(comfyui), str(toolkit)


def test_what_lies_in_usual_places_is_found_and_written(programs, capsys):
    comfyui, toolkit = programs
    assert main(["init", "--yes"]) == 0
    assert yaml.safe_load(FILE.read_text()) == {
        "model": {"checkpoint": {"comfyui_models": comfyui}},
        "machine": {"ai_toolkit": toolkit},
    }
    said = capsys.readouterr().out
    assert f"{FILE.absolute()}: is to become\n    +# Written by darkroom init" in said
    assert "\nmemory   " in said
    assert "\nflux2_klein_4b, flux2_klein_4b_distilled  " in said


def test_what_is_told_goes_before_what_is_written_and_that_before_what_is_found(home, programs):
    comfyui, _ = programs
    known = (
        Locations(hf_home="/told").over(Locations(hf_home="/written", ai_toolkit="/written")).over(guessed(home, ()))
    )
    assert known == Locations(comfyui=comfyui, ai_toolkit="/written", hf_home="/told")
    assert guessed(home / "ComfyUI", ()) == Locations()


def test_an_hf_home_of_the_login_is_taken_over(home, monkeypatch):
    (home / "big/hf").mkdir(parents=True)
    monkeypatch.setenv("HF_HOME", str(home / "big/hf"))
    assert guessed(home, ()).hf_home == str(home / "big/hf")


def test_where_there_can_be_no_file_nothing_is_known_and_writing_says_why(home):
    (home / "note").touch()
    file = LocationsFile.read(home / "note/darkroom/config.yaml")
    assert (file.text, file.locations) == (None, Locations())
    with pytest.raises(ConfigError, match=r"note/darkroom/config\.yaml: cannot be written: "):
        file.write("machine: {}\n")


def test_without_a_terminal_and_without_yes_nothing_is_written(programs, capsys):
    assert main(["init"]) == 1
    assert capsys.readouterr().err == (
        "darkroom: the input is no terminal, so nobody can be asked: --yes takes what is given and found\n"
    )
    assert not FILE.exists()


def test_folders_that_are_not_what_they_should_be_are_told_together_and_nothing_is_written(home, capsys):
    assert main(["init", "--yes", "--comfyui", "gone", "--ai-toolkit", ".", "--hf-home", "nowhere"]) == 1
    told = capsys.readouterr().err
    assert "--comfyui: gone: expected ComfyUI's folder, or its models folder with one of diffusion_models, " in told
    assert "--ai-toolkit: .: expected ai-toolkit's folder, with run.py and toolkit/ in it" in told
    assert "--hf-home: nowhere: expected a folder, the one that HF_HOME would name, with hub/ in it" in told
    assert not FILE.exists()


def test_enter_takes_what_is_known_a_dash_is_none_and_a_wrong_answer_is_asked_again(programs, capsys):
    comfyui, toolkit = programs
    answers = iter(["", "/gone", "ai-toolkit", "-"])
    asked = []

    def ask(question: str) -> str:
        asked.append(question)
        return next(answers)

    known = Locations(comfyui=comfyui, hf_home="/old")
    assert agreed_locations(known, Locations(), ask) == Locations(comfyui=comfyui, ai_toolkit=toolkit, hf_home=None)
    assert asked[:2] == [f"ComfyUI's folder [{comfyui}], - for none: ", "ai-toolkit's folder [none]: "]
    assert "/gone: expected ai-toolkit's folder" in capsys.readouterr().out


def test_an_edited_file_keeps_what_else_stands_in_it_and_every_change_is_shown(home, programs):
    FILE.parent.mkdir(parents=True)
    FILE.write_text("output: {format: webp}\nmodel: {dtype: float32, checkpoint: {comfyui_models: /old}}\n")
    file = LocationsFile.read(FILE)
    assert file.locations == Locations(comfyui="/old")
    assert file.with_locations(Locations(comfyui="/old")) == file.text
    text = file.with_locations(Locations(comfyui="/new"))
    assert yaml.safe_load(text) == {
        "output": {"format": "webp"},
        "model": {"dtype": "float32", "checkpoint": {"comfyui_models": "/new"}},
    }
    assert "-model: {dtype: float32, checkpoint: {comfyui_models: /old}}" in file.changes(text)
    assert '+  checkpoint: {comfyui_models: "/new"}' in file.changes(text)


def test_a_file_that_cannot_be_read_stays_as_it_is(capsys):
    FILE.parent.mkdir(parents=True)
    FILE.write_text("model: [\n")
    assert main(["init", "--yes"]) == 1
    assert capsys.readouterr().err.startswith(f"darkroom: {FILE.absolute()}: cannot be read, so it stays as it is: ")
    assert FILE.read_text() == "model: [\n"


def test_a_job_is_found_by_its_name_in_ai_toolkit_s_output(home, programs, capsys):
    _, toolkit = programs
    FILE.parent.mkdir(parents=True)
    FILE.write_text(f"machine: {{ai_toolkit: {toolkit}}}\n")
    Path(toolkit, "output/my_job").mkdir(parents=True)
    assert main(["import", "aitk", "my_job"]) == 1
    assert f"{toolkit}/output/my_job" in capsys.readouterr().err

"""`darkroom pick` and `darkroom picks`, typed: a checkpoint goes to where it is used, with a card, and into conf/."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.review.choosing.sweep import checkpoint, ids, sweep, write_experiment
from tests.review.renders import THRESHOLDS, picture, preview, render

from darkroom.__main__ import main
from darkroom.errors import value_of
from darkroom.files.weight_file import sha256_of
from darkroom.plan.conf.compose import Conf
from darkroom.plan.conf.folders import CONF_DIRS
from darkroom.plan.conf.reader import read
from darkroom.plan.conf.schema import LoraStack
from darkroom.previews import previews_file, write_previews
from darkroom.record.circumstances import LoraUse
from darkroom.request.parts import Lora
from darkroom.review.regress.compare import compare
from darkroom.store import ExperimentFolder
from darkroom.thresholds import write_thresholds

LORAS = Path("ComfyUI/models/loras")


@pytest.fixture
def rows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    LORAS.mkdir(parents=True)
    rows = sweep()
    write_experiment(rows)
    return rows


def typed(capsys, line):
    """Exit status and what was said."""
    status = main(line.split())
    said = capsys.readouterr()
    return status, said.out + said.err


def test_a_checkpoint_is_copied_with_a_card_and_becomes_an_option(rows, capsys):
    status, said = typed(capsys, f"pick star_pick --step 500 --strength 0.5 --to {LORAS}")
    assert status == 0, said
    assert said.splitlines() == [
        "star_000000500 at 0.5: 2 pictures",
        f"{LORAS}/star_000000500.safetensors: copied, 19 bytes, SHA-256 {rows[-1].loras[0].sha256[:12]}…",
        f"{LORAS}/star_000000500.html: written",
        "conf/lora/star_pick.yaml: written",
    ]
    assert (LORAS / "star_000000500.safetensors").read_bytes() == checkpoint(500).read_bytes()
    card = (LORAS / "star_000000500.html").read_text()
    for shown in ("star_000000500 at 0.5", "sks", "a cat", rows[-1].loras[0].sha256, 'src="data:image/'):
        assert shown in card
    assert "http" not in card
    assert Path("conf/lora/star_pick.yaml").read_text().splitlines()[1:] == [
        "trigger_word: sks",
        "loras:",
        "  - {path: ComfyUI/models/loras/star_000000500.safetensors, network_multiplier: 0.45}",
    ]


def test_the_option_composes(rows, capsys):
    typed(capsys, f"pick star_pick --step 500 --to {LORAS} --name star_of_mine")
    option = Conf("demo", CONF_DIRS, []).option("lora", "star_of_mine")
    stack = value_of(read(LoraStack, option.content, option.origin))
    assert [(file.path, file.network_multiplier) for file in stack.loras] == [
        ("ComfyUI/models/loras/star_000000500.safetensors", 0.9)
    ]
    assert stack.trigger_word == "sks"


def test_of_a_stack_every_file_goes_along_at_its_own_strength(rows, capsys):
    files = [Lora(str(checkpoint(step)), 0.6, sha256_of(checkpoint(step))) for step in (250, 500)]
    made = render(Path("stack"), picture(), lora="both", loras=tuple(files), experiment="star_pick")
    write_experiment([replace(made, loras=tuple(map(LoraUse.of_none, files)))])  # at strength 0.5
    assert typed(capsys, f"pick star_pick --to {LORAS} --name both")[0] == 0
    assert {path.name for path in LORAS.iterdir()} == {
        *("star_000000250.safetensors", "star_000000500.safetensors"),
        "star_000000250.html",
    }
    assert Path("conf/lora/both.yaml").read_text().count("network_multiplier: 1.2") == 2


def test_again_nothing_is_copied_twice_and_another_choice_takes_the_options_place(rows, capsys):
    typed(capsys, f"pick star_pick --step 500 --strength 0.5 --to {LORAS}")
    checkpoint(500).unlink()
    _, said = typed(capsys, f"pick star_pick --step 500 --strength 1 --to {LORAS}")
    assert "star_000000500.safetensors: there already" in said
    assert "conf/lora/star_pick.yaml: written anew" in said


def test_it_goes_to_the_comfyui_of_this_machine(rows, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    status, said = typed(capsys, "pick star_pick --step 250")
    assert (status, "--to: say which folder, such as ~/ComfyUI/models/loras" in said) == (1, True)
    (tmp_path / "config/darkroom").mkdir(parents=True)
    where = f"model: {{checkpoint: {{comfyui_models: {tmp_path}/ComfyUI/models}}}}"
    (tmp_path / "config/darkroom/config.yaml").write_text(where)
    assert typed(capsys, "pick star_pick --step 250")[0] == 0
    assert (LORAS / "star_000000250.safetensors").is_file()


def test_the_card_says_how_it_compared_with_the_trainers_previews(rows, capsys):
    write_previews(previews_file("star_pick"), "star_pick", [preview(Path(), row, picture(50)) for row in rows[-2:]])
    write_thresholds(Path("thresholds.json"), {"demo": THRESHOLDS})
    folder = ExperimentFolder(Path("results/star_pick"))
    compare(folder.manifest, previews_file("star_pick"), Path("thresholds.json"), folder.comparison)
    typed(capsys, f"pick star_pick --step 500 --to {LORAS}")
    card = (LORAS / "star_000000500.html").read_text()
    for shown in ("star_pick: 2 identical", "preview, seed 42", "strength 1, seed 42 · identical"):
        assert shown in card


def voted(rows, count):
    """A picks file in which step 500 at 1 won so many votes against step 250 at 1; one picture is of another run."""
    winner, loser = ids(rows, 500, 1.0)[0], ids(rows, 250, 1.0)[0]
    votes = [{"winner": winner, "loser": loser, "at": f"2026-11-28T17:{n:02}:00Z"} for n in range(count)]
    mark = {"rating": 5, "star": True, "reject": False, "note": "as I wanted it", "at": "2026-11-28T17:00:00Z"}
    people = [{"who": "Anna", "marks": {winner: mark, "f" * 64: mark}, "votes": votes}]
    Path("anna.json").write_text(json.dumps({"format": 1, "experiment": "star_pick", "people": people}))


def test_the_best_by_votes_is_taken_and_its_card_says_what_people_said(rows, capsys):
    voted(rows, 6)
    status, said = typed(capsys, f"pick star_pick --picks anna.json --to {LORAS}")
    assert status == 0, said
    assert "Without effect: 1 of the 3 pictures of Anna, which the experiment has not, or not any more: " in said
    card = (LORAS / "star_000000500.html").read_text()
    for shown in ("won 6 of 6 (61–100 % at 95 %)", "5.00 of 5", "as I wanted it"):
        assert shown in card


def test_picks_are_counted_and_merged(rows, capsys):
    voted(rows, 6)
    status, said = typed(capsys, "picks star_pick anna.json -o all.json")
    assert status == 0, said
    assert "Best: star_000000500 at 1, ahead of the other at 95 %, by 6 votes." in said
    assert said.endswith("all.json: written, of Anna\n")
    assert typed(capsys, "picks star_pick all.json")[0] == 0


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("pick star_pick --step 800", "--step 800: star_pick has 250, 500"),
        ("pick star_pick --lora moon", "--lora moon: star_pick has star_000000250, star_000000500"),
        ("pick star_pick --lora star --step 250 --to nowhere", "nowhere: no such folder"),
        ("pick star_pick --step 500 --strength 0.7", "--strength 0.7: star_pick has 0.5, 1"),
        ("pick star_pick --strength 1", "2 LoRAs fit: say which with --step (250, 500), or"),
        ("pick star_pick --picks few.json", "may be as good; more votes tell, or say which with --step and --strength"),
        ("pick star_pick --step 500 --to nowhere", "nowhere: no such folder; make it, or name another with --to"),
        ("pick stra_pick --step 500", "there is no experiment stra_pick; did you mean star_pick?"),
        ("pick star_pick --step 500 --to ~nobody_here/x", "~nobody_here/x: no such folder; make it, or name another"),
        (f"pick star_pick --step 500 --to {300 * 'x'}", "xxx: no such folder; make it, or name another with --to"),
        ("picks star_pick missing.json", "missing.json: no such file"),
        ("picks star_pick few.json -o .", "-o .: expected a file to write, got a folder; name a file in it"),
        (
            "picks star_pick few.json -o ComfyUI",
            "-o ComfyUI: expected a file to write, got a folder; name a file in it",
        ),
    ],
)
def test_bad_input_is_a_sentence_and_nothing_is_written(rows, capsys, line, sentence):
    voted(rows, 2)
    Path("anna.json").rename("few.json")
    status, said = typed(capsys, line)
    assert (status, sentence in said) == (1, True), said
    assert list(LORAS.iterdir()) == []
    assert not Path("conf").exists()


def test_a_file_of_picks_that_was_not_read_is_not_written_over(rows, capsys):
    voted(rows, 6)
    annas = Path("anna.json").read_text()
    Path("ben.json").write_text(annas.replace("Anna", "Ben"))
    status, said = typed(capsys, "picks star_pick -o anna.json ben.json")
    assert status == 1
    assert said == "darkroom: -o anna.json: there already, and none of the files read; read it too, or name a new one\n"
    assert Path("anna.json").read_text() == annas
    assert typed(capsys, "picks star_pick ben.json anna.json -o ./anna.json")[1].endswith("written, of Anna, Ben\n")


@pytest.mark.parametrize("made", [os.mkdir, os.mkfifo])
@pytest.mark.parametrize("name", ["star_000000500.html", "star_000000500.safetensors"])
def test_what_is_no_file_has_to_be_moved_away_before_anything_is_written(rows, capsys, name, made):
    made(LORAS / name)
    status, said = typed(capsys, f"pick star_pick --step 500 --to {LORAS} --force")
    assert (status, f"{name}: expected a file or nothing; move away what is there" in said) == (1, True), said
    assert [path.name for path in LORAS.iterdir()] == [name]


@pytest.mark.parametrize("line", ["pick star_pick --step 500 --to lora", "pick star_pick --step 500 --to lora --force"])
def test_where_there_can_be_no_option_nothing_is_written(rows, capsys, line):
    Path("lora").mkdir()
    Path("conf").write_text("notes")
    status, said = typed(capsys, line)
    assert (status, said.count("\n")) == (1, 1)
    assert "conf/lora/star_pick.yaml: no file can be written there: a folder or the like has its name, or" in said
    assert list(Path("lora").iterdir()) == []


def test_another_file_of_the_name_is_replaced_only_where_one_says_so(rows, capsys):
    (LORAS / "star_000000500.safetensors").write_text("somebody else's")
    line = f"pick star_pick --step 500 --to {LORAS}"
    status, said = typed(capsys, line)
    assert status == 1
    assert "another file has this name; --force replaces it, --to names another folder" in said
    assert not Path("conf").exists()
    assert typed(capsys, f"{line} --force")[0] == 0
    assert (LORAS / "star_000000500.safetensors").read_bytes() == checkpoint(500).read_bytes()


def test_a_file_that_is_another_than_was_rendered_with_is_not_copied(rows, capsys):
    checkpoint(500).write_text("trained on")
    status, said = typed(capsys, f"pick star_pick --step 500 --to {LORAS}")
    assert status == 1
    assert "not the file that was rendered with; render again, then pick" in said
    assert list(LORAS.iterdir()) == []

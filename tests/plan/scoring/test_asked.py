"""What an experiment asks its pictures to be scored by."""

import sys

import pytest
from tests.examples.small_project import EXPERIMENT, Project

from darkroom.plan.scoring.asked import digest_of_scorer
from darkroom.scoring.scorer import Scorer

COMMAND = f"{sys.executable} mine.py {{manifest}} {{table}}"


def asked(project: Project, score: str) -> None:
    """Of pictures that can be scored: the base model's among them, two seeds."""
    experiment = EXPERIMENT.replace("lora: [l]", "lora: [none, l]")
    project.write("conf/experiment/e.yaml", f"{experiment}  seed: [1, 2]\nscore: {score}\n")


def test_scorers_are_taken_in_their_order_one_s_own_among_them(project: Project) -> None:
    project.write("conf/score/mine.yaml", f"kind: command\ncommand: {COMMAND}\nbetter: lower\n")
    asked(project, "[mine, change]")
    scorers = project.load().scorers
    assert list(scorers.items()) == [
        ("mine", Scorer(kind="command", command=COMMAND, better="lower")),
        ("change", Scorer(kind="change")),
    ]
    assert digest_of_scorer(scorers["mine"]) != digest_of_scorer(Scorer(kind="command", command=COMMAND))


def test_an_override_asks_for_others(project: Project) -> None:
    asked(project, "[change]")
    assert list(project.load("score=[diversity]").scorers) == ["diversity"]
    assert list(project.load("score=[]").scorers) == []
    assert "override score[0]: there is no conf/score/mine.yaml; known: " in project.error("score=[mine]")
    assert "override score=change: expected a list, such as score=[change,diversity]" in project.error("score=change")


@pytest.mark.parametrize(
    ("score", "file", "said"),
    [
        ("change", "kind: change", "conf/experiment/e.yaml: score: expected a list, got 'change'"),
        (
            "[chnge]",
            "kind: change",
            "conf/experiment/e.yaml: score[0]: there is no conf/score/chnge.yaml; did you mean ",
        ),
        ("[3]", "kind: change", "conf/experiment/e.yaml: score[0]: expected a name, got 3"),
        ("[m]", "kind: chang", "conf/score/m.yaml: kind: 'chang' is not one of: change, diversity"),
        ("[m]", "kind: text", "conf/score/m.yaml: checkpoint: is missing; kind text needs checkpoint"),
        ("[m]", "kind: change\ncommand: x", "conf/score/m.yaml: command: kind change has no use for it; leave it out"),
        (
            "[m]",
            "kind: references\ncheckpoint: a/b\nreferences: gone",
            "conf/score/m.yaml: references: gone: expected a folder with pictures in it",
        ),
        ("[m]", "kind: command\ncommand: python x.py", "m.yaml: command: {manifest} and {table} should be in it"),
        ("[m]", "kind: command\ncommand: python 'x", "conf/score/m.yaml: command: No closing quotation"),
        ("[m]", "kind: command\ncommand: gone.py {manifest} {table}", "command: gone.py: expected a program, by its "),
        (
            "[request_id]",
            "",
            "score[0]: request_id is an axis or a column of the manifest: give the score another name",
        ),
        ("[seed]", "", "score[0]: seed is an axis or a column of the manifest"),
        ("[Seed.of.mine]", "", "score[0]: Seed is an axis or a column of the manifest"),
        ("[m, m.x]", "kind: change", "score[1]: m.x is a column of the score m: give the score another name"),
        ("[step]", "", "score[0]: step is an axis or a column of the manifest"),
    ],
)
def test_what_cannot_be_meant_is_a_sentence(project: Project, score: str, file: str, said: str) -> None:
    project.write("conf/score/m.yaml", file)
    asked(project, score)
    assert said in project.error()


def test_what_no_picture_could_be_compared_by_is_told_before_any_is_rendered(project: Project) -> None:
    asked(project, "[change, diversity]")
    assert "score[0]: change: there is no picture of the base model: add none to" in project.error("matrix.lora=[l]")
    assert "score[1]: diversity: no prompt has two seeds: add seed: 1..4 to matrix" in project.error("matrix.seed=[1]")

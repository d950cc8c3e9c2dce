"""What `darkroom list` says of experiments in every state, whole and damaged; which page `darkroom open` takes."""

import json
from contextlib import closing
from pathlib import Path

import pytest
from tests.examples.record import record
from tests.review.inventory.results_folder import RESULTS, experiment, shown, stored

from darkroom.__main__ import main
from darkroom.errors import ConfigError, StoreError
from darkroom.filesystem.lock import locked
from darkroom.record.rows import NOT_RENDERED, Failure, write_records
from darkroom.review.inventory.browser import address, no_browser
from darkroom.review.inventory.listing import as_json, as_table, listed
from darkroom.review.inventory.pages import page_of

MADE = record()
FAILED = Failure.of(MADE.request.changed(index=1), "holds NaN")


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def states(*described):
    return {each.name: (each.state, each.pictures, each.asked) for each in listed(RESULTS, described)}


def test_an_experiment_of_conf_alone_was_never_rendered():
    assert states("cats") == {"cats": ("never rendered", 0, None)}


def test_a_run_goes_from_unfinished_over_running_to_finished():
    folder = experiment("cats", "a", "b")
    shown(folder, stored("a"))
    assert states("cats") == {"cats": ("unfinished", 1, 2)}
    with closing(locked(folder.lock)):
        assert states() == {"cats": ("running", 1, 2)}
    write_records(folder.manifest, [MADE, MADE], {})
    assert states() == {"cats": ("finished", 2, 2)}


def test_pictures_that_failed_are_counted():
    folder = experiment("cats", "a", "b")
    write_records(folder.manifest, [MADE, FAILED], {})
    assert states() == {"cats": ("failed", 1, 2)}
    lines = as_table(listed(RESULTS, []), 0).splitlines()
    assert [line.split("  ")[0] for line in lines] == ["experiment", "cats      "[:4]]
    assert "1 failed    1 of 2" in lines[1]


def test_an_experiment_whose_run_was_stopped_is_unfinished():
    folder = experiment("cats", "a", "b")
    no_turn = Failure.of(MADE.request.changed(index=1), "no turn", NOT_RENDERED)
    write_records(folder.manifest, [MADE, no_turn], {})
    assert states() == {"cats": ("unfinished", 1, 2)}
    write_records(folder.manifest, [MADE, FAILED, no_turn], {})
    assert "1 failed    1 of 3" in as_table(listed(RESULTS, []), 0)


def test_what_is_damaged_is_listed_with_what_is_wrong():
    folder = experiment("cats", "a")
    folder.manifest.write_bytes(b"PAR1 cut off")
    folder.comparison.write_bytes(b"")
    (cats,) = listed(RESULTS, [])
    assert cats.state == "unreadable"
    assert [problem.split(": ")[0] for problem in cats.problems] == [str(folder.manifest), str(folder.comparison)]
    assert "not a whole Parquet file" in as_table([cats], 0)


@pytest.mark.parametrize("text", ["{", "{}", '{"combinations": [["m"]]}'])
def test_a_damaged_table_of_contents_is_not_fatal(text):
    folder = experiment("cats")
    folder.contents.write_text(text)
    assert states() == {"cats": ("unreadable", 0, None)}


def test_folders_of_other_people_are_left_alone():
    (RESULTS / "notes").mkdir(parents=True)
    (RESULTS / "notes/todo.txt").write_text("nothing of ours")
    assert states() == {}


def test_programs_get_the_same_as_json():
    experiment("cats", "a")
    (cats,) = json.loads(as_json(listed(RESULTS, [])))
    assert (cats["name"], cats["state"], cats["asked"]) == ("cats", "unfinished", 1)


def test_the_built_in_experiments_are_listed_where_nothing_was_rendered(capsys):
    assert main(["list"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "experiment     state           pictures  changed  size  verdicts",
        "demo           never rendered",
        "demo_nightly   never rendered",
        "demo_training  never rendered",
    ]


def test_a_page_is_found_or_said_to_be_missing_with_what_makes_it():
    folder = experiment("cats")
    with pytest.raises(StoreError, match=r"cats: has no report\.html yet: `darkroom run cats` makes it"):
        page_of("cats", RESULTS, [])
    with pytest.raises(StoreError, match="dogs: was never rendered: `darkroom regress dogs` makes it"):
        page_of("dogs", RESULTS, ["dogs"], regress=True)
    with pytest.raises(ConfigError, match=r"there is no experiment cast; did you mean cats\?"):
        page_of("cast", RESULTS, ["dogs"])
    with pytest.raises(ConfigError, match="is not a usable name"):
        page_of("../cats", RESULTS, [])
    folder.report.write_text("")
    assert page_of("cats", RESULTS, []) == folder.report


@pytest.mark.parametrize(
    ("environment", "release", "said"),
    [
        ({"DISPLAY": ":0"}, "6.8.0-generic", None),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "6.8.0-generic", None),
        ({}, "6.8.0-generic", "there is no display here"),
        ({"DISPLAY": ":10", "SSH_CONNECTION": "10.0.0.1 22"}, "6.8.0", "this is a session over ssh"),
        ({"DISPLAY": ":0"}, "5.15-microsoft-standard-WSL2", "this is WSL, and the browser is in Windows"),
    ],
)
def test_a_browser_is_opened_only_where_somebody_sees_it(environment, release, said):
    assert no_browser(environment, release) == said


def test_windows_finds_a_page_of_wsl_by_its_distribution():
    page = Path("/home/me/a b.html")
    assert address(page, {"WSL_DISTRO_NAME": "Ubuntu"}) == "file://wsl.localhost/Ubuntu/home/me/a%20b.html"
    assert address(page, {}) == "file:///home/me/a%20b.html"

"""What `darkroom prune` takes away, and what it must not."""

import json
import os
from contextlib import closing
from pathlib import Path

import pytest
from tests.review.inventory.results_folder import (
    DAY,
    NOW,
    RESULTS,
    STORE,
    experiment,
    picture_id,
    shown,
    stored,
    written,
)
from tests.review.renders import REQUEST, preview, render
from tests.review.renders import picture as pixels

from darkroom.__main__ import main
from darkroom.errors import StoreError
from darkroom.files.weight_file import identity
from darkroom.filesystem.lock import locked
from darkroom.previews import previews_file, write_previews
from darkroom.record.rows import write_records
from darkroom.review.inventory.experiments import experiment_folders
from darkroom.review.inventory.pruning import Share, plan_pruning, prune


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def planned(*elsewhere, older=None):
    return plan_pruning(RESULTS, elsewhere, now=NOW, older=older)


def test_pictures_latents_and_embeddings_that_nothing_names_go():
    experiment("cats", "a")
    kept, gone = stored("a"), [stored("b"), written(STORE.latents(picture_id("b")), 10)]
    gone += [written(STORE.image(picture_id("b"), "jpeg", 90), 5), written(STORE.embedding(picture_id("c")), 7)]
    pruning = planned()
    assert pruning.freed == 122
    prune(pruning, RESULTS)
    assert kept.is_file()
    assert [path for path in gone if path.exists()] == []
    assert not gone[0].parent.exists(), "empty folders of the store go too"
    assert planned().is_empty


def test_what_an_older_darkroom_wrote_down_counts():
    folder = experiment("cats")
    made = render(Path(), pixels())
    write_records(folder.records(REQUEST.title.names), [made], {})
    written(STORE.image(made.request_id, "png", 100), 9)
    written(STORE.embedding(picture_id("e")), 9)
    (folder.root / "embeddings").mkdir()
    folder.embeddings("m").write_text(json.dumps({"of some other form": [picture_id("e")]}))
    assert planned().is_empty


def test_a_picture_with_a_link_elsewhere_stays_since_removing_it_frees_nothing():
    os.link(stored("a"), "mine.png")
    assert planned().is_empty


def test_what_is_young_may_be_somebodys_at_work():
    stored("a", age=60)
    assert planned().is_empty


def test_previews_and_conf_are_references_too():
    experiment("cats")
    picture = stored("a")
    written(STORE.image(picture_id("b"), "png", 100), 3)
    made = preview(Path(), render(Path(), pixels()), None, path=str(picture))
    write_previews(previews_file("cats"), "cats", [made])
    written(Path("conf/prompts/p.yaml"), 0).write_text(
        f"prompts: [{{ctrl_img: {STORE.image(picture_id('b'), 'png', 1)}}}]"
    )
    assert planned(previews_file("cats"), Path("conf/prompts/p.yaml")).is_empty


def test_the_digest_of_a_file_goes_with_the_file():
    weights = written(Path("lora.safetensors"), 8)
    STORE.sha256(weights)
    (note,) = (RESULTS / "store/digests").iterdir()
    os.utime(note, (NOW - DAY, NOW - DAY))
    assert planned().is_empty
    assert identity(weights)[1] == 8
    weights.unlink()
    assert planned().files["digests of files that are gone"] == (note,)


def test_trials_go_with_the_pictures_that_only_they_show():
    folder = experiment("cats")
    link = folder.root / "explain/m/none/p/0/00_as_it_is.png"
    link.parent.mkdir(parents=True)
    os.link(stored("a"), link)
    assert planned().is_empty, "somebody is still looking at them"
    os.utime(link.parent, (NOW - DAY, NOW - DAY))
    pruning = planned()
    assert pruning.freed == 100
    prune(pruning, RESULTS)
    assert not (folder.root / "explain").exists()
    assert folder.contents.is_file()


def test_old_experiments_go_as_a_whole_when_asked_for():
    new, old = experiment("new", "a"), experiment("old", "a", "b", age=40 * DAY)
    shown(new, stored("a"))
    shown(old, stored("b", 50))
    assert planned(older=50 * DAY).is_empty
    pruning = planned(older=30 * DAY)
    assert [each.folder for each in pruning.old] == [old]
    assert pruning.text().splitlines()[0].startswith("results/old: last changed ")
    prune(pruning, RESULTS)
    assert not old.root.exists()
    assert not STORE.image(picture_id("b"), "png", 100).exists()
    assert STORE.image(picture_id("a"), "png", 100).exists()


def test_an_old_experiment_stays_whose_pictures_another_one_shows_the_model():
    old, new = experiment("old", age=40 * DAY), experiment("new")
    (new.root / "drafts").mkdir()
    (new.root / "drafts/p.json").write_text('{"ctrl_images": [{"path": "results/old/images/a.png"}]}')
    pruning = planned(older=30 * DAY)
    assert (pruning.old, pruning.spared) == ((), ("results/old: old, and stays: results/new names files in it",))
    assert old.root.exists()


def test_nothing_goes_while_nobody_can_tell_what_an_experiment_needs():
    folder = experiment("cats")
    folder.manifest.write_bytes(b"PAR1 cut off")
    with pytest.raises(StoreError, match=r"results/cats/manifest\.parquet: cannot be read .* run it again"):
        planned()


def test_what_several_experiments_use_is_said_once_for_each_and_as_shared():
    shown(experiment("cats", "a"), stored("a"))
    experiment("dogs", "a", "b")
    stored("b", 50)
    stored("c", 7)
    assert planned().shares == (Share("cats", 100, 100), Share("dogs", 150, 100), Share("no experiment", 7, 0))


def test_without_a_terminal_it_shows_and_says_how(capsys):
    picture = stored("a")
    assert main(["prune"]) == 1
    said = capsys.readouterr().out
    assert "     1 pictures\nwould free 100 bytes" in said
    assert "--yes agrees.\nnothing was removed" in said
    assert picture.is_file()
    assert main(["prune", "--yes"]) == 0
    assert not picture.exists()


def test_nothing_goes_while_an_experiment_is_rendered(capsys):
    picture, folder = stored("a"), experiment("cats")
    with closing(locked(folder.lock)):
        assert main(["prune", "--yes"]) == 1
    assert "cats: at work now, and may need any of it" in capsys.readouterr().out
    assert picture.is_file()


def test_an_empty_folder_has_nothing_to_prune(capsys):
    assert main(["prune", "--yes"]) == 0
    assert capsys.readouterr().out == "nothing to remove: something refers to all that is older than an hour\n"
    assert not RESULTS.exists()


def test_old_experiments_go_from_the_command_line(capsys):
    old = experiment("old", "a", age=40 * DAY)
    assert main(["prune", "--older", "30d", "--yes"]) == 0
    assert capsys.readouterr().out.startswith("results/old: last changed 2026-08-1")  # 12 or 13, by the time zone
    assert not old.root.exists()


def test_an_age_has_a_unit(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["prune", "--older", "30"])
    assert "expected hours, days or weeks, such as 12h, 30d or 8w, got 30" in capsys.readouterr().err


def test_a_link_to_another_experiment_is_that_one_and_hinders_nothing():
    folder, gone = experiment("cats", "a"), stored("b")
    (RESULTS / "latest").symlink_to("cats")
    assert [each.root.name for each in experiment_folders(RESULTS)] == ["cats"]
    assert main(["prune", "--older", "1h", "--yes"]) == 0
    assert not folder.root.exists()
    assert not gone.exists()

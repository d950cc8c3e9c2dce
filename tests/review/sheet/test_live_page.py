"""The page of a run at work: what it is made of, what it hears, and what it does not stand in the way of."""

import json
import re
from pathlib import Path

import pytest
from tests.examples.record import REQUEST
from tests.machine.waiting import wait_for

from darkroom.files.atomic import link, write_json
from darkroom.job_errors import JobError
from darkroom.planned import PlannedCombination
from darkroom.review.progress import RunProgress, Watch
from darkroom.review.sheet.live_page import LivePage, script_of, write_live_page
from darkroom.store import ExperimentFolder, Store

FOLDER, STORE = ExperimentFolder(Path("results/strength")), Store(Path("results/store"))
FOX = REQUEST.changed(index=0, image_name="000 #7")
OWL = FOX.changed(index=1, image_name="001_7", seed=8)
NAMES = FOX.title.names
SCRIPT = FOLDER.root / "live.js"


@pytest.fixture(autouse=True)
def a_run_that_has_begun(tmp_path, monkeypatch):
    """Its drafts and its table of contents; and what an earlier run has left."""
    monkeypatch.chdir(tmp_path)
    planned().write(FOLDER.draft(NAMES))
    write_json(FOLDER.contents, {"experiment": "strength", "combinations": [[*NAMES, 2, 0]]})
    FOLDER.finished.touch()
    FOLDER.report.write_text("the page of an earlier run")


def planned():
    output = {"format": "png", "quality": 95, "save_latents": False, "metadata": "full"}
    return PlannedCombination(asked="now", lost="", output=output, lora_merge="auto", requests=(OWL, FOX))


def render(request):
    write_json(FOLDER.checkpoint(NAMES.model), {})
    planned().write(FOLDER.requests(NAMES))
    stored = STORE.image(request.request_id, "png", 95)
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_bytes(b"a picture")
    link(stored, FOLDER.images(NAMES) / f"{request.title.image_name}.png")


def heard():
    """What the page is told."""
    return json.loads(re.fullmatch(r"hear\((.*)\);\n", SCRIPT.read_text())[1])


def page_data():
    text = FOLDER.report.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_what_the_page_hears():
    progress = RunProgress(
        total=5,
        done=frozenset({0, 4}),
        rendered=2,
        failed={1: "a.safetensors: holds NaN", 2: "a.safetensors: holds NaN"},
        seconds=8.5,
        seconds_each=4.0,
        seconds_left=3.5,
    )
    assert script_of(progress, "1795861734324352308", "running", 1_795_861_742.5) == (
        'hear({"run": "1795861734324352308", "state": "running", "at": 1795861742.5, "seconds": 8.5, '
        '"seconds_left": 3.5, "pictures": "#xx.#", "reasons": [["a.safetensors: holds NaN", [1, 2]]]});\n'
    )


def test_the_page_has_an_empty_frame_for_each_picture_and_knows_where_it_will_be():
    write_live_page(FOLDER, "1795861734324352308")
    data = page_data()
    assert (data["run"], data["count"]) == ("1795861734324352308", 2)
    assert data["columns"]["image_name"]["values"] == ["000 #7", "001_7"], "in the order of the manifest"
    assert data["columns"]["status"] == {"values": ["not rendered"]}
    assert data["columns"]["request_id"] == {"values": [""]}, "which needs the digests of files"
    assert data["links"] == [f"images/{'/'.join(NAMES)}/000%20%237.png", f"images/{'/'.join(NAMES)}/001_7.png"]
    text = FOLDER.report.read_text(encoding="utf-8")
    assert "0 of 2" in text
    assert "stopped" not in re.sub(r"<script.*", "", text, flags=re.DOTALL), "it is at work"
    assert not re.search(r"https?:|//cdn|@import|url\((?!#)|<link|<iframe|\bfetch\(|XMLHttpRequest", text)


def test_pictures_of_the_page_and_of_its_news_are_in_the_same_order():
    render(OWL)
    assert Watch(FOLDER).look().done == {1}


def test_a_page_hears_of_pictures_and_failures_and_then_of_the_page_that_took_its_place():
    page = LivePage(FOLDER)
    page.open()
    assert not FOLDER.finished.exists(), "the next run has a page to make, whatever becomes of this one"
    assert (heard()["state"], heard()["pictures"]) == ("running", "..")
    assert heard()["run"] == page_data()["run"]
    render(OWL)
    wait_for(lambda: heard()["pictures"] == ".#", "news of the picture")
    JobError("", {FOX.request_id: "000_7: NaN"}).write(FOLDER.log("render", *NAMES))
    wait_for(lambda: heard()["pictures"] == "x#", "news of the failure")
    assert heard()["reasons"] == [["000_7: NaN", [0]]]
    FOLDER.report.unlink()
    FOLDER.report.write_text("the finished page")
    assert not page.stands
    page.close()
    assert (heard()["state"], heard()["pictures"]) == ("finished", "x#")


def test_a_page_that_nothing_took_the_place_of_says_where_the_run_stopped():
    page = LivePage(FOLDER)
    page.open()
    render(FOX)
    assert page.stands
    page.close()
    assert (heard()["state"], heard()["pictures"]) == ("stopped", "#.")


def test_a_run_that_writes_no_page_says_nothing():
    LivePage(FOLDER).close()
    assert not SCRIPT.exists()


def test_where_the_page_cannot_be_written_the_run_goes_on_without(capsys):
    FOLDER.draft(NAMES).unlink()
    page = LivePage(FOLDER)
    page.open()
    assert "so the page comes at the end of the run" in capsys.readouterr().err
    assert not SCRIPT.exists(), "an open page would wait for another one"
    page.close()


def test_where_news_cannot_be_written_the_run_hears_of_it_once_and_goes_on(capfd):
    page = LivePage(FOLDER)
    page.open()
    SCRIPT.unlink()
    (SCRIPT / "in the way").mkdir(parents=True)
    render(FOX)
    render(OWL)
    page.close()
    page.close()
    assert capfd.readouterr().err.count("live.js: cannot be written") == 1

"""The page: self-contained, safe with any text, honest about pictures that it cannot read."""

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.examples.record import COST, REQUEST, record

from darkroom.errors import ImageError
from darkroom.files.content import sha256_in
from darkroom.files.images.image_file import write_image
from darkroom.record.rows import NOT_RENDERED, Failure, read_records, write_records
from darkroom.review.page.data_uri import thumbnail
from darkroom.review.page.page import script_json
from darkroom.review.sheet.page_values import facts
from darkroom.review.sheet.report import write_report
from darkroom.review.sheet.thumbnails import make_thumbnails

HOSTILE = (
    "</script><script>alert(1)</script><!-- \"double\" 'single' & &amp; {{ 7 * 7 }} 🐈 שלום \u2028" + " long" * 400
)


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """results/strength with a manifest of three images: one rendered, one with a hostile prompt, one reused."""
    monkeypatch.chdir(tmp_path)
    requests = [
        REQUEST,
        REQUEST.changed(index=1, image_name="0001 #7%", prompt=HOSTILE, prompt_template=HOSTILE, warnings=(HOSTILE,)),
        REQUEST.changed(lora="none", loras=(), image_name="0000_7", warnings=()),
    ]
    records = []
    for number, request in enumerate(requests):
        path = Path(f"results/strength/images/{request.title.lora}/{request.title.image_name}.png")
        cost = None if number == 2 else replace(COST, seconds_load=3.0, seconds_decode=0.5)
        made = record(request, (), image_path=str(path), reused=cost is None, cost=cost)
        content = write_image(path, np.full((48, 64, 3), number, np.uint8), made.to_json(), "png", 100)
        records.append(replace(made, image_sha256=sha256_in(content)))
    write_records(Path("results/strength/manifest.parquet"), records, {})
    return tmp_path / "results" / "strength"


def page(folder):
    write_report(Path("results/strength/manifest.parquet"), Path("results/strength/report.html"))
    return (folder / "report.html").read_text(encoding="utf-8")


def data(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def test_the_head_says_what_was_done(experiment):
    text = re.sub(r"<.*?>", " ", page(experiment))
    for fact in (
        "strength",
        "3: 2 rendered, 1 reused",
        "12.0 s, 6.00 s an image",
        "load 6.0 s, switch 1.0 s, denoise 4.0 s, decode 1.0 s",
        "darkroom 0.1.0, torch 2.13.0, diffusers 0.42.1, transformers 5.23.0",
        "exact",
        "2 different warnings",
    ):
        assert fact in text


def test_the_page_loads_nothing_from_a_network(experiment):
    text = page(experiment)
    assert not re.search(r"https?:|//cdn|@import|url\((?!#)|<link|<iframe|\bfetch\(|XMLHttpRequest", text)
    assert re.findall(r"<script[^>]*>", text) == ['<script type="application/json" id="data">', "<script>"]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", text)


def test_hostile_text_stays_text(experiment):
    text = page(experiment)
    assert "<script>alert(1)" not in text
    assert "{{ 7 * 7 }}" in text
    assert HOSTILE in data(text)["columns"]["prompt"]["values"]
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in text  # the warning, in the head


def test_links_are_relative_to_the_page_and_quoted(experiment):
    links = data(page(experiment))["links"]
    assert links == [
        "images/anna/0000_7_network_multiplier%3D0.5.png",
        "images/anna/0001%20%237%25.png",
        "images/none/0000_7.png",
    ]


def test_small_pictures_are_carried_as_they_are(experiment):
    found = data(page(experiment))["thumbnails"]
    header, body = found["uris"][found["codes"][2]].split(",")
    assert header == "data:image/png;base64"
    assert base64.b64decode(body) == (experiment / "images/none/0000_7.png").read_bytes()


def test_a_picture_that_cannot_be_read_is_named(experiment):
    (experiment / "images/none/0000_7.png").unlink()
    (experiment / "images/anna/0001 #7%.png").write_bytes(b"\x89PNG")
    text = page(experiment)
    assert "2 pictures could not be read" in text
    assert "images/none/0000_7.png: no such file" in text
    found = data(text)["thumbnails"]
    assert [bool(found["uris"][code]) for code in found["codes"]] == [True, False, False]


def test_a_picture_that_failed_has_a_frame_with_the_reason(experiment):
    manifest = Path("results/strength/manifest.parquet")
    (first, *others), _ = read_records(manifest)
    failed = Failure.of(first.request, f"anna.safetensors: {HOSTILE}")
    write_records(manifest, [failed, *others], {})
    text = page(experiment)
    assert "3: 1 rendered, 1 reused, 1 failed" in text
    assert "<script>alert(1)" not in text
    found = data(text)
    assert found["columns"]["status"] == {"values": ["done", "failed"], "codes": [1, 0, 0]}
    assert found["columns"]["error"]["values"] == [None, f"anna.safetensors: {HOSTILE}"]
    assert (found["links"][0], found["thumbnails"]["codes"][0]) == (None, -1)


def test_a_page_on_which_every_picture_failed(experiment):
    write_records(Path("results/strength/manifest.parquet"), [Failure.of(REQUEST, "klein: no such folder")], {})
    text = re.sub(r"<.*?>", " ", page(experiment))
    assert "1: 0 rendered, 0 reused, 1 failed" in text
    assert "klein: no such folder" in text


def test_a_picture_that_had_no_turn_has_an_empty_frame_and_the_head_says_where_the_run_stopped(experiment):
    manifest = Path("results/strength/manifest.parquet")
    (first, *others), _ = read_records(manifest)
    write_records(manifest, [Failure.of(first.request, "not rendered: the run ended", NOT_RENDERED), *others], {})
    text = page(experiment)
    head = re.sub(r"<.*?>", " ", text)
    assert "stopped at 2 of 3" in head
    assert "3: 1 rendered, 1 reused, 1 not rendered" in head
    assert "1 failed" not in head
    assert data(text)["columns"]["status"] == {"values": ["done", "not rendered"], "codes": [1, 0, 0]}


def test_the_head_of_a_page_on_which_something_failed_says_so(experiment):
    manifest = Path("results/strength/manifest.parquet")
    (first, second, third), _ = read_records(manifest)
    failed = Failure.of(first.request, "anna.safetensors: holds NaN")
    write_records(manifest, [failed, second, third], {})
    assert "failed: 1 of 3<" in page(experiment)
    write_records(manifest, [failed, Failure.of(second.request, "no turn", NOT_RENDERED), third], {})
    assert "failed: 1 of 3, 1 not rendered<" in page(experiment)
    write_records(manifest, [first, second, third], {})
    assert '<p class="headline">' not in page(experiment)


def test_an_experiment_without_fresh_images_has_no_time():
    assert [name for name, _ in facts([record(reused=True, cost=None)])][:2] == ["images", "models"]


def test_large_pictures_become_small_webp(tmp_path):
    Image.new("RGB", (1024, 512), "teal").save(tmp_path / "a.jpg")
    header, body = thumbnail(tmp_path / "a.jpg", 256).split(",")
    assert header == "data:image/webp;base64"
    assert Image.open(io.BytesIO(base64.b64decode(body))).size == (256, 128)
    with pytest.raises(ImageError, match=r"b\.png: no such file"):
        thumbnail(tmp_path / "b.png", 256)


def large(name):
    """A row of the manifest, and its picture of 512x512 pixels."""
    path = Path(f"results/strength/images/{name}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    made = record(REQUEST.changed(width=512, height=512), image_path=str(path))
    content = write_image(path, np.full((512, 512, 3), len(name), np.uint8), made.to_json(), "png", 100)
    return replace(made, image_sha256=sha256_in(content))


def test_few_thumbnails_are_carried_and_many_are_files_beside_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows, folder = [large("a"), large("bb"), large("a")], Path("results/strength")
    few, many = make_thumbnails(rows, folder), make_thumbnails(rows, folder, carried=(1, 1_000_000))
    assert (few.is_carried, few.codes, len(few.uris)) == (True, (0, 1, 0), 2), "equal pictures have one"
    assert few.uris[0].startswith("data:image/webp;base64,")
    sha256 = rows[0].image_sha256
    assert (many.is_carried, many.uris[0]) == (False, f"thumbnails/{sha256[:2]}/{sha256}.webp")
    with Image.open(folder / many.uris[0]) as small:
        assert small.size == (256, 256)
    assert not make_thumbnails(rows, folder, carried=(9, 10)).is_carried, "too large for the page"


def test_only_new_pictures_are_made_small_and_what_is_of_no_picture_goes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, first, second = Path("results/strength"), large("a"), large("bb")
    made = folder / make_thumbnails([first], folder, carried=(0, 0)).uris[0]
    before = made.stat().st_mtime_ns
    make_thumbnails([first, second], folder)
    assert made.stat().st_mtime_ns == before
    make_thumbnails([second], folder)
    assert [path.name for path in folder.glob("thumbnails/*/*")] == [f"{second.image_sha256}.webp"]


def test_json_for_a_script_element():
    assert script_json({"a": "</script> <!-- & \u2028"}) == '{"a":"\\u003c/script\\u003e \\u003c!-- \\u0026 \\u2028"}'

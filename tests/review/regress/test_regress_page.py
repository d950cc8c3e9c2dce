"""The page of pairs: self-contained, worst first, carries what was compared, safe with any text."""

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.examples.record import ENVIRONMENT, REQUEST, embedded

from darkroom.files.images.image_file import write_image
from darkroom.review.page.data_uri import carry
from darkroom.review.pair.differences import Difference
from darkroom.review.pair.measures import EQUAL, Measures, flip_map
from darkroom.review.pair.picture_file import ENCODINGS, as_encoded
from darkroom.review.regress.comparison import Comparison, thresholds_text, write_comparisons
from darkroom.review.regress.regress_page import read_pairs, threshold_rows, write_regress_page
from darkroom.review.regress.told import measures, names, own_floor, worst_first
from darkroom.thresholds import ModelThresholds

HOSTILE = "</script><script>alert(1)</script><!-- \"double\" 'single' & &amp; {{ 7 * 7 }} 🐈 שלום \u2028"
JPEG = ENCODINGS["JPEG"]
ON_A_GPU = replace(ENVIRONMENT, device="cuda", gpu_name="H100")
THRESHOLDS = thresholds_text(
    ModelThresholds(source="conf/compare/job.yaml", psnr=40.0, flip=0.03, environment=ON_A_GPU)
)
SMOOTH = np.arange(48 * 64 * 3, dtype=np.int64).reshape(48, 64, 3) // 40 % 256
RENDER = SMOOTH.astype(np.uint8)
SHIFTED = np.roll(RENDER, 9, axis=1)

BARE = Comparison(
    experiment="nightly",
    model="job",
    lora="job_000000500",
    prompts="job",
    index=0,
    axes="{}",
    image_name="0000_42",
    request_id="ab" * 32,
    image_path="results/nightly/images/render.png",
    preview_path="output/my job/samples/1__000000500_0.jpg",
    preview_origin="ai-toolkit",
    step=500,
    prompt="a cat",
    seed=42,
    verdict="identical",
    reason=None,
    note=None,
    max_abs=0,
    mean_abs=0.0,
    psnr=None,
    ssim=1.0,
    flip=0.0,
    encoding=None,
    thresholds=THRESHOLDS,
    differs=(),
    accepted_by=None,
    accepted_at=None,
)
UNMEASURED = dict.fromkeys(("max_abs", "mean_abs", "psnr", "ssim", "flip"))
DIFFERENT = {"max_abs": 200, "mean_abs": 12.5, "psnr": 18.254, "ssim": 0.5, "flip": 0.25, "encoding": JPEG}
SHIFTED_JPEG = "output/my job/samples/shifted #7%.jpg"


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """results/nightly with one picture of each verdict; returns its folder."""
    monkeypatch.chdir(tmp_path)
    Path("output/my job/samples").mkdir(parents=True)
    record = embedded(REQUEST.changed(width=64, height=48)).to_json()
    write_image(Path("results/nightly/images/render.png"), RENDER, record, "png", 100)
    Image.fromarray(RENDER).save("output/my job/samples/1__000000500_0.jpg")
    Image.fromarray(RENDER).save("output/my job/samples/equal.png")
    Image.fromarray(SHIFTED).save(SHIFTED_JPEG)
    facts = (Difference("schedule", "aitk", HOSTILE),)
    comparisons = [
        replace(BARE, preview_path="output/my job/samples/equal.png", accepted_by="Anna", accepted_at="2026-01-02"),
        replace(BARE, index=1, verdict="identical before encoding", encoding=JPEG),
        replace(BARE, index=2, verdict="within floor", preview_path=SHIFTED_JPEG, **DIFFERENT),
        replace(
            BARE, index=3, verdict="drifted", preview_path=SHIFTED_JPEG, prompt=HOSTILE, differs=facts, **DIFFERENT
        ),
        replace(BARE, index=4, verdict="missing preview", preview_path=None, reason=HOSTILE, **UNMEASURED),
        replace(BARE, index=5, verdict="not reproducible", reason="seed -1", preview_path=SHIFTED_JPEG, **DIFFERENT),
        replace(
            BARE,
            index=6,
            verdict="not reproducible",
            reason="no checkpoint",
            image_path=None,
            image_name=None,
            **UNMEASURED,
        ),
    ]
    write_comparisons(Path("results/nightly/compare.parquet"), comparisons, {})
    return tmp_path / "results" / "nightly"


def page(folder):
    write_regress_page(Path("results/nightly/compare.parquet"), Path("results/nightly/regress.html"))
    return (folder / "regress.html").read_text(encoding="utf-8")


def pairs(text):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found[1])["pairs"]


def pixels(uri):
    header, body = uri.split(",")
    assert header == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(body))))


def test_the_head_says_how_it_came_out(experiment):
    text = re.sub(r"<.*?>", " ", page(experiment))
    for fact in (
        "7 previews: 1 identical, 1 identical before encoding, 1 within floor, 2 not reproducible, 1 drifted, 1",
        "FLIP ≤ 0.03, PSNR ≥ 40 dB",
        "conf/compare/job.yaml",
        "learned with  device cuda, gpu_name H100",
        "7 by ai-toolkit",
        "Anna (1)",
        "darkroom 0.1.0, torch 2.13.0, diffusers 0.42.1, transformers 5.23.0",
        "Pairs that differ: pixel for pixel; single pictures: pixel for pixel.",
    ):
        assert fact in text


def test_the_worst_comes_first(experiment):
    assert [pair["verdict"] for pair in pairs(page(experiment))] == [
        "missing preview",
        "drifted",
        "not reproducible",
        "not reproducible",
        "within floor",
        "identical before encoding",
        "identical",
    ]
    drifted = [replace(BARE, verdict="drifted", flip=flip) for flip in (0.1, None, 0.3)]
    assert [comparison.flip for comparison in worst_first(drifted)] == [None, 0.3, 0.1]
    unmeasured = [replace(comparison, verdict="not reproducible") for comparison in drifted]
    assert [comparison.flip for comparison in worst_first(unmeasured)] == [0.3, 0.1, None]


def test_the_page_loads_nothing_from_a_network(experiment):
    text = page(experiment)
    assert not re.search(r"https?:|//cdn|@import|url\((?!#)|<link|<iframe|\bfetch\(|XMLHttpRequest", text)
    assert re.findall(r"<script[^>]*>", text) == ['<script type="application/json" id="data">', "<script>"]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", text)


def test_hostile_text_stays_text(experiment):
    text = page(experiment)
    assert "<script>alert(1)" not in text
    missing, drifted, *_ = pairs(text)
    assert (missing["reason"], drifted["prompt"], drifted["differs"][0]["now"]) == (HOSTILE, HOSTILE, HOSTILE)


def test_a_pair_that_differs_is_carried_as_it_was_compared(experiment):
    pictures = pairs(page(experiment))[1]["pictures"]
    preview, render = np.asarray(Image.open(SHIFTED_JPEG)), as_encoded(RENDER, JPEG)
    assert np.array_equal(pixels(pictures["preview"]["uri"]), preview)
    assert np.array_equal(pixels(pictures["render"]["uri"]), render)
    assert np.array_equal(pixels(pictures["error"]["uri"])[..., 0], np.round(flip_map(preview, render) * 255))
    assert (pictures["render"]["width"], pictures["render"]["height"]) == (64, 48)


def test_equal_pixels_are_carried_once(experiment):
    *_, encoded, identical = pairs(page(experiment))
    assert list(encoded["pictures"]) == list(identical["pictures"]) == ["equal"]
    assert np.array_equal(pixels(identical["pictures"]["equal"]["uri"]), RENDER)


def test_pictures_that_are_not_there(experiment):
    missing, _, _, unrendered, *_ = pairs(page(experiment))
    assert (list(missing["pictures"]), list(missing["links"])) == (["render"], ["render"])
    assert (list(unrendered["pictures"]), unrendered["effective"]) == (["preview"], {})


def test_a_picture_that_cannot_be_read_is_named(experiment):
    Path("output/my job/samples/equal.png").write_bytes(b"\x89PNG")
    Path(SHIFTED_JPEG).unlink()
    text = page(experiment)
    assert "4 pictures could not be read for this page" in text
    assert "shifted #7%.jpg: no such file" in text
    assert list(pairs(text)[1]["pictures"]) == ["render"]


def test_links_are_relative_to_the_page_and_quoted(experiment):
    assert pairs(page(experiment))[1]["links"] == {
        "preview": "../../output/my%20job/samples/shifted%20%237%25.jpg",
        "render": "images/render.png",
    }


def test_the_address_of_a_pair(experiment):
    resumed = replace(BARE, step=250)
    lacking = replace(BARE, image_name=None, axes='{"seed":1}')
    assert names([BARE, resumed, lacking]) == [
        "job/job_000000500/job/0000_42",
        "job/job_000000500/job/0000_42~2",
        'job/job_000000500/job/0000{"seed":1}',
    ]


def test_measures_beside_their_thresholds():
    assert measures(replace(BARE, **DIFFERENT))[:3] == [
        {"name": "FLIP", "value": "0.2500", "threshold": "at most 0.03", "held": False},
        {"name": "PSNR", "value": "18.25 dB", "threshold": "at least 40 dB", "held": False},
        {"name": "SSIM", "value": "0.5000", "threshold": "", "held": None},
    ]
    assert measures(BARE)[1] == {"name": "PSNR", "value": "∞ (equal)", "threshold": "at least 40 dB", "held": True}
    assert measures(replace(BARE, **UNMEASURED)) == []


def test_nothing_to_compare(experiment):
    write_comparisons(Path("results/nightly/compare.parquet"), [], {})
    assert "0 previews: nothing could be compared" in page(experiment)


def test_many_pairs_share_a_page(experiment):
    pair = replace(BARE, verdict="drifted", preview_path=SHIFTED_JPEG, **DIFFERENT)
    few, many = read_pairs([pair] * 2, page=100_000), read_pairs([pair] * 40, page=100_000)
    assert all(found.lossless for found in few)
    assert not any(found.lossless for found in many)
    assert sum(len(one["uri"]) for found in many for one in found.pictures.values()) <= 100_000


def test_carried_as_they_are_then_lossy_then_reduced():
    noise = np.random.default_rng(0).integers(0, 256, (160, 320, 3), dtype=np.uint8)
    kinds = [(carried.lossless, carried.scale) for carried in (carry([noise], n) for n in (300_000, 90_000, 20_000))]
    assert kinds == [(True, 1.0), (False, 1.0), (False, 0.4)]
    (uri,) = carry([noise], 300_000).uris
    assert np.array_equal(pixels(uri), noise)
    assert pixels(carry([noise, noise[:80]], 0).uris[1]).shape == (24, 96, 3)


def test_a_preview_that_was_replaced_is_carried_as_a_pair(experiment):
    replaced = replace(BARE, verdict="missing preview", reason="edited", preview_path=SHIFTED_JPEG, **DIFFERENT)
    [pair] = read_pairs([replaced], single=1)
    assert (list(pair.pictures), pair.lossless) == (["preview", "render", "error"], True)


def test_in_whose_floor_a_pair_is_and_what_its_repeats_say() -> None:
    repeats = tuple(
        Measures(max_abs=3, mean_abs=0.5, psnr=psnr, ssim=0.99, flip=0.01) for psnr in (48.0, 47.0, 46.0, 49.0)
    )
    held = thresholds_text(ModelThresholds(source="conf/compare/default.yaml", psnr=40.0, own_floor=1.0))
    pair = replace(BARE, verdict="within floor", max_abs=4, psnr=44.0, repeats=repeats, thresholds=held)
    assert measures(pair)[-1] == {
        "name": "own floor",
        "value": "43.50 dB",
        "threshold": "PSNR no less",
        "held": True,
    }
    assert own_floor(pair)[0] == ["1", "0.0100", "48.00", "0.9900", "0.500", "3"]
    assert threshold_rows([pair])[0]["limits"] == "its own floor and 1 dB, PSNR ≥ 40 dB"
    beyond = measures(replace(pair, psnr=43.0))[-1]
    assert (beyond["value"], beyond["held"]) == ("43.50 dB", False)
    equal = measures(replace(pair, repeats=(EQUAL,) * 4))[-1]
    assert (equal["value"], equal["held"]) == ("equal pixels", False)

"""A page of many pictures: what it weighs, and how little of it a browser holds; benchmarks/ has the seconds."""

import pytest
from tests.examples.record import REQUEST, record

from darkroom.request.parts import Lora
from darkroom.review.page.page import write_page
from darkroom.review.sheet.page_values import NO_THUMBNAILS, TEMPLATE, page_values

STEPS = range(250, 10_001, 250)
LIMIT = 25_000_000 / 20_000  # characters of a page for each picture


def made(path, prompts):
    """The page of 40 steps for each prompt, whose files are not there."""
    rows = [
        record(
            REQUEST.changed(
                **{"lora": f"job_{step:09}", "loras": (Lora(f"job_{step:09}.safetensors", 1.0),), "axes": ()},
                **{"index": index, "prompt": f"prompt {index}", "prompt_template": f"prompt {index}", "warnings": ()},
            ),
            **{"image_path": f"images/{step}/{index}.png", "image_sha256": f"{index:032}{step:032}"},
        )
        for index in range(prompts)
        for step in STEPS
    ]
    write_page(path, TEMPLATE, page_values(rows, [row.image_path for row in rows], NO_THUMBNAILS))
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return made(tmp_path_factory.mktemp("large") / "report.html", prompts=25)


def test_a_picture_more_is_a_few_hundred_characters_more(large, tmp_path):
    half = made(tmp_path / "half.html", prompts=5)
    assert (large.stat().st_size - half.stat().st_size) / (20 * len(STEPS)) < LIMIT / 2


def test_frames_come_when_they_are_near_and_go_when_they_are_far(browser, large):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(large.as_uri())
    page.wait_for_selector(".frame")
    for across, down in ((0, 0), (0, 1), (1, 1), (1, 0), (0, 0)):
        page.evaluate("([x, y]) => byId('sheet').scrollTo(x * 1e6, y * 1e6)", [across, down])
        last = (24 if down else 0) * len(STEPS) + (39 if across else 0)
        page.wait_for_selector(f'.frame[data-i="{last}"]', state="attached")
        page.wait_for_function("document.querySelectorAll('.frame').length < 400")
    assert page.evaluate("data.count") == 1000
    page.close()

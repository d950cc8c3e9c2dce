"""The pages in a browser: what a person does on them, and that the address keeps it."""

import re
from collections import Counter

import pytest
from tests.review.renders import REQUEST

from darkroom.files.atomic import write_json
from darkroom.planned import PlannedCombination
from darkroom.review.progress import RunProgress
from darkroom.review.sheet.live_page import RUNNING, script_of, write_live_page
from darkroom.store import ExperimentFolder

SIZES = pytest.mark.parametrize("width", [1440, 820, 390])


def settled(page):
    """The page once everything in view is built, which a browser does when it has the time."""
    page.wait_for_function("!document.querySelector('.wait')")
    return page


def shown(page):
    """How many pictures are, as the page says that a click has led to; its script is read after its elements."""
    page.wait_for_function("document.querySelector('#shown')?.textContent")
    return page.inner_text("#shown")


def heads(page):
    """The heads of the columns."""
    return settled(page).locator("thead th").all_inner_texts()


def frames(page):
    return settled(page).locator("#sheet .frame:not(.of-preview)").count()


def test_steps_are_columns_and_prompts_rows_with_their_common_words_said_once(opened):
    page = opened()
    assert heads(page) == ["250", "500", "1000"]
    assert page.locator("tbody th").all_inner_texts() == ["… at dawn", "… in a red coat"]
    assert page.locator(".corner .prefix").inner_text() == "a photo of sks, …"
    assert page.locator(".line").inner_text().startswith("6 pictures")


def test_a_value_that_is_not_ticked_is_not_shown_and_the_address_keeps_that(opened):
    page = opened()
    page.click("text=step columns")
    page.uncheck("#axis-step label:has-text('500') input")
    assert heads(page) == ["250", "1000"]
    assert page.url.endswith("#off.step=500")
    page.reload()
    assert heads(page) == ["250", "1000"]
    assert page.inner_text("#shown") == "4 of 6 shown"
    page.click("#reset")
    assert (heads(page), "#" in page.url) == (["250", "500", "1000"], False)
    page.fill("#find", "zebra")
    page.click("text=Show all")
    assert (heads(page), "#" in page.url) == (["250", "500", "1000"], False)


def test_an_axis_goes_to_rows_sections_or_out_of_sight(opened):
    page = opened()
    page.click("text=step columns")
    page.check("#axis-step label:has-text('sections') input", force=True)
    assert page.locator("h2").all_inner_texts()[0].startswith("step 250")
    page.check("#axis-step label:has-text('hidden') input", force=True)
    assert frames(page) == 6
    assert "rows=index&columns=&sections=&hidden=step" in page.url


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ("dawn", 3),
        ("step:500", 2),
        ("step:250..500", 4),
        ("red seed:43", 3),
        ("seed:7", 0),
        ("status:failed", 1),
        ("__proto__:x", 0),
    ],
)
def test_finding(opened, said, count):
    page = opened(fragment=f"#find={said}")
    assert frames(page) == count


def test_back_shuts_the_picture_and_a_link_opens_it(opened):
    page = opened()
    page.click("#sheet .frame:not(.of-preview) >> nth=1")
    assert page.locator("#title").inner_text().endswith("step 500")
    page.keyboard.press("ArrowRight")
    link = page.url
    assert link.endswith("open=demo/job_000001000/job/0000_42")
    page.go_back()
    assert not page.locator("dialog").is_visible()
    assert opened(fragment="#" + link.partition("#")[2]).locator("#title").inner_text().endswith("step 1000")
    assert opened(fragment="#demo/job_000000500/job/0000_42").locator("dialog").is_visible(), "as earlier pages' links"


def test_arrow_keys_go_from_picture_to_picture_and_tab_stops_once(opened):
    page = settled(opened())
    assert page.locator("#sheet .frame[tabindex='0']").count() == 1
    page.focus("#sheet .frame[tabindex='0']")
    for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "Enter"):
        page.keyboard.press(key)
    assert page.locator("#title").inner_text().endswith("step 250")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.dataset.i") == page.locator(
        "#sheet .frame[tabindex='0']"
    ).get_attribute("data-i")


@SIZES
@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_the_sheet_scrolls_in_its_own_box_and_the_controls_stay(opened, width, scheme):
    for name in ("report.html", "regress.html"):
        page = opened(name, width=width, color_scheme=scheme, has_touch=width < 800, is_mobile=width < 800)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.evaluate("sheet.scrollTo(0, 10000)")
        assert page.locator("#controls").bounding_box()["y"] >= 0


def test_on_a_phone_the_picture_fills_the_screen(opened):
    page = opened(width=390, height=844, has_touch=True, is_mobile=True)
    page.tap("#sheet .frame:not(.of-preview) >> nth=0")
    assert page.locator("#picture").bounding_box()["height"] > 700
    page.tap("#next")
    assert page.locator("#title").inner_text().endswith("step 500")
    page.tap("#close")
    assert not page.locator("dialog").is_visible()


def test_all_on_one_screen(opened):
    page = opened(fragment="#size=all", height=420)
    assert settled(page).evaluate("sheet.scrollHeight <= sheet.clientHeight + 1")


def test_verdicts_are_filtered_at_one_press_and_lead_to_the_pair(opened):
    page = opened("regress.html")
    assert settled(page).locator(".heat-cell").count() == 6
    page.click(".chip:has-text('drifted')")
    assert page.inner_text("#shown") == "2 of 6 shown"
    page.click(".strip >> nth=0")
    assert page.locator("#stage").get_attribute("class") == "wipe"


def test_the_first_row_of_a_prompt_is_what_the_trainer_saw_and_each_frame_wears_its_verdict(opened):
    page = opened()
    assert [settled(page).locator(place).count() for place in (".of-preview", ".edge .verdict")] == [3, 6]
    assert page.locator("[data-i='0'] .verdict").inner_text() == "identical"
    page.click(".of-preview >> nth=1")
    assert page.locator("#stage").get_attribute("class") == "wipe"
    assert "drifted" in page.locator("#panel .verdict").inner_text()
    page.keyboard.press("Escape")
    page.wait_for_url("**/report.html")
    page.click("#controls >> text=previews")
    assert (page.locator(".of-preview").count(), page.url.endswith("#previews=hidden")) == (0, True)


def test_the_views_lead_to_each_other_with_what_is_looked_for(opened):
    page = opened(fragment="#off.step=500&find=dawn")
    page.click("text=Against previews")
    assert shown(page) == "2 of 6 shown"
    page.click("nav >> text=Sheet")
    assert shown(page) == "2 of 6 shown"


@pytest.fixture
def live(pages):
    """The page of a run that has rendered the first of two pictures, as a name for `opened`."""
    folder = ExperimentFolder(pages.parent / "live")
    output = {"format": "png", "quality": 95, "save_latents": False, "metadata": "full"}
    two = (REQUEST, REQUEST.changed(index=1, image_name="0001_7"))
    planned = PlannedCombination(asked="now", lost="", output=output, lora_merge="auto", requests=two)
    planned.write(folder.draft(REQUEST.title.names))
    write_json(folder.contents, {"experiment": "live", "combinations": [[*REQUEST.title.names, 2, 0]]})
    write_live_page(folder, "1")
    progress = RunProgress(
        total=2, done=frozenset({0}), rendered=1, failed={}, seconds=8.5, seconds_each=4.0, seconds_left=3
    )
    (folder.root / "live.js").write_text(script_of(progress, "1", RUNNING, 1_795_861_742.5))
    return "../live/report.html"


def test_a_picture_of_a_run_at_work_is_shut_and_the_page_stays(opened, live):
    page = opened(live)
    page.evaluate("window.isTheSame = true")
    page.click("#sheet .frame >> nth=1")
    page.keyboard.press("Escape")
    page.wait_for_url("**/report.html")
    assert page.evaluate("window.isTheSame")
    assert not page.locator("dialog").is_visible()


@pytest.mark.parametrize("name", ["report.html", "regress.html", "live"])
def test_no_name_of_a_pages_script_is_given_twice(pages, live, name):
    script = (pages / (live if name == "live" else name)).read_text(encoding="utf-8").rpartition('"use strict";')[2]
    names = re.findall(r"^(?:async )?(?:function\*?|const|let|class) (\w+)", script, re.MULTILINE)
    assert "takeLayout" in names
    assert [each for each, count in Counter(names).items() if count > 1] == [], "the later of two functions counts"


@pytest.mark.parametrize(
    "fragment", ["#off.step=%25", "#%25", "#size=1e308", "#rows=__proto__&off.__proto__=1&open=__proto__"]
)
def test_an_address_that_says_nothing_of_this_page_leaves_the_sheet_as_it_is(opened, fragment):
    page = opened(fragment=fragment)
    assert frames(page) == 6
    assert page.locator("#sheet .frame >> nth=1").bounding_box()["width"] < 300

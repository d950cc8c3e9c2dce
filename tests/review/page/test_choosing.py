"""Choosing in the page: two pictures held against each other, marks, votes without labels, files of picks."""

import json

import pytest
from tests.machine.waiting import wait_for

from darkroom.review.choosing.picks_file import read_picks

EXPERIMENT = "strength"  # of the examples' request


def open_picture(page, number=0):
    page.click(f"#sheet .frame >> nth={number}")


def reload(page):
    """What a page keeps reaches the browser's own process, and the page that comes next, a moment later."""
    kept = page.evaluate("localStorage.getItem(PLACE)")

    def is_there():
        page.reload()
        return page.evaluate("localStorage.getItem(PLACE)") == kept

    wait_for(is_there, "what the page before has kept")


def exported(page, folder):
    """The file that `Export picks` downloads, as `darkroom picks` reads it."""
    with page.expect_download() as download:
        page.click("text=Export picks")
    download.value.save_as(folder / "picks.json")
    return read_picks(folder / "picks.json", EXPERIMENT)


def seen(page):
    """What of each picture is seen: where it is moved to, and its size."""
    return page.evaluate(
        "['first', 'second'].map(id => { const s = document.getElementById(id).style; return [s.transform, s.width] })"
    )


def pinch(page, x, y):
    """Two fingers that go apart."""
    touch = page.context.new_cdp_session(page)
    for kind, apart in (("touchStart", 20), ("touchMove", 40), ("touchMove", 60), ("touchEnd", None)):
        points = [] if apart is None else [{"x": x + side * apart, "y": y, "id": side + 1} for side in (-1, 1)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_marks_are_on_the_frame_under_the_column_and_there_again_after_a_reload(opened):
    page = opened()
    open_picture(page, 1)
    for key in ("4", "p"):
        page.keyboard.press(key)
    assert page.inner_text("#modes [role=status]") == "rated 4, starred"
    page.keyboard.press("Escape")
    assert page.locator(".frame .marks").nth(1).get_attribute("title") == "rated 4, starred"
    assert page.locator("thead .tally").all_inner_texts()[1].startswith("4.0")
    reload(page)
    assert page.locator(".frame .marks").nth(1).get_attribute("title") == "rated 4, starred"
    page.select_option("#kinds", "star")
    assert page.inner_text("#shown") == "1 of 6 shown"
    assert "marks=star" in page.url


def test_a_frame_in_focus_is_marked_and_the_same_key_takes_it_back(opened):
    page = opened()
    page.focus("#sheet .frame >> nth=0")
    page.keyboard.press("x")
    assert page.locator(".marks.rejected").count() == 1
    assert page.inner_text("#announcer") == "rejected"
    page.keyboard.press("x")
    assert page.locator(".marks.rejected").count() == 0


def test_a_held_picture_stands_beside_the_next_and_the_link_shows_both(opened):
    page = opened()
    open_picture(page)
    page.keyboard.press("h")
    page.keyboard.press("ArrowRight")
    assert (page.inner_text("#tag-first"), page.inner_text("#tag-second")) == ("1 · step 250", "2 · step 500")
    for key, mode in (("w", "wipe"), ("d", "difference"), ("f", "flicker"), ("s", "both")):
        page.keyboard.press(key)
        assert page.locator(f"#stage.{mode}").count() == 1
    again = opened(fragment="#" + page.url.partition("#")[2])
    assert again.inner_text("#tag-first") == "1 · step 250"
    again.keyboard.press("h")
    assert again.inner_text("#tag-first") == "preview", "which it stands beside where no other is held"


def test_both_pictures_show_the_same_part_however_it_is_chosen(opened):
    page = opened()
    open_picture(page)
    page.keyboard.press("h")
    page.keyboard.press("ArrowRight")
    whole = seen(page)
    box = page.locator(".of-second").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.9, box["y"] + box["height"] * 0.9)
    page.mouse.wheel(0, -600)
    page.wait_for_function("document.getElementById('zoom').value === 'other'")
    zoomed = seen(page)
    page.keyboard.press("Shift+ArrowLeft")
    moved = seen(page)
    page.mouse.down()
    page.mouse.move(box["x"], box["y"])
    page.mouse.up()
    dragged = seen(page)
    assert all(first == second for first, second in (whole, zoomed, moved, dragged))
    assert len({str(each) for each in (whole, zoomed, moved, dragged)}) == 4
    page.keyboard.press("z")
    assert seen(page) == whole


def test_votes_are_given_without_labels_and_counted_with_intervals(opened, tmp_path):
    page = opened()
    page.click("#picks")
    page.fill("#order", "7")
    page.click("text=Compare blind")
    assert page.inner_text("#title") == "Which is better? 0 votes so far"
    assert [page.inner_text(tag) for tag in ("#tag-first", "#tag-second")] == ["A", "B"]
    assert not page.locator("#panel").is_visible()
    page.keyboard.press("a")
    page.click("text=B is better")
    page.keyboard.press("u")
    assert page.inner_text("#title") == "Which is better? 1 vote so far"
    page.keyboard.press("Escape")
    page.wait_for_selector("#decision tbody tr")
    assert page.locator("#decision tbody tr").count() == 2
    assert "1 of 1\t21–100 %" in page.inner_text("#decision tbody")
    titles = page.locator("#decision td button").evaluate_all("buttons => buttons.map((each) => each.title)")
    assert [title.split(" --lora ")[0] for title in titles] == ["darkroom pick strength"] * 2
    page.fill("#who", "Anna")
    page.press("#who", "Tab")
    (anna,) = exported(page, tmp_path).people
    assert (anna.who, len(anna.votes)) == ("Anna", 1)


def test_the_order_of_the_pairs_is_fixed_by_its_number(opened):
    page = opened()
    first, again, other = (page.evaluate(f"[...pairsIn(order, {number})].slice(0, 4)") for number in (7, 7, 8))
    assert first == again != other


def test_somebody_elses_file_is_added_and_another_experiments_is_refused(opened, tmp_path):
    page = opened()
    page.focus("#sheet .frame >> nth=0")
    page.keyboard.press("2")
    page.click("#picks")
    mine = exported(page, tmp_path).to_json()
    theirs = mine["people"][0] | {"who": "Ben"}
    (tmp_path / "ben.json").write_text(json.dumps(mine | {"people": [theirs]}))
    page.set_input_files("#import", tmp_path / "ben.json")
    page.wait_for_selector("text=ben.json: Read: Ben.")
    assert {person.who for person in exported(page, tmp_path).people} == {"Ben", mine["people"][0]["who"]}
    (tmp_path / "other.json").write_text(json.dumps(mine | {"experiment": "portraits"}))
    page.set_input_files("#import", tmp_path / "other.json")
    page.wait_for_selector(f'text=Not read: picks of experiment "portraits", not of "{EXPERIMENT}".')


A, B = "a" * 64, "b" * 64
MARK = {"rating": 4, "star": False, "reject": False, "note": "", "at": "2026-11-28T17:00:00.000Z"}
VOTE = {"winner": A, "loser": B, "at": "2026-11-28T17:00:00.000Z"}


def by_anna(**changes):
    """A file of hers; `changes` to what it says of her."""
    return {"format": 1, "experiment": EXPERIMENT, "people": [{"who": "Anna", "marks": {}, "votes": []} | changes]}


def test_a_file_in_which_anything_is_not_as_it_has_to_be_is_a_sentence_and_adds_nothing(opened):
    page = opened()
    rating = "rating: expected a whole number from 1 to 5, or null, got"
    for file, said in (
        (by_anna(marks={A: MARK | {"rating": "5"}}), f'people[0].marks.aaaaaaaaaaaa.{rating} "5".'),
        (
            by_anna(marks={A: MARK | {"rating": 1e308}, B: MARK | {"note": {}}}),
            f"aaaaaaaaaaaa.{rating} 1e+308; and 1 more",
        ),
        (by_anna(marks={A: {}}), "expected an object of rating, star, reject, note, at, got an object of nothing."),
        (by_anna(marks=None), "people[0].marks: expected an object, by request id, got null."),
        (
            by_anna(marks={"__proto__": MARK}),
            'people[0].marks: expected a request id of 64 hex digits, got "__proto__".',
        ),
        (by_anna(votes=[None]), "people[0].votes[0]: expected an object of winner, loser, at, got null."),
        (by_anna(votes=[VOTE | {"at": "today"}]), "votes[0].at: expected a time such as 2026-11-28T17:00:00.000Z"),
        (by_anna(who=" "), 'people[0].who: expected a name, got " ".'),
        (by_anna() | {"people": [None]}, "people[0]: expected an object of who, marks, votes, got null."),
        (by_anna() | {"people": {}}, "people: expected a list, got an object of nothing."),
        (by_anna() | {"format": {"toString": 1}, "more": 1}, "of format an object of toString; this page reads 1."),
        ([], "expected a file that this page or `darkroom picks -o` has written."),
    ):
        assert said in page.evaluate("takePicks", json.dumps(file))
    assert page.evaluate("picks.people.size") == 0


def test_of_two_marks_the_later_counts_and_a_name_is_any_text(opened):
    page = opened()
    later, earlier = (MARK | {"rating": n, "at": at} for n, at in ((5, MARK["at"]), (1, "2026-11-28T21:30:00+05:00")))
    for mark in (later, earlier):
        assert page.evaluate("takePicks", json.dumps(by_anna(who=" __proto__ ", marks={A: mark}))) == "Read: __proto__."
    reload(page)
    assert page.evaluate("[...picks.people].map(([who, { marks }]) => [who, Object.values(marks)[0].rating])") == [
        ["__proto__", 5]
    ]


@pytest.mark.parametrize(
    ("kept", "said", "ratings"),
    [
        ("{", "people: expected a list, got null.", []),
        (
            json.dumps({"me": {}, "people": {"Ben": {"marks": {A: MARK, B: MARK | {"rating": "5"}}, "votes": []}}}),
            "bbb.rating",
            [4],
        ),
    ],
)
def test_of_what_the_browser_has_kept_the_damaged_part_is_left_out_and_said(opened, kept, said, ratings):
    page = opened()
    page.evaluate("text => localStorage.setItem(PLACE, text)", kept)
    reload(page)
    assert (
        page.evaluate(
            "[...picks.people.values()].flatMap(({ marks }) => Object.values(marks).map(({ rating }) => rating))"
        )
        == ratings
    )
    page.click("text=Picks: some are damaged")
    assert said in page.inner_text("#decision b")
    assert page.evaluate("order.length") == 6
    page.evaluate("mark(0, { rating: 2 })")
    reload(page)
    assert page.inner_text("#picks") == "Picks"


def test_on_a_phone_two_pictures_stand_above_each_other_and_two_fingers_zoom_both(opened):
    page = opened(width=390, height=844, has_touch=True, is_mobile=True)
    page.tap("#sheet .frame >> nth=0")
    page.tap("#hold")
    page.tap("#next")
    page.wait_for_selector("#stage.stacked")
    first, second = (page.locator(f".of-{which}").bounding_box() for which in ("first", "second"))
    assert second["y"] >= first["y"] + first["height"]
    pinch(page, first["x"] + first["width"] / 2, first["y"] + first["height"] / 2)
    page.wait_for_function("document.getElementById('zoom').value === 'other'")
    zoomed, same = seen(page)
    assert zoomed == same
    page.click("[aria-label='Rate 3']")  # the browser takes a tap to stop what two fingers have set in motion
    page.wait_for_selector("[aria-label='Rate 3'][aria-pressed=true]")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

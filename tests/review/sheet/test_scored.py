"""Scores on the page: hidden axes to sort and find by, numbers for its script, a line on the best step."""

from dataclasses import replace

from tests.examples.record import REQUEST, record

from darkroom.record.rows import Failure
from darkroom.review.page.axes import axes_of
from darkroom.review.sheet.contact_sheet import places_of
from darkroom.review.sheet.scored import scores_of, told, with_scores
from darkroom.scoring.table import Score

REQUESTS = [
    REQUEST.changed(lora=f"anna_{step:09d}", index=0, seed=seed, image_name=f"{step}_{seed}", axes=(("seed", seed),))
    for step in (250, 500)
    for seed in range(6)
]
ROWS = [replace(record(request), request_id=request.title.image_name) for request in REQUESTS]
SHARP = Score("sharp", {row.request_id: n / 10 for n, row in enumerate(ROWS) if n < 12}, "higher")


def test_a_score_is_a_hidden_axis_the_highest_first_and_last_what_has_none() -> None:
    rows = [*ROWS[:2], Failure.of(REQUESTS[2], "out of memory")]
    *_, axis = with_scores(axes_of(places_of(REQUESTS[:3])), rows, [SHARP])
    assert (axis.name, axis.placement, axis.values, axis.codes) == ("sharp", "hidden", ("0.1", "0", ""), (1, 0, 2))
    assert scores_of(rows, [SHARP]) == [{"name": "sharp", "better": "higher", "values": [0.0, 0.1, None]}]


def test_the_best_step_is_told_with_how_sure_it_is() -> None:
    (line,) = told(axes_of(places_of(REQUESTS)), ROWS, [SHARP, Score("change", SHARP.values)])
    assert line == ("best step by sharp", "500: 0.85 (0.717 to 0.983), ahead of all others")

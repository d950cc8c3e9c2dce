"""Part of a sheet: which pictures, along which axes."""

import pytest
from tests.examples.record import REQUEST, record

from darkroom.errors import ConfigError
from darkroom.record.rows import Row
from darkroom.review.sharing.view import Selection, View, cut

ROWS: list[Row] = [
    record(
        REQUEST.changed(
            **{"lora": f"anna_{step:09d}", "index": index, "image_name": f"{step}_{index}_{seed}"},
            **{"axes": (("seed", seed),), "seed": seed},
            **dict.fromkeys(("prompt", "prompt_template"), ("a cat", "a dog at dawn")[index]),
        )
    )
    for step in (250, 500, 750)
    for index in (0, 1)
    for seed in (1, 2)
]  # fmt: skip


def names(view: View) -> list[list[str]]:
    frame = view.frames[0]
    return [
        [frame.cells[row, column].request.title.image_name for column in view.column_values] for row in view.row_values
    ]


def test_rows_columns_and_one_seed() -> None:
    view = cut(ROWS, Selection(rows=("prompt",), columns=("step",), only=("seed=1",)))
    assert (view.row_values, view.column_values) == ((("a cat",), ("a dog at dawn",)), (("250",), ("500",), ("750",)))
    assert names(view) == [["250_0_1", "500_0_1", "750_0_1"], ["250_1_1", "500_1_1", "750_1_1"]]
    assert (view.frames[0].said, view.notes) == (("seed 1",), ())


def test_what_nobody_places_goes_to_the_rows_and_is_said() -> None:
    view = cut(ROWS, Selection(rows=("prompt",), columns=("step",)))
    assert len(view.row_values) == 4
    assert view.notes == ("seed varies too, and goes to the rows: --only seed=… takes one",)
    assert [axis.name for axis in cut(ROWS, Selection()).rows] == ["index", "seed"]
    [note] = cut(ROWS, Selection(rows=("seed",), columns=("step",))).notes
    assert note == "prompt varies too, and goes to the rows: --only index=0 takes one"
    assert names(cut(ROWS, Selection(columns=("step",), only=("index=0", "seed=1")))) == [
        ["250_0_1", "500_0_1", "750_0_1"]
    ]


@pytest.mark.parametrize("only", ["step=500..750", "step=500,750", "index=a dog at dawn", "prompt=dog", "index=1"])
def test_values_are_numbers_ranges_texts_or_parts_of_texts(only: str) -> None:
    view = cut(ROWS, Selection(only=(only,)))
    assert len(view.frames[0].cells) == (8 if only.startswith("step") else 6)


def test_an_axis_over_time_is_a_frame_for_each_value() -> None:
    view = cut(ROWS, Selection(over="step"))
    assert [frame.said for frame in view.frames] == [("step 250",), ("step 500",), ("step 750",)]
    assert {len(frame.cells) for frame in view.frames} == {4}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            Selection(rows=("prompts",)),
            "--rows: prompts is no axis of this experiment; did you mean 'prompt'? known: prompt, ",
        ),
        (Selection(only=("seed",)), "--only seed: expected AXIS=VALUE, such as seed=1"),
        (Selection(only=("seed=7",)), "--only seed=7: there is no such seed; known: 1, 2"),
        (Selection(only=("index=2",)), "--only index=2: there is no such prompt; known: 0 (a cat), 1 (a dog at dawn)"),
        (Selection(only=("step=1..9",)), "--only step=1..9: there is no such step"),
        (Selection(only=("step=1.2.3..5",)), "--only step=1.2.3..5: there is no such step"),
        (Selection(only=("step=.....5",)), "--only step=.....5: there is no such step"),
        (Selection(rows=("step",), columns=("step",)), "step: goes to one of --rows, --columns and --over"),
        (Selection(only=("seed=1", "seed=2")), "no picture has all of this"),
    ],
)
def test_what_cannot_be_meant_is_a_sentence(asked: Selection, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        cut(ROWS, asked)
    assert said in str(caught.value)

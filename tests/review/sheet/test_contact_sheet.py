"""Rows to axes, and columns to codes."""

from darkroom.review.sheet.contact_sheet import axes_of, coded


def row(lora="none", prompts="p", index=0, model="demo", **axes):
    return {
        "model": model,
        "lora": lora,
        "loras": [] if lora == "none" else [{"path": "x"}],
        "prompts": prompts,
        "index": index,
        "prompt_template": f"{prompts} {index}",
        "prompt_embeds": None,
        "ctrl_images": [],
        **{"neg": "", "guidance_scale": 4.0, "sample_steps": 25, "width": 64, "height": 64},
        "axes": [{"name": name, "value": value} for name, value in axes.items()],
    }


def layout(rows):
    return {axis.name: axis.placement for axis in axes_of(rows)}


def test_only_what_varies_is_an_axis():
    assert axes_of([row()]) == ()
    assert layout([row(), row(index=1)]) == {"index": "rows"}


def test_the_base_model_comes_before_the_loras_and_numbers_by_size():
    lora, strength = axes_of(
        [row("anna", network_multiplier="10.0"), row("none"), row("anna", network_multiplier="2.5")]
    )
    assert (lora.values, lora.codes) == (("none", "anna"), (1, 0, 1))
    assert (strength.values, strength.codes) == (("", "2.5", "10.0"), (2, 0, 1))


def test_prompts_of_equal_text_in_different_sets_stay_apart():
    rows = [{**row(prompts="b"), "prompt_template": "a cat"}, {**row(prompts="a"), "prompt_template": "a cat"}]
    assert axes_of(rows)[1].values == ("a cat", "a cat")
    assert axes_of(rows)[1].codes == (1, 0)


def test_prompts_of_equal_text_are_told_apart_by_what_they_set_otherwise_than_most():
    rows = [row(index=0), row(index=1), {**row(index=2), "neg": "red", "width": 128}, {**row(index=3), "neg": "blue"}]
    rows[3]["guidance_scale"] = 1.0
    rows = [{**each, "prompt_template": "a cat"} for each in rows]
    assert axes_of(rows)[0].values == (
        "a cat",
        "a cat",
        "a cat · neg: red · size: 128×64",
        "a cat · neg: blue · guidance_scale: 1",
    )
    rows = [{**row(seed="1", guidance_scale="4.0", index=i), "guidance_scale": i} for i in (0, 1)]
    assert axes_of(rows)[0].values == ("p 0", "p 1"), "an axis of the matrix is no part of the prompt"
    rows = [{**row(model=model, index=i), "width": width} for model, width in (("a", 64), ("b", 128)) for i in (0, 1)]
    assert axes_of(rows)[1].values == ("p 0", "p 1"), "neither is what a model sets"


def test_the_first_layout():
    rows = [row("none", "a", 0, seed="1", network_multiplier="1", neg='"x"'), row("anna", "b", 1, "big", seed="2")]
    assert layout(rows) == {
        "model": "sections",
        "lora": "columns",
        "prompts": "sections",
        "index": "rows",
        "seed": "rows",
        "network_multiplier": "columns",
        "neg": "sections",
    }
    assert layout([row(seed="1", sample_steps="4"), row(seed="2", sample_steps="8")])["sample_steps"] == "columns"
    assert layout([row(seed="1"), row(seed="2")]) == {"seed": "columns"}


def test_columns_by_code():
    assert coded(["a", "b", "a"]) == {"values": ["a", "b"], "codes": [0, 1, 0]}
    assert coded(["a", "a"]) == {"values": ["a"]}
    assert coded([1, 2]) == {"values": [1, 2]}
    assert coded([[], [1], []])["values"][coded([[], [1], []])["codes"][2]] == []


def test_prompts_that_differ_only_in_their_reference_images_read_apart():
    seen = [{"path": "faces/anna.png", "sha256": "a"}, {"path": "bob.png", "sha256": "b"}]
    rows = [row(), {**row(index=1), "prompt_template": "p 0", "ctrl_images": seen}]
    (axis,) = axes_of(rows)
    assert axis.values == ("p 0", "p 0 [anna.png, bob.png]")

"""Rows to axes, and columns to codes."""

from dataclasses import replace

from tests.examples.record import REQUEST

from darkroom.request.parts import Lora, ReferenceImage
from darkroom.review.page import axes
from darkroom.review.sheet.contact_sheet import coded, places_of


def request(lora="none", prompts="p", index=0, model="demo", axes=(), **changes):
    names = {"model": model, "lora": lora, "prompts": prompts, "index": index, "axes": tuple(dict(axes).items())}
    loras = () if lora == "none" else (Lora("x", 1.0),)
    plain = {"prompt_template": f"{prompts} {index}", "neg": "", "sample_steps": 25, "height": 64}
    return REQUEST.changed(loras=loras, **names, **{**plain, **changes})


def axes_of(requests):
    return axes.axes_of(places_of(requests))


def layout(requests):
    return {axis.name: axis.placement for axis in axes_of(requests)}


def test_only_what_varies_is_an_axis():
    assert axes_of([request()]) == ()
    assert layout([request(), request(index=1)]) == {"index": "rows"}


def test_the_base_model_comes_before_the_loras_and_numbers_by_size():
    lora, strength = axes_of(
        [
            request("anna", axes={"network_multiplier": 10.0}),
            request(),
            request("anna", axes={"network_multiplier": 2.5}),
        ]
    )
    assert (lora.values, lora.codes) == (("none", "anna"), (1, 0, 1))
    assert (strength.values, strength.codes) == (("", "2.5", "10.0"), (2, 0, 1))


def test_prompts_of_an_axis_are_rows_and_strengths_of_files_are_columns():
    axes = [{"prompt": text, "network_multiplier.sks": strength} for text in ("a", "b") for strength in (0.5, 1.0)]
    assert layout([request("two", axes=each) for each in axes]) == {
        "prompt": "rows",
        "network_multiplier.sks": "columns",
    }


def test_prompts_of_equal_text_in_different_sets_stay_apart():
    requests = [request(prompts=prompts, prompt_template="a cat") for prompts in ("b", "a")]
    assert axes_of(requests)[1].values == ("a cat", "a cat")
    assert axes_of(requests)[1].codes == (1, 0)


def test_prompts_of_equal_text_are_told_apart_by_what_they_set_otherwise_than_most():
    own = ({}, {}, {"neg": "red", "width": 128}, {"neg": "blue", "guidance_scale": 1.0})
    requests = [request(index=index, prompt_template="a cat", **changes) for index, changes in enumerate(own)]
    assert axes_of(requests)[0].values == (
        "a cat",
        "a cat",
        "a cat · neg: red · size: 128×64",
        "a cat · neg: blue · guidance_scale: 1",
    )
    requests = [request(index=i, axes={"seed": 1, "guidance_scale": 4.0}, guidance_scale=float(i)) for i in (0, 1)]
    assert axes_of(requests)[0].values == ("p 0", "p 1"), "an axis of the matrix is no part of the prompt"
    requests = [request(model=model, index=i, width=width) for model, width in (("a", 64), ("b", 128)) for i in (0, 1)]
    assert axes_of(requests)[1].values == ("p 0", "p 1"), "neither is what a model sets"


def test_the_first_layout():
    one = request("none", "a", 0, axes={"seed": 1, "network_multiplier": 1, "neg": "x"})
    other = request("anna", "b", 1, "big", axes={"seed": 2})
    assert layout([one, other]) == {
        "model": "sections",
        "lora": "columns",
        "prompts": "sections",
        "index": "rows",
        "seed": "rows",
        "network_multiplier": "columns",
        "neg": "sections",
    }
    assert (
        layout([request(axes={"seed": seed, "sample_steps": 4 * seed}) for seed in (1, 2)])["sample_steps"] == "columns"
    )
    assert layout([request(axes={"seed": seed}) for seed in (1, 2)]) == {"seed": "columns"}


def test_columns_by_code():
    assert coded(["a", "b", "a"]) == {"values": ["a", "b"], "codes": [0, 1, 0]}
    assert coded(["a", "a"]) == {"values": ["a"]}
    assert coded([1, 2]) == {"values": [1, 2]}
    assert coded([[], [1], []])["values"][coded([[], [1], []])["codes"][2]] == []


def test_prompts_that_differ_only_in_their_reference_images_read_apart():
    seen = (ReferenceImage("faces/anna.png", "a"), ReferenceImage("bob.png", "b"))
    (axis,) = axes_of([request(), request(index=1, prompt_template="p 0", ctrl_images=seen)])
    assert axis.values == ("p 0", "p 0 [anna.png, bob.png]")


def checkpoints(*names, **changes):
    return [request(name, axes={"network_multiplier": 1.0}, **changes) for name in names]


def test_the_checkpoints_of_one_training_are_steps():
    (step,) = axes_of(checkpoints("none", "anna_000001500", "anna_000000250"))
    assert (step.name, step.values, step.codes) == ("step", ("none", "250", "1500"), (0, 2, 1))
    assert step.placement == "columns"


def test_of_two_trainings_each_has_its_name_once():
    lora, step = axes_of(checkpoints("anna_000000250", "bob_000000250", "bob_000000500"))
    assert (lora.values, step.values) == (("anna", "bob"), ("250", "500"))


def test_the_step_of_a_file_is_its_headers_where_no_name_says_one():
    one, other = (
        replace(made, adapters=replace(made.adapters, loras=(Lora("my_lora.safetensors", 1.0, step=step),)))
        for made, step in zip(checkpoints("one", "other"), (750, 1500), strict=True)
    )
    lora, step = axes_of([one, other])
    assert (lora.values, step.values) == (("one", "other"), ("750", "1500"))


def test_loras_with_names_of_their_own_have_an_axis_of_their_steps_where_these_differ():
    none, *named = checkpoints("none", "best", "other")
    for steps in ((1000, 1000), (1000, 1500)):
        best, other = (
            replace(made, adapters=replace(made.adapters, loras=(Lora("a.safetensors", 1.0, step=step),)))
            for made, step in zip(named, steps, strict=True)
        )
        lora, *step_axes = axes_of([none, best, other])
        assert lora.values == ("none", "best", "other")
        assert [axis.values for axis in step_axes] == ([("none", "1000", "1500")] if steps == (1000, 1500) else [])


def test_a_lora_whose_own_name_says_more_than_its_step_keeps_it():
    early, late = (
        replace(made, adapters=replace(made.adapters, loras=(Lora(f"anna_{step:09}.safetensors", 1.0),)))
        for made, step in zip(checkpoints("early", "late"), (250, 1500), strict=True)
    )
    lora, step = axes_of([early, late])
    assert (lora.values, step.values) == (("early", "late"), ("250", "1500"))


def test_axes_are_called_as_people_call_them():
    axes = {"network_multiplier": 1, "network_multiplier.sks": 1, "guidance_scale": 4.0, "sample_steps": 9}
    found = axes_of([request(), request(axes=axes, index=1, prompts="q")])
    assert [axis.title for axis in found] == [
        "prompt set",
        "prompt",
        "strength",
        "strength of sks",
        "guidance",
        "sample steps",
    ]


def test_the_words_that_all_prompts_begin_with_are_said_once():
    texts = ("a photo of sks, at dawn", "a photo of sks, in a red coat")
    (axis,) = axes_of([request(index=index, prompt_template=text) for index, text in enumerate(texts)])
    assert (axis.prefix, axis.values) == ("a photo of sks, ", texts)
    assert axes.prefix_of(["a cat", "a cat on a mat"]) == "", "one would be left empty"
    assert axes.prefix_of(["a cat", "a dog"]) == "", "too few to say them apart"

"""How an experiment may be written: one value for a list, ranges, prompts and single files' strengths as axes."""

import re

import numpy as np
import pytest
from safetensors.numpy import save_file
from tests.places import REPOSITORY


def write(project, matrix):
    project.write("conf/experiment/e.yaml", f"matrix: {{{matrix}}}\n")


def requests(project, matrix):
    write(project, matrix)
    return [request for combination in project.load().combinations for request in combination.requests]


def values(project, axis, written):
    made = requests(project, f"model: m, lora: l, prompts: p, {axis}: {written}")
    return list(dict.fromkeys(dict(request.title.axes)[axis] for request in made))


def error(project, matrix):
    write(project, matrix)
    return project.error().removeprefix("conf/experiment/e.yaml: ")


def test_one_value_is_a_list_of_one(project):
    one, listed = "model: m, lora: l, prompts: p, seed: 7", "model: [m], lora: [l], prompts: [p], seed: [7]"
    assert requests(project, one) == requests(project, listed)


@pytest.mark.parametrize(
    ("axis", "written", "meant"),
    [
        ("seed", "1..4", [1, 2, 3, 4]),
        ("seed", "[1..3, 10]", [1, 2, 3, 10]),
        ("seed", "0..100:50", [0, 50, 100]),
        ("seed", "3..1", [3, 2, 1]),
        ("sample_steps", "4..4", [4]),
        ("network_multiplier", "0.5..1.0:0.1", [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]),
        ("network_multiplier", "-4..6:5", [-4.0, 1.0, 6.0]),
        ("guidance_scale", "'1 .. 2 : 0.25'", [1.0, 1.25, 1.5, 1.75, 2.0]),
    ],
)
def test_a_range_has_both_ends_and_exact_decimals(project, axis, written, meant):
    assert values(project, axis, written) == meant


@pytest.mark.parametrize(
    ("seed", "message"),
    [
        ("1..8:3", "1..8:3: steps of 3 from 1 do not end at 8; first..last:step has both ends in it"),
        ("1..8:0", "1..8:0: expected a step above 0"),
        ("1..20000", "1..20000: 20000 values; expected 10000 at most"),
        ("1..", "expected a whole number, got '1..'"),
        ("0.5..1.5", "0.5..1.5: expected whole numbers"),
    ],
)
def test_a_bad_range(project, seed, message):
    assert error(project, f"model: m, lora: l, prompts: p, seed: {seed}") == f"matrix.seed: {message}"


def test_a_text_that_looks_like_a_range_is_a_text(project):
    assert values(project, "neg", "[1..4]") == ["1..4"]


def test_an_override_may_be_written_so_too(project):
    assert len(project.load("matrix.seed=1..8").combinations[0].requests) == 16


def test_prompts_are_an_axis_that_needs_no_set(project):
    made = requests(project, 'model: m, lora: l, prompt: ["a [trigger] car", a dog], seed: 1..2')
    assert [(each.title.prompts, each.sampling.seed, each.text.prompt) for each in made] == [
        ("blank", 1, "a sks car"),
        ("blank", 2, "a sks car"),
        ("blank", 1, "a dog"),
        ("blank", 2, "a dog"),
    ]
    assert [each.remarks.warnings for each in made] == [()] * 4


def test_a_prompt_of_an_axis_takes_the_place_of_a_sets(project):
    made = requests(project, "model: m, lora: l, prompts: p, prompt: a dog")
    assert [each.text.prompt for each in made] == ["a dog", "a dog"]
    assert made[0].remarks.warnings == ("the text of the prompt is overruled by the matrix",)


def test_what_an_axis_overrules_is_said(project):
    project.write("conf/prompts/p.yaml", 'prompts: [{prompt: a, seed: 7, aspect_ratio: "3:4"}, {prompt: b, seed: 1}]\n')
    made = requests(project, "model: m, lora: l, prompts: p, seed: 1, width: 512")
    assert made[0].remarks.warnings[:2] == (
        "seed 7 of the prompt is overruled by the matrix: 1",
        "aspect_ratio 3:4 of the prompt is overruled by the matrix: width 512",
    )
    assert made[1].remarks.warnings == ()


@pytest.mark.parametrize("template", ["{red|green}", "__colour__", "__animals/cats__"])
def test_a_template_of_other_tools_is_rendered_as_it_is_and_said(project, template):
    project.write("conf/prompts/p.yaml", f'prompts: ["a {template} car", "a [trigger] car", "__init_ snake_case"]\n')
    made = requests(project, "model: m, lora: l, prompts: p")
    assert made[0].text.prompt == f"a {template} car"
    assert [warning for each in made for warning in each.remarks.warnings] == [
        f"{template} stays as it is; a prompt that stands for several is one of the set's `templates`"
    ]


@pytest.fixture
def stack(project):
    """LoRA `two`: sks at 0.8, then detail."""
    project.write_weights("detail.safetensors")
    files = "[{path: sks.safetensors, network_multiplier: 0.8}, detail.safetensors]"
    project.write("conf/lora/two.yaml", f"trigger_word: sks\nloras: {files}\n")
    return project


@pytest.mark.parametrize(
    "axis",
    ["network_multiplier.detail: [0, 2]", "network_multiplier.2: [0, 2]", "network_multiplier: {detail: [0, 2]}"],
)
def test_the_strength_of_one_file_is_an_axis(stack, axis):
    made = requests(stack, f"model: m, lora: two, prompts: p, {axis}")
    assert [[lora.network_multiplier for lora in each.adapters.loras] for each in made[:2]] == [[0.8, 0], [0.8, 2]]
    assert made[0].request_id != made[1].request_id
    assert [value for each in made[:2] for _, value in each.title.axes] == [0, 2]


def test_the_whole_stacks_strength_multiplies_it(stack):
    made = requests(stack, "model: m, lora: two, prompts: p, network_multiplier: 0.5, network_multiplier.detail: 2")
    assert [lora.network_multiplier for lora in made[0].adapters.loras] == [0.4, 1.0]


def test_a_file_that_no_lora_has(stack):
    assert error(stack, "model: m, lora: [l, two], prompts: p, network_multiplier.detial: 1") == (
        "matrix.network_multiplier.detial: no LoRA of the matrix has this file; "
        "known, with their numbers: sks (1), detail (2)"
    )


def test_a_lora_without_the_file_is_rendered_with_a_warning(stack):
    made = requests(stack, "model: m, lora: [l, two], prompts: p, network_multiplier.detail: 1")
    assert made[0].remarks.warnings == ("network_multiplier.detail has no effect: LoRA l has no such file",)
    assert made[2].remarks.warnings == ()


def test_the_base_model_has_no_strengths_to_warn_of(stack):
    made = requests(stack, "model: m, lora: [none, two], prompts: p, network_multiplier.detail: 1")
    assert made[1].remarks.warnings == ()


def test_a_file_that_only_an_axis_applies_has_to_fit_as_well(stack):
    save_file({"lora_unet_input_blocks_1.alpha": np.zeros((), np.float32)}, "detail.safetensors")  # Stable Diffusion's
    stack.write("conf/lora/two.yaml", "loras: [{path: detail.safetensors, network_multiplier: 0}]\n")
    assert len(requests(stack, "model: m, lora: two, prompts: p")) == 2
    said = error(stack, "model: m, lora: two, prompts: p, network_multiplier.1: [0, 1]")
    assert said.startswith("conf/lora/two.yaml: loras[0].path: on model m: detail.safetensors")


def test_strengths_have_no_bound_but_that_of_numbers(project):
    assert values(project, "network_multiplier", "[-9, 6, 1000]") == [-9.0, 6.0, 1000.0]
    project.write("conf/lora/l.yaml", "loras: [{path: sks.safetensors, network_multiplier: 1.0e+20}]\n")
    write(project, "model: m, lora: l, prompts: p, network_multiplier: 1.0e+20")
    assert project.error() == "conf/lora/l.yaml: loras[0].network_multiplier: times 1e+20 is beyond what float32 holds"


def test_the_first_example_of_the_readme_has_no_warning(project):
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    example = readme.partition("## Your own LoRA")[2].partition("\n## ")[0]
    for file, text in re.findall(r"```yaml\n# (conf/\S+)\n(.*?)```", example, re.DOTALL):
        project.write(file.replace("experiment/strength", "experiment/e"), text)
    project.write_weights("output/my_job/my_job_000001500.safetensors")
    made = [request for combination in project.load().combinations for request in combination.requests]
    assert len(made) == 12
    assert {request.remarks.warnings for request in made} == {()}

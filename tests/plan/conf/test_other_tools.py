"""Keys of other tools, wherever they are written: ours is named, or what to do instead."""

import pytest

from darkroom.plan.conf.other_tools import answer, instead, our_key
from darkroom.plan.conf.schema import ModelDefaults, Output, Prompt, StackedLora

PROMPT = tuple(Prompt.__dataclass_fields__)


@pytest.mark.parametrize(
    ("key", "ours"),
    [
        ("negative_prompt", "neg"),
        ("Negative prompt", "neg"),
        ("steps", "sample_steps"),
        ("num_inference_steps", "sample_steps"),
        ("numInferenceSteps", "sample_steps"),
        ("cfg", "guidance_scale"),
        ("CFG scale", "guidance_scale"),
        ("cfg-scale", "guidance_scale"),
        ("lora_scale", "network_multiplier"),
        ("lora_strength", "network_multiplier"),
        ("strength", "network_multiplier"),
        ("weight", "network_multiplier"),
        ("noise_seed", "seed"),
        ("control_image", "ctrl_img"),
    ],
)
def test_a_prompts_key_by_another_name(key, ours):
    assert answer(key, PROMPT) == f"here it is {ours}"


@pytest.mark.parametrize(
    ("key", "advice"),
    [
        ("sampler", "there is no choice of samplers"),
        ("scheduler", "there is no choice of samplers"),
        ("batch_size", "several pictures of a prompt are an axis of the matrix"),
        ("n_iter", "several pictures of a prompt are an axis of the matrix"),
        ("resolution", "write width and height, or aspect_ratio"),
        ("denoising_strength", "there is nothing like it"),
        ("lora", "LoRAs are files of conf/lora/"),
        ("style", "known: aspect_ratio, "),
    ],
)
def test_a_key_that_we_have_not(key, advice):
    assert answer(key, PROMPT).startswith(advice)


def test_one_word_may_be_two_of_our_keys():
    assert answer("scale", tuple(StackedLora.__dataclass_fields__)) == "here it is network_multiplier"
    assert answer("scale", tuple(ModelDefaults.__dataclass_fields__)) == "here it is guidance_scale"


def test_a_known_key_is_itself_though_other_tools_mean_another_by_it():
    assert our_key("name", ("name", "path")) == "name"
    assert our_key("name", ("path",)) == "path"
    assert our_key("colour", ("name", "path")) is None


def test_there_is_nothing_instead_where_no_key_of_ours_is_meant():
    assert instead("steps", ("sample_steps",)) == "here it is sample_steps"
    assert instead("sede", ("neg", "seed")) == "did you mean 'seed'? known: neg, seed"
    assert instead("close-up", PROMPT) is None


def test_a_key_that_cannot_stand_here_is_not_named():
    assert answer("steps", tuple(Output.__dataclass_fields__)).startswith("known: format")


def test_a_key_of_many_prompts_is_said_once(project):
    project.write("conf/prompts/p.yaml", "prompts:\n" + "".join(f"  - {{prompt: {n}x, steps: 4}}\n" for n in range(9)))
    assert project.error() == (
        "conf/prompts/p.yaml: prompts[0].steps: unknown key; here it is sample_steps (and in 8 more)"
    )


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("prompts/p", "steps: 4\nprompts: [a]\n", "steps: unknown key; here it is defaults.sample_steps"),
        ("prompts/p", "seed: 4\nprompts: [a]\n", "seed: unknown key; here it is defaults.seed"),
        (
            "lora/l",
            "strength: 1\nloras: [sks.safetensors]\n",
            "strength: unknown key; here it is loras[…].",
        ),
        ("lora/l", "loras: [{file: sks.safetensors}]\n", "loras[0].file: unknown key; here it is path"),
        (
            "model/m",
            "family: flux2\ncheckpoint: {repo: a/b}\ncfg: 1\n",
            "cfg: unknown key; here it is defaults.guidance_scale",
        ),
        (
            "experiment/e",
            "matrix: {model: m, lora: l, prompts: p}\nmodel: {steps: 4}\n",
            "model.steps: unknown key; here it is model.defaults.sample_steps",
        ),
        (
            "experiment/e",
            "matrix: {model: m, lora: l, prompts: p}\nsteps: 4\n",
            "steps: unknown key; here it is matrix.sample_steps, or prompts.defaults.sample_steps for prompts",
        ),
    ],
)
def test_a_key_that_stands_too_high(project, file, text, message):
    project.write(f"conf/{file}.yaml", text)
    assert f"conf/{file}.yaml: {message}" in project.error()

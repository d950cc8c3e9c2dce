"""conf/ in, requests out: names, defaults, precedence, trigger words, sizes, seeds."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from tests.examples.small_project import BUILT_IN, values

from darkroom.names import Names
from darkroom.plan.load import load_experiment
from darkroom.request.parts import Lora
from darkroom.request.speedups import numerics_in_full, speedups_of

NAMES = Names("m", "l", "p")


def requests(experiment, model="m", lora="l", prompts="p"):
    return experiment.combination(Names(model, lora, prompts)).requests


def prompts_of(experiment, **names):
    return [request.text.prompt for request in requests(experiment, **names)]


def test_a_request_holds_everything_in_effect(project):
    first, second = requests(project.load())
    assert values(first, "experiment", "model", "lora", "prompts") == ("e", "m", "l", "p")
    assert values(first, "index", "image_name", "axes") == (0, "000_42", ())
    assert (first.asked.prompt_template, first.text.prompt) == (
        "[trigger] a photo of a person",
        "sks a photo of a person",
    )
    assert (first.asked.trigger_word, first.text.neg) == ("sks", "")
    assert values(first, "width", "height", "sample_steps", "guidance_scale") == (512, 512, 4, 4.0)
    assert values(first, "family", "checkpoint", "text_encoder") == ("flux2", "someone/klein", "someone/klein")
    assert values(first, "dtype", "schedule", "numerics", "lora_merge") == ("bfloat16", "aitk", "exact", "merged")
    assert first.adapters.loras == (Lora("sks.safetensors", 0.8),)
    assert first.remarks.warnings == ()
    assert (second.title.index, second.sampling.seed, second.text.prompt) == (1, 43, "a cat")


def test_an_axis_goes_before_the_prompt_before_the_set_before_the_model(project):
    project.write(
        "conf/prompts/p.yaml",
        "defaults: {sample_steps: 5, guidance_scale: 2, height: 256, seed: 7}\n"
        "prompts:\n  - a\n  - {prompt: b, sample_steps: 6, guidance_scale: 3, seed: 8}\n",
    )
    project.write("conf/experiment/e.yaml", "matrix: {model: [m], lora: [l], prompts: [p], sample_steps: [9]}\n")
    a, b = requests(project.load())
    assert values(a, "sample_steps", "guidance_scale", "width", "height", "seed") == (9, 2.0, 512, 256, 7)
    assert values(b, "sample_steps", "guidance_scale", "width", "height", "seed") == (9, 3.0, 512, 256, 8)


def test_trigger_word_of_the_prompt_then_the_lora_then_the_set(project):
    project.write("conf/prompts/p.yaml", "trigger_word: set\nprompts:\n  - {prompt: '[trigger]', trigger_word: own}\n")
    assert prompts_of(project.load()) == ["own"]
    project.write("conf/prompts/p.yaml", "trigger_word: set\nprompts: ['[trigger], [name], trigger']\n")
    assert prompts_of(project.load()) == ["sks, [name], trigger"]
    project.write("conf/lora/l.yaml", "loras: []\n")
    assert prompts_of(project.load()) == ["set, [name], trigger"]


def test_without_a_trigger_word_the_placeholder_stays_and_a_warning_says_so(project):
    project.write("conf/lora/l.yaml", "loras: []\n")
    first, second = requests(project.load())
    assert first.text.prompt == "[trigger] a photo of a person"
    assert first.remarks.warnings == ("[trigger] stays as it is: neither prompt, LoRA nor set has a trigger_word",)
    assert second.remarks.warnings == ()
    assert (first.asked.trigger_word, first.adapters.loras, first.adapters.lora_merge) == (None, (), None)


def test_neg_is_never_substituted_and_warned_of_when_unused(project):
    project.write(
        "conf/prompts/p.yaml",
        "prompts:\n  - {prompt: a, neg: 'no [trigger]'}\n  - {prompt: b, neg: blurry, guidance_scale: 1}\n",
    )
    used, unused = requests(project.load())
    assert used.text.neg == "no [trigger]"
    assert used.remarks.warnings == ("[trigger] in neg stays as it is: it is replaced in prompts only",)
    assert unused.text.neg == "blurry"
    assert unused.remarks.warnings == ("neg is not used: it needs classifier-free guidance, got guidance_scale 1.0",)


def test_sizes_are_floored_to_the_divisor_and_recorded_both_ways(project):
    project.write("conf/prompts/p.yaml", "prompts:\n  - {prompt: a, width: 1000, height: 700}\n")
    (request,) = requests(project.load())
    assert values(request, "width_requested", "height_requested", "width", "height") == (1000, 700, 992, 688)
    assert request.remarks.warnings == ("size 1000x700 rendered as 992x688: sides are floored to a multiple of 16",)


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ("aspect_ratio: '1:1'", (512, 512)),
        ("aspect_ratio: '16:9'", (672, 384)),  # 682.6 x 384
        ("aspect_ratio: 16:9", (672, 384)),  # which YAML 1.1 reads as 969
        ("aspect_ratio: '2:3'", (416, 624)),  # 418.0 x 627.06
        ("width: 256", (256, 512)),
    ],
)
def test_aspect_ratio_keeps_the_area(project, item, size):
    project.write("conf/prompts/p.yaml", f"prompts:\n  - {{prompt: a, {item}}}\n")
    (request,) = requests(project.load())
    assert (request.sampling.width, request.sampling.height) == size
    assert (request.asked.width_requested, request.asked.height_requested) == size
    assert request.remarks.warnings == ()


def test_a_stronger_size_overrides_a_weaker_ratio_and_a_stronger_ratio_takes_the_weaker_area(project):
    project.write(
        "conf/prompts/p.yaml",
        "defaults: {aspect_ratio: '16:9'}\nprompts:\n  - {prompt: a, width: 256, height: 256}\n  - b\n",
    )
    assert [(r.sampling.width, r.sampling.height) for r in requests(project.load())] == [(256, 256), (672, 384)]
    project.write(
        "conf/experiment/e.yaml", "matrix: {model: [m], lora: [l], prompts: [p], aspect_ratio: ['3:2', '1:1']}\n"
    )
    made = requests(project.load())
    assert [(r.title.image_name, r.sampling.width, r.sampling.height) for r in made] == [
        ("000_42_3-2", 304, 208),
        ("000_42_1-1", 256, 256),
        ("001_43_3-2", 624, 416),
        ("001_43_1-1", 512, 512),
    ]


def test_network_multiplier_is_the_strength_of_the_whole_stack(project):
    project.write_weights("two.safetensors")
    project.write("conf/lora/l.yaml", "loras: [{path: sks.safetensors, network_multiplier: 0.5}, two.safetensors]\n")
    project.write(
        "conf/experiment/e.yaml",
        "matrix: {model: [m], lora: [l], prompts: [p], network_multiplier: [0, 0.5], seed: [1, 2]}\n",
    )
    made = requests(project.load())[:4]
    assert [r.title.image_name for r in made] == ["000_1_0.0", "000_2_0.0", "000_1_0.5", "000_2_0.5"]
    assert made[0].adapters.lora_merge is None
    assert made[3].adapters.loras == (Lora("sks.safetensors", 0.25), Lora("two.safetensors", 0.5))
    assert made[3].title.axes == (("network_multiplier", 0.5), ("seed", 2))


def test_seed_minus_one_is_drawn_once_for_all_models_loras_and_strengths(project):
    project.write("conf/lora/other.yaml", "loras: []\n")
    matrix = "model: [m], lora: [l, other], prompts: [p], network_multiplier: [0.5, 1.0]"
    project.write("conf/experiment/e.yaml", f"matrix: {{{matrix}, seed: [-1, 7, -1]}}\n")
    experiment = project.load()
    seeds = [r.sampling.seed for r in requests(experiment) if r.title.index == 0]
    assert seeds == [seeds[0], 7, seeds[2], seeds[0], 7, seeds[2]]
    assert seeds[0] != seeds[2]
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert seeds == [r.sampling.seed for r in requests(experiment, lora="other") if r.title.index == 0]
    assert seeds == [r.sampling.seed for r in requests(project.load()) if r.title.index == 0]
    assert seeds != [r.sampling.seed for r in requests(experiment) if r.title.index == 1]


def test_seed_minus_one_has_a_fixed_value(project):
    project.write("conf/prompts/p.yaml", "prompts:\n  - {prompt: a, seed: -1}\n")
    assert [r.sampling.seed for r in requests(project.load())] == [1504194589]  # 31 bits of sha256('e\np\n0\n-')


def test_a_variant_asks_for_the_same_pictures_under_a_name_of_its_own(project):
    project.write("conf/prompts/p.yaml", "prompts:\n  - {prompt: a, seed: -1}\n")
    variant = load_experiment("e", [Path("conf"), BUILT_IN], [], variant="e_again")
    assert (variant.name, variant.source) == ("e_again", "e")
    assert [r.title.experiment for r in requests(variant)] == ["e_again"]
    assert [r.request_id for r in requests(variant)] == [r.request_id for r in requests(project.load())]


def test_excluded_points_and_combinations_are_left_out(project):
    project.write("conf/lora/other.yaml", "loras: []\n")
    project.write(
        "conf/experiment/e.yaml",
        "matrix: {model: [m], lora: [other, l], prompts: [p], network_multiplier: [0.5, 1.0], seed: [1, 2]}\n"
        "exclude:\n  - {lora: other, network_multiplier: 0.5}\n  - {lora: l, seed: 2}\n",
    )
    experiment = project.load()
    assert [r.title.image_name for r in requests(experiment, lora="other")] == [
        "000_1_1.0",
        "000_2_1.0",
        "001_1_1.0",
        "001_2_1.0",
    ]
    assert [r.title.image_name for r in requests(experiment)] == ["000_1_0.5", "000_1_1.0", "001_1_0.5", "001_1_1.0"]
    assert experiment.images == 8


def test_a_combination_without_a_point_is_no_combination(project):
    project.write("conf/lora/other.yaml", "loras: [missing.safetensors]\n")
    project.write(
        "conf/experiment/e.yaml",
        "matrix: {model: [m], lora: [other, l], prompts: [p]}\nexclude: [{lora: other, model: m}]\n",
    )
    experiment = project.load()
    assert [c.names.lora for c in experiment.combinations] == ["l"]
    assert experiment.files(NAMES) == ("sks.safetensors",)


def test_values_that_read_alike_in_a_file_name_are_numbered(project):
    project.write(
        "conf/experiment/e.yaml",
        "matrix: {model: [m], lora: [l], prompts: [p], neg: ['a b', 'a/b'], width: [64, 96]}\n",
    )
    assert [r.title.image_name for r in requests(project.load())[:4]] == [
        "000_42_neg0_64",
        "000_42_neg0_96",
        "000_42_neg1_64",
        "000_42_neg1_96",
    ]


def test_a_text_file_gives_a_prompt_a_line(project):
    project.write("some.txt", "\ufeffa dog\n\n  a [trigger] bird  \n")
    project.write("conf/prompts/p.yaml", "file: some.txt\n")
    assert prompts_of(project.load()) == ["a dog", "a sks bird"]
    project.write("conf/prompts/p.yaml", "prompts: [first]\nfile: some.txt\ndefaults: {seed: 5}\n")
    assert prompts_of(project.load()) == ["first", "a dog", "a sks bird"]
    assert [r.sampling.seed for r in requests(project.load())] == [5, 5, 5]


def test_a_distilled_model_warns_of_guidance(project):
    project.write("conf/model/m.yaml", "family: flux2\ndistilled: true\ncheckpoint: {repo: someone/klein}\n")
    project.write("conf/prompts/p.yaml", "prompts: [a, {prompt: b, guidance_scale: 1.0}]\n")
    strong, plain = requests(project.load())
    assert strong.remarks.warnings == (
        "guidance_scale 4.0 on a distilled model, which is made for 1.0: classifier-free guidance runs, "
        "as in the trainer",
    )
    assert (strong.uses_neg, plain.uses_neg, plain.remarks.warnings) == (True, False, ())
    assert plain.remarks.not_comparable == ("the model is distilled, and the trainer previews what it trains",)
    assert requests(project.load("+model.imported=true"))[0].remarks.not_comparable == ()


def test_diffusers_runs_no_guidance_on_a_distilled_model(project):
    project.write("conf/model/m.yaml", "family: flux2\ndistilled: true\ncheckpoint: {repo: someone/klein}\n")
    first, _ = requests(project.load("+model.schedule=diffusers"))
    assert (first.base.guidance, first.uses_neg) == ("none", False)
    assert first.remarks.warnings == ("guidance_scale 4.0 has no effect: diffusers ignores it for a distilled model",)
    assert first.remarks.not_comparable[1] == "schedule: diffusers"


def test_other_roundings_and_other_noise_than_the_trainers(project):
    plain, _ = requests(project.load())
    other, _ = requests(project.load("+model.timestep_rounding=diffusers", "+model.noise_device=cuda"))
    assert values(plain, "timestep_rounding", "noise_device", "not_comparable") == ("aitk", "cpu", ())
    assert (other.sampling.timestep_rounding, other.sampling.noise_device) == ("diffusers", "cuda")
    assert other.remarks.not_comparable == (
        "timestep_rounding: diffusers",
        "noise_device: cuda, where the trainer draws on the cpu",
    )


def test_embedded_guidance_has_no_negative_prompt_and_says_so(project):
    project.write("conf/model/m.yaml", "family: flux2\nguidance: embedded\ncheckpoint: {repo: someone/dev}\n")
    project.write("conf/prompts/p.yaml", "prompts: [{prompt: a, neg: blurry}]\n")
    (request,) = requests(project.load())
    assert (request.uses_neg, request.texts) == (False, ("a",))
    assert request.remarks.warnings == ("neg is not used: this model has its guidance embedded, and no negative side",)


@pytest.mark.parametrize(
    ("model", "strengths", "regime", "reason"),
    [
        ("", "", "merged", "auto: the base is not quantised, and the set has one network_multiplier"),
        ("", "network_multiplier: 0.5", "live", "auto: the set has several network_multipliers (0.5, 1.0)"),
        ("quantize: {transformer: qfloat8}", "", "live", "auto: the base is quantised (qfloat8)"),
        ("lora_merge: merged_in_dtype", "network_multiplier: 0.5", "merged_in_dtype", "asked for"),
    ],
)
def test_adapters_are_merged_or_live_as_in_the_trainer(project, model, strengths, regime, reason):
    project.write("conf/model/m.yaml", f"family: flux2\ncheckpoint: {{repo: someone/klein}}\n{model}\n")
    project.write("conf/prompts/p.yaml", f"prompts: [a, {{prompt: b, {strengths}}}]\n")
    assert {values(r, "lora_merge", "lora_merge_reason") for r in requests(project.load())} == {(regime, reason)}


def test_an_axis_of_strengths_is_one_sample_list_a_value(project):
    experiment = project.load("+matrix.network_multiplier=[0.5, 1.0]")
    assert {r.adapters.lora_merge for r in requests(experiment)} == {"merged"}


def test_reference_images_in_the_trainers_order(project):
    for name in ("a.png", "b.png", "c.png", "d.png"):
        Image.new("RGB", (64, 80)).save(name)
    project.write(
        "conf/prompts/p.yaml",
        "defaults: {ctrl_img_3: d.png}\n"
        "prompts:\n  - {prompt: edit, ctrl_img: a.png, ctrl_img_1: b.png, ctrl_img_2: c.png}\n"
        "  - {prompt: edit, ctrl_img_1: b.png}\n",
    )
    both, second = requests(project.load())
    assert [image.path for image in both.sampling.ctrl_images] == ["a.png", "c.png", "d.png"]
    assert both.remarks.warnings == ("ctrl_img_1 b.png is not used: ctrl_img goes before it, as in the trainer",)
    assert [image.path for image in second.sampling.ctrl_images] == ["b.png", "d.png"]
    assert project.load().files(NAMES) == ("a.png", "b.png", "c.png", "d.png", "sks.safetensors")


def test_an_encoded_prompt_asks_for_no_text(project):
    save_file({"prompt_embeds": np.zeros((1, 512, 96), np.float32)}, "e.safetensors")
    project.write("conf/prompts/p.yaml", "prompts: [{prompt_embeds: e.safetensors, guidance_scale: 1.0}]\n")
    (request,) = requests(project.load())
    assert (request.text.prompt, request.text.prompt_embeds, request.texts) == ("", "e.safetensors", ())
    assert project.load().texts("m") == ()


def test_the_stronger_level_names_the_first_reference_image(project):
    for name in ("common.png", "own.png"):
        Image.new("RGB", (64, 64)).save(name)
    project.write(
        "conf/prompts/p.yaml",
        "defaults: {ctrl_img: common.png}\nprompts:\n  - {prompt: edit, ctrl_img_1: own.png}\n  - edit\n",
    )
    assert [request.sampling.ctrl_images[0].path for request in requests(project.load())] == ["own.png", "common.png"]


@pytest.mark.parametrize(
    ("model", "lora", "reason"),
    [
        ("numerics: fast", "", "numerics: fast"),
        (
            "numerics: fast\nbatched_guidance: true\ncompiled_blocks: true",
            "",
            "numerics: fast, batched_guidance, compiled_blocks",
        ),
        ("max_sequence_length: 256", "", "max_sequence_length: 256, the trainer's is 512"),
        ("trained_sequence_length: 40", "", "max_sequence_length: 512, the trainer's is 40"),
        ("lora_merge: live", "", "lora_merge: live, where the trainer has adapters merged"),
        ("lora_merge: merged_in_dtype", "", "lora_merge: merged_in_dtype is ai-toolkit-inference's"),
        ("", "  - two.safetensors\n", "2 adapters at once: the trainer previews one"),
    ],
)
def test_what_no_trainer_could_have_previewed_says_why(project, model, lora, reason):
    project.write_weights("two.safetensors")
    project.write("conf/model/m.yaml", f"family: flux2\ncheckpoint: {{repo: someone/klein}}\n{model}\n")
    project.write("conf/lora/l.yaml", f"loras:\n  - sks.safetensors\n{lora}")
    assert requests(project.load())[0].remarks.not_comparable == (reason,)


@pytest.mark.parametrize(
    ("model", "numerics", "speedups"),
    [
        ("", "exact", ()),
        ("numerics: fast", "fast", ()),
        ("numerics: fast\nbatched_guidance: true", "fast", ("batched_guidance",)),
        ("numerics: fast\ncompiled_blocks: true", "fast", ("compiled_blocks",)),
        ("numerics: fast\nlora_merge: live", "fast", ()),
    ],
)
def test_fast_compiles_blocks_and_batches_guidance_if_asked(project, model, numerics, speedups):
    project.write("conf/model/m.yaml", f"family: flux2\ncheckpoint: {{repo: someone/klein}}\n{model}\n")
    base = requests(project.load())[0].base
    assert (base.numerics, speedups_of(base)) == (numerics, speedups)


def test_fast_leaves_a_family_that_computes_alike_its_pictures_unless_its_blocks_are_compiled(project):
    project.write_weights("sks.safetensors", "flux")
    flux = "family: flux\ncheckpoint: {repo: someone/flux}\nguidance: embedded\nnumerics: fast\n"
    project.write("conf/model/m.yaml", f"{flux}compiled_blocks: true\n")
    compiled = requests(project.load())[0].base
    project.write("conf/model/m.yaml", flux)
    plain = requests(project.load())[0].base
    assert (numerics_in_full(compiled), numerics_in_full(plain)) == ("fast, compiled_blocks", "exact")


def test_beside_compiled_blocks_adapters_are_merged_whatever_the_trainer_does(project):
    project.write("conf/prompts/p.yaml", "prompts: [a, {prompt: b, network_multiplier: 0.5}]\n")
    fast, plain = (
        requests(project.load("model.numerics=fast", f"model.compiled_blocks={said}"))[0] for said in ("true", "false")
    )
    assert fast.adapters.lora_merge == "merged"
    assert fast.remarks.lora_merge_reason == "auto: compiled blocks take no adapters beside them"
    assert plain.adapters.lora_merge == "live"

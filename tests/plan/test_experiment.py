"""What the Snakefile asks: names, digests, counts, and which folder of conf/ counts."""

from dataclasses import asdict
from pathlib import Path

import pytest
from tests.examples.record import ENVIRONMENT
from tests.places import REPOSITORY
from tests.plan.weights.model_files import put

from darkroom.errors import ConfigError
from darkroom.files.yaml_text import yaml_text
from darkroom.names import Names
from darkroom.plan.conf.overrides import searching
from darkroom.plan.load import load_experiment

BUILT_IN = REPOSITORY / "conf"

TWO_SETS = "matrix: {model: [m], lora: [l], prompts: [p, q]}\n"


@pytest.fixture
def two_sets(project):
    project.write("conf/experiment/e.yaml", TWO_SETS)
    project.write("conf/prompts/q.yaml", "prompts: [a dog]\n")
    return project


def test_an_experiment_lists_its_combinations(two_sets):
    experiment = two_sets.load()
    assert experiment.name == "e"
    assert [(*c.names, len(c.requests)) for c in experiment.combinations] == [
        ("m", "l", "p", 2),
        ("m", "l", "q", 1),
    ]
    assert experiment.images == 3
    assert (experiment.output.format, experiment.output.quality, experiment.output.save_latents) == ("png", 95, False)
    assert experiment.models["m"].checkpoint.repo == "someone/klein"
    assert experiment.files(Names("m", "l", "p")) == ("sks.safetensors",)
    assert experiment.texts("m") == ("", "a cat", "a dog", "sks a photo of a person")


def test_comments_layout_and_the_order_of_keys_do_not_change_a_digest(two_sets):
    before = two_sets.load()
    two_sets.write(
        "conf/prompts/p.yaml", '# other words\nprompts: ["[trigger] a photo of a person", {prompt: a cat}]\n'
    )
    lines = Path("conf/model/m.yaml").read_text(encoding="utf-8").splitlines()
    two_sets.write("conf/model/m.yaml", "# another\n" + "\n".join(reversed(lines)) + "\n")
    after = two_sets.load()
    assert len(before.digest(Names("m", "l", "p"))) == 16
    assert before.digest(Names("m", "l", "p")) == after.digest(Names("m", "l", "p"))
    assert before.text_digest("m") == after.text_digest("m")


def test_editing_a_prompt_changes_only_its_sets_digest(two_sets):
    before = two_sets.load()
    two_sets.write("conf/prompts/p.yaml", 'prompts: ["[trigger] a photo of a person", a lynx]\n')
    after = two_sets.load()
    assert before.digest(Names("m", "l", "p")) != after.digest(Names("m", "l", "p"))
    assert before.digest(Names("m", "l", "q")) == after.digest(Names("m", "l", "q"))
    assert before.text_digest("m") != after.text_digest("m")


def test_another_revision_of_the_numerics_changes_every_digest(two_sets, monkeypatch):
    experiment = two_sets.load()
    before = experiment.digest(Names("m", "l", "p")), experiment.text_digest("m")
    monkeypatch.setattr("darkroom.plan.experiment.NUMERICS_REVISION", 99)
    experiment = two_sets.load()
    assert experiment.digest(Names("m", "l", "p")) != before[0]
    assert experiment.text_digest("m") != before[1]


def test_what_changes_no_text_changes_no_text_digest(two_sets):
    before = two_sets.load()
    after = two_sets.load("model.numerics=fast", "output.format=webp")
    assert before.digest(Names("m", "l", "q")) != after.digest(Names("m", "l", "q"))
    assert before.text_digest("m") == after.text_digest("m")
    assert before.text_digest("m") != two_sets.load("model.max_sequence_length=256").text_digest("m")


def test_another_source_of_the_base_model_changes_digests(two_sets):
    before = two_sets.load()
    put(Path(), "ae.safetensors")
    after = two_sets.load("model.checkpoint.vae=ae.safetensors")
    assert before.digest(Names("m", "l", "p")) != after.digest(Names("m", "l", "p"))
    assert before.text_digest("m") == after.text_digest("m")


def test_overrides_reach_every_option_of_a_group(two_sets):
    experiment = two_sets.load(
        "model.numerics=fast", "prompts.defaults.seed=9", "output.quality=80", "matrix.lora=[none]"
    )
    requests = [r for c in experiment.combinations for r in c.requests]
    assert {(r.base.numerics, r.sampling.seed, r.title.lora) for r in requests} == {("fast", 9, "none")}
    assert experiment.output.quality == 80


def test_an_override_may_add_an_axis_and_reach_into_a_list(two_sets):
    experiment = two_sets.load("+matrix.seed=[5, 6]", "lora.loras.0.network_multiplier=0.1")
    first = experiment.combination(Names("m", "l", "q")).requests[0]
    assert (first.title.image_name, first.adapters.loras[0].network_multiplier) == ("000_5", 0.1)


def test_what_the_experiment_says_of_a_group_goes_for_each_option(two_sets):
    two_sets.write("conf/experiment/e.yaml", TWO_SETS + "model: {defaults: {width: 256}}\nprompts: {trigger_word: x}\n")
    two_sets.write("conf/lora/l.yaml", "loras: []\n")
    experiment = two_sets.load()
    assert {r.sampling.width for c in experiment.combinations for r in c.requests} == {256}
    assert experiment.combination(Names("m", "l", "p")).requests[0].text.prompt == "x a photo of a person"


def test_groups_that_the_matrix_does_not_list_take_the_choice_of_the_defaults_list(two_sets):
    two_sets.write("conf/experiment/e.yaml", "defaults: [override /model: m]\nmatrix: {prompts: [q]}\n")
    (combination,) = two_sets.load().combinations
    assert combination.names == ("m", "none", "q")
    (combination,) = two_sets.load("lora=l").combinations
    assert combination.names.lora == "l"


def test_an_experiment_may_build_on_another_and_name_its_package(two_sets):
    two_sets.write(
        "conf/experiment/base.yaml", "# @package _global_\nmatrix: {model: [m], lora: [l], prompts: [p, q]}\n"
    )
    two_sets.write("conf/experiment/e.yaml", "# @package _global_\ndefaults: [base]\nmatrix: {prompts: [q]}\n")
    (combination,) = two_sets.load().combinations
    assert combination.names == ("m", "l", "q")


def test_the_projects_own_conf_goes_ahead_of_the_built_in(project):
    project.write("conf/output/default.yaml", "format: webp\nquality: 50\nsave_latents: true\n")
    project.write("conf/model/demo.yaml", "family: flux2\ncheckpoint: {repo: mine/own}\n")
    project.write("conf/experiment/e.yaml", "matrix: {model: [demo], lora: [none], prompts: [demo_loras]}\n")
    experiment = project.load()
    assert experiment.output.format == "webp"
    assert experiment.models["demo"].checkpoint.repo == "mine/own"


def test_a_searchpath_lies_between_them(project):
    project.write("more/conf/model/m.yaml", "family: flux2\ncheckpoint: {repo: more/m}\n")
    project.write("more/conf/model/demo.yaml", "family: flux2\ncheckpoint: {repo: more/demo}\n")
    project.write("conf/experiment/e.yaml", "matrix: {model: [m, demo], lora: [none], prompts: [p]}\n")
    experiment = project.load(f"hydra.searchpath=[file://{Path('more/conf').absolute()}]")
    assert {name: model.checkpoint.repo for name, model in experiment.models.items()} == {
        "m": "someone/klein",
        "demo": "more/demo",
    }


def test_a_searchpath_may_have_any_characters(tmp_path):
    folder = tmp_path / """a\\b "c" 'd' [e] #$(f) é"""
    (folder / "experiment").mkdir(parents=True)
    (folder / "experiment" / "mine.yaml").write_text("matrix: {model: [demo], lora: [none], prompts: [demo_loras]}")
    assert load_experiment("mine", [BUILT_IN], [searching([folder])]).name == "mine"


def test_without_a_conf_of_its_own_the_built_in_is_enough(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_experiment("demo", [Path("conf"), BUILT_IN], []).images == 60
    with pytest.raises(ConfigError, match=r"there is no conf/experiment/dmo\.yaml; did you mean 'demo'"):
        load_experiment("dmo", [Path("conf"), BUILT_IN], [])
    with pytest.raises(ConfigError, match=r"experiment: '\.\./x' is not a usable name"):
        load_experiment("../x", [BUILT_IN], [])


@pytest.mark.parametrize("file", sorted((BUILT_IN / "experiment").glob("*.yaml")), ids=lambda file: file.stem)
def test_every_built_in_experiment_composes(file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = file.stem
    first = file.read_text(encoding="utf-8").splitlines()[0]
    assert first in (f"# darkroom run {name}", f"# darkroom regress {name}")
    assert load_experiment(name, [BUILT_IN], []).images > 0


@pytest.mark.parametrize("group", ["model", "lora", "prompts", "output"])
def test_every_built_in_option_is_valid_and_says_what_it_is(group, project):
    for file in sorted((BUILT_IN / group).glob("*.yaml")):
        assert file.read_text(encoding="utf-8").startswith("# "), file
        lora = "none" if group == "model" else "l"  # l is for FLUX.2
        listed = {"model": "m", "lora": lora, "prompts": "p"} | ({group: file.stem} if group != "output" else {})
        matrix = "".join(f"  {key}: [{name}]\n" for key, name in listed.items())
        project.write("conf/experiment/e.yaml", f"matrix:\n{matrix}")
        assert project.load().images > 0


def test_thresholds_come_from_the_models_own_file_else_the_default(project):
    assert project.load().thresholds["m"].source.endswith("conf/compare/default.yaml")
    learned_on = yaml_text({"environment": asdict(ENVIRONMENT)})
    project.write("conf/compare/m.yaml", f"psnr: 30\n{learned_on}")
    thresholds = project.load("compare.flip=0.2").thresholds["m"]
    assert (thresholds.source, thresholds.psnr, thresholds.flip) == ("conf/compare/m.yaml", 30.0, 0.2)
    assert thresholds.environment == ENVIRONMENT


def test_an_experiment_may_change_thresholds(project):
    matrix = "matrix: {model: [m], lora: [l], prompts: [p]}\n"
    project.write("conf/experiment/e.yaml", f"{matrix}compare: {{encoded: {{psnr: 20}}}}\n")
    assert project.load().thresholds["m"].encoded.psnr == 20.0


def test_thresholds_that_ask_nothing_are_refused(project):
    project.write("conf/compare/m.yaml", "psnr: null\nencoded: {ssim: null}\n")
    assert project.error() == (
        "2 problems:\n"
        "  - conf/compare/m.yaml: asks nothing: every picture would be within the floor\n"
        "  - conf/compare/m.yaml: encoded: asks nothing: every picture would be within the floor"
    )


def test_a_mistyped_threshold_is_named(project):
    project.write("conf/compare/m.yaml", "psrn: 40\n")
    assert "conf/compare/m.yaml: psrn: unknown key; did you mean 'psnr'?" in project.error()

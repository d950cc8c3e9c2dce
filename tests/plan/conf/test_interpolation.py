"""OmegaConf interpolation: inside a set, across groups, and what it may not see."""

from tests.places import REPOSITORY

from darkroom.names import Names
from darkroom.plan.load import load_experiment


def prompts_of(experiment, lora="l"):
    return [request.text.prompt for request in experiment.combination(Names("m", lora, "p")).requests]


def test_inside_a_set(project):
    project.write(
        "conf/prompts/p.yaml",
        "trigger_word: a fox\n"
        "defaults: {width: 256, height: '${.width}'}\n"
        "prompts: ['${prompts.trigger_word} at ${prompts.defaults.width}', 'the same: ${..trigger_word}']\n",
    )
    experiment = project.load()
    assert prompts_of(experiment) == ["a fox at 256", "the same: a fox"]
    assert {r.sampling.height for r in experiment.combination(Names("m", "l", "p")).requests} == {256}


def test_across_groups_it_depends_on_the_combination(project):
    project.write("conf/prompts/p.yaml", "prompts: ['${lora.trigger_word} in ${model.defaults.width} pixels']\n")
    project.write("conf/lora/other.yaml", "trigger_word: xyz\nloras: []\n")
    project.write("conf/experiment/e.yaml", "matrix: {model: [m], lora: [l, other], prompts: [p]}\n")
    experiment = project.load()
    assert prompts_of(experiment) == ["sks in 512 pixels"]
    assert prompts_of(experiment, "other") == ["xyz in 512 pixels"]


def test_a_lora_may_refer_to_the_model(project):
    project.write_weights("flux2/sks.safetensors")
    project.write("conf/lora/l.yaml", "loras: ['${model.family}/sks.safetensors']\n")
    assert project.load().files(Names("m", "l", "p")) == ("flux2/sks.safetensors",)


def test_a_lora_without_a_trigger_word_gives_an_empty_one_and_a_warning(project):
    project.write("conf/prompts/p.yaml", "prompts: ['${lora.trigger_word} a cat']\n")
    project.write("conf/lora/l.yaml", "loras: []\n")
    experiment = project.load()
    assert prompts_of(experiment) == [" a cat"]
    assert experiment.combination(Names("m", "l", "p")).requests[0].remarks.warnings == (
        "${lora.trigger_word} is empty: LoRA l has no trigger_word",
    )


def test_the_environment(project, monkeypatch):
    monkeypatch.setenv("SUBJECT", "a heron")
    project.write("conf/prompts/p.yaml", "prompts: ['${oc.env:SUBJECT}']\n")
    assert prompts_of(project.load()) == ["a heron"]


def test_in_the_experiment_and_in_an_override(project):
    project.write(
        "conf/experiment/e.yaml",
        "matrix: {model: [m], lora: [l], prompts: [p], seed: [3], width: ['${matrix.seed.0}']}\n",
    )
    assert "matrix.width[0]: 3 is out of range" in project.error()
    project.write("conf/experiment/e.yaml", "matrix: {model: [m], lora: [l], prompts: [p]}\n")
    assert prompts_of(project.load("prompts.prompts=['${lora.trigger_word}!']")) == ["sks!"]


def test_a_model_sees_no_lora(project):
    assert project.error("model.defaults.neg='${lora.trigger_word}'").startswith(
        "override model.defaults.neg: Interpolation key 'lora.trigger_word' not found"
    )


def test_a_reference_that_is_meant_as_text_is_told_how_it_is_written(project):
    project.write("conf/prompts/p.yaml", "prompts: ['a ${ cat']\n")
    cure = "${…} stands for a value of conf/, ${oc.env:HOME} for the environment's, \\${ in single quotes for itself"
    assert project.error() == f"conf/prompts/p.yaml: prompts[0]: holds a ${{ that cannot be read; {cure}"
    project.write("conf/prompts/p.yaml", "prompts: ['a ${style}']\n")
    assert project.error().endswith(f"prompts[0]: Interpolation key 'style' not found; {cure}")
    project.write("conf/prompts/p.yaml", "prompts: ['a \\${ cat', 'a \\${style}']\n")
    assert prompts_of(project.load()) == ["a ${ cat", "a ${style}"]


def test_darkrooms_own_folder_for_the_files_that_come_with_it(project):
    own = "${darkroom.folder}"
    project.write("conf/experiment/e.yaml", f"matrix: {{prompts: [p], ctrl_img: ['{own}/demo/reference.png']}}\n")
    project.write("conf/prompts/p.yaml", f"file: {own}/constraints.txt\n")
    experiment = project.load("model=demo", "lora=demo_lora")
    demo = REPOSITORY / "demo"
    assert experiment.models["demo"].checkpoint.repo == f"{demo}/klein"
    files = experiment.files(Names("demo", "demo_lora", "p"))
    assert files == (f"{demo}/demo_lora.safetensors", f"{demo}/reference.png")


def test_a_copy_of_a_built_in_file_means_the_same_files(project):
    project.write("conf/model/m.yaml", (REPOSITORY / "conf/model/demo.yaml").read_text())
    assert project.load("matrix.lora=[none]").models["m"].checkpoint.repo == f"{REPOSITORY}/demo/klein"


def test_who_works_in_darkrooms_own_folder_reads_short_paths(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    assert load_experiment("demo", [REPOSITORY / "conf"], []).models["demo"].checkpoint.repo == "./demo/klein"

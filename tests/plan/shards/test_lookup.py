"""Which combinations one job of a cluster renders: fixed as a run begins, and what is finished keeps its shard."""

from pathlib import Path

import pytest
from snakemake.resources import Resources
from tests.examples.small_project import PROMPTS

from darkroom.files.atomic import write_json
from darkroom.names import Names
from darkroom.plan.estimate.past import CostClass, PastPicture, work_of
from darkroom.plan.shards.compose import Left, Size, compose
from darkroom.plan.shards.lookup import open_shards
from darkroom.plan.workflow import Workflow
from darkroom.planned import PlannedCombination, Shards
from darkroom.store import ExperimentFolder

MATRIX = "matrix:\n  model: [m, n]\n  lora: [l, none]\n  prompts: [p, q, r]\n"
FOLDER = ExperimentFolder(Path("results/e"))


def asked(**resources):
    """As Snakemake hands over `set-resources: shard:`."""
    return {"shard": Resources.from_mapping(resources)}


@pytest.fixture
def experiment(project):
    """2 base models × 2 LoRAs × 3 sets of 2 prompts."""
    project.write("conf/model/n.yaml", Path("conf/model/m.yaml").read_text().replace("klein", "other"))
    for name in "qr":
        project.write(f"conf/prompts/{name}.yaml", PROMPTS)
    project.write("conf/experiment/e.yaml", MATRIX)
    return project.load()


def members(shards):
    return [[(names.lora, names.prompts) for names in shard.members] for shard in shards if shard.model == "m"]


def test_a_shard_has_one_base_model_and_its_loras_lie_together(experiment):
    left = [Left(each, 2) for each in experiment.combinations]
    shards = compose(left, Size(images=8), [])
    assert [(shard.model, shard.number, shard.images, shard.seconds) for shard in shards] == [
        ("m", "000", 6, 24.0),
        ("m", "001", 6, 24.0),
        ("n", "000", 6, 24.0),
        ("n", "001", 6, 24.0),
    ]
    assert members(shards) == [[("l", "p"), ("l", "q"), ("l", "r")], [("none", "p"), ("none", "q"), ("none", "r")]]


def test_what_pictures_took_says_how_many_are_a_job(experiment):
    left = [Left(each, 2) for each in experiment.combinations]
    request = experiment.combinations[0].requests[0]
    past = PastPicture(
        cost_class=CostClass.of(request),
        device="H100",
        started_at="2026",
        work=work_of(request),
        seconds_load=0,
        seconds=150,
        pixels=1,
        size=1,
    )
    shards = compose(left, Size(minutes=10), [past])
    assert [len(each) for each in members(shards)] == [2, 2, 2]
    assert {shard.seconds for shard in shards if shard.model == "m"} == {600.0}
    assert {shard.seconds for shard in shards if shard.model == "n"} == {48.0}, "4 s a picture of what nobody knows"


def test_jobs_read_what_the_run_has_fixed_whatever_they_would_fix_themselves(experiment):
    workflow = Workflow(experiment)
    head = open_shards(workflow, asked(images=8), is_main=True)
    head.start()
    job = open_shards(Workflow(experiment), {}, is_main=False)
    assert head.pattern == job.pattern != "(?!)"
    assert head.before("m", "none", "q") == job.before("m", "none", "q") == [f"results/e/shards/{run()}/m/001.json"]
    assert head.requests("m", "none", "q") == job.requests("m", "none", "q") == [], "its shard plans it"
    assert (job.retries, job.minutes("m", "001", 2)) == (0, 20)


def test_a_run_without_shards_has_nothing_to_look_up_and_writes_nothing(experiment):
    shards = open_shards(Workflow(experiment), {"render": Resources.from_mapping({"gpu": 1})}, is_main=True)
    shards.start()
    assert (shards.are_in_use, shards.retries, shards.before("m", "none", "q")) == (False, None, [])
    assert shards.requests("m", "none", "q") == ["results/e/requests/m/none/q.json"]
    assert shards.pattern == "(?!)", "what earlier runs have left is made by nobody"
    assert not FOLDER.shards.exists()


def test_what_is_finished_keeps_its_shard_and_what_is_asked_otherwise_does_not(experiment, project, capsys):
    head = open_shards(Workflow(experiment), asked(images=8), is_main=True)
    head.start()
    for number in ("000", "001"):
        write_json(FOLDER.shard(run(), "m", number), {"failed": []})
    for names in (Names("m", "none", "p"), Names("m", "none", "q")):
        finish(experiment, names)
    before = run()
    project.write("conf/prompts/q.yaml", PROMPTS.replace("a cat", "a dog"))

    plain = open_shards(Workflow(project.load()), {}, is_main=True)
    plain.start()

    assert plain.before("m", "none", "p") == [f"results/e/shards/{before}/m/001.json"]
    assert plain.before("m", "none", "q") == plain.before("m", "l", "p") == []
    assert FOLDER.shard(before, "m", "001").is_file()


def test_a_run_with_nothing_left_has_no_shards_and_makes_no_job_of_a_combination(experiment):
    for combination in experiment.combinations:
        finish(experiment, combination.names)
    shards = open_shards(Workflow(experiment), asked(images=8), is_main=True)
    shards.start()
    assert (shards.are_in_use, shards.retries) == (True, 0), "what is asked for all the same is made where it began"
    assert Shards.read(FOLDER.shards).shards == ()


def test_a_size_that_is_no_number_is_refused(experiment, capsys):
    with pytest.raises(SystemExit):
        open_shards(Workflow(experiment), asked(images=0), is_main=True)
    assert "set-resources: shard: images: expected a whole number from 1, got 0" in capsys.readouterr().err


def run():
    return Shards.read(FOLDER.shards).run


def finish(experiment, names):
    """As a look at results/ shows a combination whose job has ended well."""
    combination, workflow = experiment.combination(names), Workflow(experiment)
    asked_for = workflow.trigger(*names)
    PlannedCombination(asked=asked_for, lost="", output={}, lora_merge="auto", requests=combination.requests).write(
        FOLDER.requests(names)
    )
    FOLDER.images(names).mkdir(parents=True)
    for request in combination.requests:
        FOLDER.image(names, request.title.image_name, "png").touch()
    for path in (FOLDER.checkpoint(names.model), FOLDER.records(names)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"PAR1PAR1")

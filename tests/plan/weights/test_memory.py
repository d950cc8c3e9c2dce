"""What a cluster's job asks of a machine's memory: the memory planner's numbers, which the Snakefile cannot compute."""

from dataclasses import replace

import pytest
from tests.places import REPOSITORY

from darkroom.plan.conf.schema import CheckpointSource, Quantize
from darkroom.plan.load import load_experiment
from darkroom.plan.weights.memory import WEIGHTS, memory_to_encode, memory_to_render
from darkroom.render.device.mode import BLOCK, Workload
from darkroom.render.memory_table import footprints_of

PROCESS = 4_000  # MB


@pytest.fixture(scope="module")
def models():
    overrides = [f"matrix.model=[{','.join([*WEIGHTS, 'demo'])}]", "matrix.lora=[none]", "matrix.prompts=[demo_loras]"]
    return load_experiment("demo", [REPOSITORY / "conf"], [*overrides, "exclude=[]"]).models


@pytest.fixture(scope="module")
def planned():
    """By id, what its text encoder takes and what it takes itself, by quantisation."""
    rows = footprints_of(Workload(1024, 1024, 0, 512, ()))
    return {name: (text, base) for ids, text, base in rows for name in ids.split(", ")}


@pytest.mark.parametrize("quantised", [None, "qfloat8", "qint4"])
def test_a_job_asks_for_what_any_mode_rests_there_and_for_little_more(models, planned, quantised):
    assert planned.keys() == WEIGHTS.keys()
    for name, (text, base) in planned.items():
        model = replace(models[name], quantize=Quantize(transformer=quantised, text_encoder=quantised))
        rests = [each[quantised].beside(BLOCK) / 10**6 for each in (text, base)]
        rests.append(rests[1] + base[quantised].touched / 10**6)
        asked = [memory_to_encode(model), memory_to_render(model, False), memory_to_render(model, True)]
        for rest, mb in zip(rests, asked, strict=True):
            assert rest <= mb - PROCESS <= 1.45 * rest + 200, name


def test_a_model_of_ones_own_is_as_large_as_its_files(models):
    demo = models["demo"]  # 5 million numbers, which float32 holds in 20 MB
    assert memory_to_render(demo, True) == memory_to_encode(demo) == 4_100
    strange = replace(demo, checkpoint=CheckpointSource(repo="somebody/klein-finetune"))
    assert (memory_to_encode(strange), memory_to_render(strange, True)) == (14_500, 54_400), "in bfloat16: a guess"

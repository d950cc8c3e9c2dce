"""What Snakemake is told of an experiment."""

import pytest

from darkroom.plan.workflow import Workflow


@pytest.mark.parametrize("name", ["<x>", "{x}", "a\x1b[2J", "\u202egnp"])
def test_snakemake_is_not_given_a_path_that_it_reads_otherwise_or_prints(project, name):
    project.write_weights(f"{name}/sks.safetensors")
    project.write(
        "conf/lora/l.yaml", f'loras: [{{path: "{name.encode("unicode_escape").decode()}/sks.safetensors"}}]\n'
    )
    workflow = Workflow(project.load())
    assert workflow.files("m", "l", "p") == []


def test_a_path_like_others_is_watched(project):
    assert Workflow(project.load()).files("m", "l", "p") == ["sks.safetensors"]

"""What a run would fetch of the hub, told without a network."""

import pytest
from tests.places import REPOSITORY

from darkroom.plan.conf.schema import CheckpointSource
from darkroom.plan.load import load_experiment
from darkroom.plan.weights.catalogue import catalogue_id, size_about
from darkroom.plan.weights.downloads import Download, downloads

IDS = sorted(file.stem for file in (REPOSITORY / "conf/model").glob("*.yaml") if file.stem != "demo")


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def shipped(name):
    overrides = [f"matrix.model=[{name}]", "matrix.lora=[none]", "matrix.prompts=[demo_loras]", "exclude=[]"]
    return load_experiment("demo", [REPOSITORY / "conf"], overrides).models[name]


def test_each_repository_is_named_once_with_its_parts():
    klein = shipped("flux2_klein_4b")
    assert list(downloads(klein.checkpoint, klein.family, True, ask=False)) == [
        Download(
            repo="black-forest-labs/FLUX.2-klein-base-4B",
            parts=("transformer",),
            size=7_800_000_000,
            is_about=True,
            licence=None,
        ),
        Download(repo="ai-toolkit/flux2_vae", parts=("vae",), size=300_000_000, is_about=True, licence=None),
        Download(
            repo="Qwen/Qwen3-4B",
            parts=("text_encoder", "tokenizer"),
            size=8_120_000_000,
            is_about=True,
            licence=None,
        ),
    ]


def test_prompts_that_come_encoded_need_no_text_encoder():
    klein = shipped("flux2_klein_4b")
    assert [each.repo for each in downloads(klein.checkpoint, klein.family, False, ask=False)] == [
        "black-forest-labs/FLUX.2-klein-base-4B",
        "ai-toolkit/flux2_vae",
    ]


@pytest.mark.parametrize("name", IDS)
def test_of_every_model_that_is_shipped_sizes_and_licences_are_known(name):
    model = shipped(name)
    found = list(downloads(model.checkpoint, model.family, True, ask=False))
    assert [each.repo for each in found if not each.size] == []
    documented = (REPOSITORY / "docs/models.md").read_text(encoding="utf-8")
    (row,) = [line for line in documented.splitlines() if line.startswith(f"| `{name}` |")]
    assert any(each.licence for each in found) == ("gated" in row)
    assert catalogue_id(model.checkpoint) == name


def test_nothing_is_known_of_anybody_elses():
    assert size_about("someone/klein", "transformer") is None
    assert catalogue_id(CheckpointSource(transformer="mine.safetensors")) is None

"""Where a base model's files are found, and what is said when they are not."""

import shutil
from pathlib import Path

import pytest

from darkroom.checkpoint import DIFFUSERS, SINGLE_FILE
from darkroom.errors import CheckpointError, Problems
from darkroom.plan.checkpoint_files import find_checkpoint, local_files
from darkroom.plan.schema import CheckpointSource
from darkroom.store import Store

KLEIN = Path(__file__).parents[1] / "data/parity/klein"
SOURCE = CheckpointSource(
    repo=str(KLEIN),
    transformer=str(KLEIN / "flux-2-klein-base-4b.safetensors"),
    vae=str(KLEIN / "ae.safetensors"),
    text_encoder=str(KLEIN / "qwen3"),
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_single_files_and_a_text_encoder_with_its_tokenizer_inside(store: Store) -> None:
    found = find_checkpoint(SOURCE, "conf/model/m.yaml", store)
    assert (found.transformer.layout, found.vae.layout, found.text_encoder.layout) == (
        SINGLE_FILE,
        SINGLE_FILE,
        DIFFUSERS,
    )
    assert found.tokenizer.path == found.text_encoder.path
    assert (found.name, found.revision) == (str(KLEIN), None)


def test_the_digest_is_of_contents_not_of_places(store: Store, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(KLEIN, moved)
    (moved / "qwen3/README.md").write_text("changes no pixel")
    source = CheckpointSource(
        repo=str(moved),
        transformer=str(moved / "flux-2-klein-base-4b.safetensors"),
        vae=str(moved / "ae.safetensors"),
        text_encoder=str(moved / "qwen3"),
    )
    first, second = (find_checkpoint(one, "m.yaml", store) for one in (SOURCE, source))
    assert (first.digest, first.text_encoder_digest) == (second.digest, second.text_encoder_digest)
    (moved / "qwen3/tokenizer_config.json").write_text("{}")
    third = find_checkpoint(source, "m.yaml", store)
    assert third.digest == first.digest
    assert third.text_encoder_digest != first.text_encoder_digest


def test_every_missing_part_is_named_at_once(store: Store, tmp_path: Path) -> None:
    (tmp_path / "klein/vae").mkdir(parents=True)
    with pytest.raises(Problems) as error:
        find_checkpoint(CheckpointSource(repo=str(tmp_path / "klein")), "conf/model/m.yaml", store)
    said = str(error.value)
    assert "conf/model/m.yaml: checkpoint, transformer: " in said
    assert "klein/vae: expected config.json and .safetensors files in it, got nothing" in said
    assert "klein/tokenizer: no such folder" in said


def test_a_hub_id_that_cannot_be_reached_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        CheckpointError, match=r"m\.yaml: checkpoint\.repo: nobody/nothing is no folder here, and the hub"
    ):
        find_checkpoint(CheckpointSource(repo="nobody/nothing"), "m.yaml", store)


def test_the_files_whose_change_makes_it_another_model() -> None:
    names = [path.name for path in local_files(SOURCE)]
    assert names[:2] == ["flux-2-klein-base-4b.safetensors", "ae.safetensors"]
    assert "tokenizer.json" in names
    assert local_files(CheckpointSource(repo="organisation/name")) == []

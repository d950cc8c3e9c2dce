"""Scores by models: CLIP, SigLIP and DINOv2, tiny ones with random weights in the layout of the real ones."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.review.renders import picture, render
from transformers import (
    CLIPConfig,
    CLIPModel,
    Dinov2Config,
    Dinov2Model,
    PreTrainedTokenizerFast,
    SiglipConfig,
    SiglipModel,
)

from darkroom.errors import CheckpointError
from darkroom.record.rows import Record
from darkroom.render.scoring.scored import score_by_model
from darkroom.scoring.scorer import Scorer
from demo_training.text import train_tokenizer

SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
TEXT = {**SMALL, "vocab_size": 700, "max_position_embeddings": 24, "projection_dim": 16, "eos_token_id": 1}
SEEN = {**SMALL, "image_size": 16, "patch_size": 8}


def checkpoint(folder: Path, kind: str) -> str:
    torch.manual_seed(0)
    if kind == "dinov2":
        model = Dinov2Model(Dinov2Config(**{**SEEN, "mlp_ratio": 2}))
    elif kind == "siglip":
        model = SiglipModel(SiglipConfig(text_config=TEXT, vision_config=SEEN))
    else:
        model = CLIPModel(CLIPConfig(text_config=TEXT, vision_config=SEEN, projection_dim=16))
    model.save_pretrained(folder)
    processor = {"dinov2": "BitImageProcessor", "siglip": "SiglipImageProcessor", "clip": "CLIPImageProcessor"}[kind]
    size = {"height": 16, "width": 16} if kind == "siglip" else {"shortest_edge": 16}
    crop = {} if kind == "siglip" else {"do_center_crop": True, "crop_size": {"height": 16, "width": 16}}
    settings = {"image_processor_type": processor, "do_resize": True, "size": size, "resample": 3, **crop}
    settings |= {"do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_rescale": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    if kind != "dinov2":
        backend = train_tokenizer().backend_tokenizer
        PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<|endoftext|>").save_pretrained(folder)
    return str(folder)


def rows(folder: Path) -> list[Record]:
    made = [render(folder / name, pixels, prompt=name) for name, pixels in SHOWN.items()]
    return [replace(row, request_id=name) for row, name in zip(made, SHOWN, strict=True)]


SHOWN = {"a red circle": picture(), "a blue square": 255 - picture(), "a red circle ": picture(40)}


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_a_picture_is_held_against_its_own_prompt(tmp_path: Path, kind: str) -> None:
    scorer = Scorer(kind="text", checkpoint=checkpoint(tmp_path / "model", kind))
    found = score_by_model("mine", scorer, rows(tmp_path))
    assert list(found) == list(SHOWN)
    assert all(-100 <= value <= 100 for value in found.values())
    assert found["a red circle"] != found["a blue square"]


@pytest.mark.parametrize("kind", ["clip", "dinov2"])
def test_a_picture_of_the_folder_is_likest_to_it(tmp_path: Path, kind: str) -> None:
    made = rows(tmp_path)
    folder = tmp_path / "references"
    folder.mkdir()
    (folder / "one.png").write_bytes(Path(made[0].image_path).read_bytes())
    scorer = Scorer(kind="references", checkpoint=checkpoint(tmp_path / "model", kind), references=str(folder))
    found = score_by_model("mine", scorer, made)
    assert found["a red circle"] == pytest.approx(1.0, abs=1e-5)
    assert max(found.values()) == found["a red circle"] > found["a blue square"]
    assert np.isfinite(list(found.values())).all()


def test_a_model_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    made = rows(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"conf/score/mine.yaml: checkpoint: .*empty cannot be loaded"):
        score_by_model("mine", Scorer(kind="text", checkpoint=str(tmp_path / "empty")), made)
    with pytest.raises(CheckpointError, match="sees pictures alone; kind text needs CLIP or SigLIP"):
        score_by_model("mine", Scorer(kind="text", checkpoint=checkpoint(tmp_path / "model", "dinov2")), made)

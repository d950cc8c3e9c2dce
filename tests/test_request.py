"""What changes a request's id, and what does not."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from tests.places import DATA

from darkroom.request import _NOT_IN_ID, Lora, ReferenceImage, Request, digest_of

BASE = Request.from_json(json.loads((DATA / "record/request.json").read_text()))


def test_json_and_back_is_the_same_request() -> None:
    assert Request.from_json(json.loads(json.dumps(BASE.to_json()))) == BASE


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "another"},
        {"seed": BASE.seed + 1},
        {"width": BASE.width + 16},
        {"sample_steps": BASE.sample_steps + 1},
        {"guidance_scale": BASE.guidance_scale + 0.5},
        {"dtype": "float32"},
        {"numerics": "fast"},
        {"schedule": "diffusers"},
        {"timestep_rounding": "diffusers"},
        {"noise_device": "cuda"},
        {"checkpoint_digest": "other"},
        {"text_encoder_digest": "other"},
        {"text_encoder_cast": not BASE.text_encoder_cast},
        {"ctrl_images": (ReferenceImage("a.png", "a" * 64),)},
        {"ctrl_images": (ReferenceImage("a.png", "b" * 64),)},
        {"prompt_embeds": "e.safetensors", "prompt_embeds_sha256": "e" * 64},
        {"loras": (Lora("a", 1.0, "b" * 64),)},
        {"loras": (Lora("a", 0.5, "b" * 64),)},
    ],
)
def test_what_can_change_a_pixel_changes_the_id(change: dict[str, Any]) -> None:
    assert replace(BASE, **change).request_id != BASE.request_id


@pytest.mark.parametrize(
    "change",
    [
        {"experiment": "x", "model": "y", "lora": "z", "prompts": "p", "index": 7, "image_name": "n"},
        {"prompt_template": "[trigger]", "trigger_word": "w"},
        {"width_requested": 1, "height_requested": 1},
        {"checkpoint": "elsewhere", "checkpoint_revision": "abc", "text_encoder": "elsewhere"},
        {"loras": tuple(replace(lora, path="moved.safetensors") for lora in BASE.loras)},
        {"loras": (*BASE.loras, Lora("unused.safetensors", 0.0, "c" * 64))},
        {"warnings": ("noted",)},
        {"not_comparable": ("noted",), "lora_merge_reason": "asked for"},
    ],
)
def test_what_cannot_change_a_pixel_does_not(change: dict[str, Any]) -> None:
    assert replace(BASE, **change).request_id == BASE.request_id


def test_a_new_field_is_in_the_id_unless_it_is_listed_as_harmless() -> None:
    names = {field.name for field in fields(Request)}
    assert names >= _NOT_IN_ID
    assert names - _NOT_IN_ID == {
        *("width", "height", "seed", "sample_steps", "guidance_scale", "family", "dtype", "quantize_transformer"),
        *("guidance", "schedule", "numerics", "lora_merge", "loras", "ctrl_images", "checkpoint_digest"),
        *("prompt_embeds_sha256", "ctrl_idx", "allow_foreign_lora", "timestep_rounding", "noise_device"),
    }


def test_the_negative_prompt_counts_only_where_guidance_uses_it() -> None:
    unguided = replace(BASE, guidance_scale=1.0)
    assert replace(unguided, neg="other").request_id == unguided.request_id
    guided = replace(BASE, guidance_scale=4.0, guidance="cfg")
    assert replace(guided, neg="other").request_id != guided.request_id
    assert guided.texts == (guided.prompt, guided.neg)
    assert unguided.texts == (unguided.prompt,)


def test_without_an_active_lora_the_way_of_merging_does_not_count() -> None:
    plain = replace(BASE, loras=(), lora_merge="merged")
    assert replace(plain, lora_merge="merged_in_dtype").request_id == plain.request_id


def test_digests_do_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": "é"}) == digest_of({"b": "é", "a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_of(float("nan"))

"""What changes a request's id, and what does not."""

import json
from dataclasses import dataclass, field, fields, replace
from typing import Any

import pytest
from tests.places import DATA

from darkroom.request.digest import digest_of
from darkroom.request.parts import Adapters, BaseModel, Encoder, Lora, ReferenceImage, Sampling, Text
from darkroom.request.request import Request
from darkroom.request.speedups import unfit_speedups

BASE = Request.from_json(json.loads((DATA / "record/request.json").read_text()))


def test_json_and_back_is_the_same_request() -> None:
    assert Request.from_json(json.loads(json.dumps(BASE.to_json()))) == BASE


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "another"},
        {"seed": BASE.sampling.seed + 1},
        {"width": BASE.sampling.width + 16},
        {"sample_steps": BASE.sampling.sample_steps + 1},
        {"guidance_scale": BASE.sampling.guidance_scale + 0.5},
        {"dtype": "float32"},
        {"numerics": "fast"},
        {"batched_guidance": True},
        {"compiled_blocks": True},
        {"schedule": "diffusers"},
        {"timestep_rounding": "diffusers"},
        {"noise_device": "cuda"},
        {"checkpoint_digest": "other"},
        {"text_encoder_digest": "other"},
        {"text_encoder_cast": not BASE.encoder.text_encoder_cast},
        {"ctrl_images": (ReferenceImage("a.png", "a" * 64),)},
        {"ctrl_images": (ReferenceImage("a.png", "b" * 64),)},
        {"prompt_embeds": "e.safetensors", "prompt_embeds_sha256": "e" * 64},
        {"loras": (Lora("a", 1.0, "b" * 64),)},
        {"loras": (Lora("a", 0.5, "b" * 64),)},
    ],
)
def test_what_can_change_a_pixel_changes_the_id(change: dict[str, Any]) -> None:
    assert BASE.changed(**change).request_id != BASE.request_id


@pytest.mark.parametrize(
    ("change", "lora_merge", "unfit"),
    [
        ({}, "merged", []),
        ({"numerics": "exact"}, None, ["batched_guidance", "compiled_blocks"]),
        ({"guidance": "embedded"}, None, ["batched_guidance"]),
        ({"family": "zimage"}, None, ["batched_guidance"]),
        ({"quantize_transformer": "qint8"}, None, ["compiled_blocks"]),
        ({}, "live", ["compiled_blocks"]),
        ({"compiled_blocks": False}, "live", []),
    ],
)
def test_speedups_that_do_not_go_with_the_rest_are_named(
    change: dict[str, Any], lora_merge: str | None, unfit: list[str]
) -> None:
    fast = BASE.changed(numerics="fast", batched_guidance=True, compiled_blocks=True)
    assert [*unfit_speedups(fast.changed(**change).base, lora_merge)] == unfit


@pytest.mark.parametrize(
    "change",
    [
        {"experiment": "x", "model": "y", "lora": "z", "prompts": "p", "index": 7, "image_name": "n"},
        {"prompt_template": "[trigger]", "trigger_word": "w"},
        {"width_requested": 1, "height_requested": 1},
        {"checkpoint": "elsewhere", "checkpoint_revision": "abc", "text_encoder": "elsewhere"},
        {"loras": tuple(replace(lora, path="moved.safetensors") for lora in BASE.adapters.loras)},
        {"loras": (*BASE.adapters.loras, Lora("unused.safetensors", 0.0, "c" * 64))},
        {"warnings": ("noted",)},
        {"not_comparable": ("noted",), "lora_merge_reason": "asked for"},
    ],
)
def test_what_cannot_change_a_pixel_does_not(change: dict[str, Any]) -> None:
    assert BASE.changed(**change).request_id == BASE.request_id


@pytest.mark.parametrize("part", [BaseModel, Encoder, Sampling, Text, Adapters])
def test_every_field_of_a_part_that_can_change_a_pixel_is_in_the_id(part: type) -> None:
    prompt_embeds = ("prompt_embeds", "prompt_embeds_sha256")
    for name in [f.name for f in fields(part) if f.name not in prompt_embeds]:
        assert BASE.changed(**{name: another(name)}).request_id != BASE.request_id, name
    assert BASE.changed(prompt_embeds="e.safetensors").request_id != BASE.request_id  # in place of the prompt
    assert BASE.changed(prompt_embeds_sha256="e" * 64).request_id != BASE.request_id


def another(name: str) -> Any:
    """A value that BASE does not have."""
    others = {
        "loras": (Lora("b", 1.0, "b" * 64),),
        "ctrl_images": (ReferenceImage("a.png", "a" * 64),),
        "guidance_rule": "raw",
    }
    now = BASE.row()[name]
    if isinstance(now, bool):
        return not now
    return others[name] if name in others else now + 1 if isinstance(now, int | float) else 1


@dataclass(frozen=True, kw_only=True)
class LaterSampling(Sampling):
    """Sampling with a field more than it has."""

    eta: float = field(default=0.0, metadata={"since": 2})


def test_a_field_that_came_later_is_in_the_id_where_it_is_not_its_default() -> None:
    def with_eta(eta: float) -> Request:
        return replace(BASE, sampling=LaterSampling(**vars(BASE.sampling), eta=eta))

    assert with_eta(0.0).request_id == BASE.request_id
    assert with_eta(0.5).request_id != BASE.request_id


A, B, OFF = Lora("a", 1.0, "aa" * 32), Lora("b", -0.5, "bb" * 32), Lora("off", 0.0, "cc" * 32)
RED, BLUE = ReferenceImage("i.png", "11" * 32), ReferenceImage("j.png", "22" * 32)
ENCODED = {"prompt": "", "prompt_embeds": "e.safetensors", "prompt_embeds_sha256": "ee" * 32}
OF_PROMPT = "dd48090ff759b7a2ec5bc360c75d99d01d1ef7af02be87f4a1e6aa713e15f4f9"
OF_NEG = "a7c7335d972c1113a18aec6c1dbee8ea83cd4dfca380793e1dd98b034170010f"


# Of version 0.1.0, commit 93b3d14. People have stores full of pictures and embeddings under such names.
@pytest.mark.parametrize(
    ("changes", "request_id", "embedding_ids"),
    [
        pytest.param(
            {},
            "85872720d00863210ac59baf6230b82594a9966deb0d00944a073bc561d9080b",
            [OF_PROMPT, OF_NEG],
            id="one LoRA, guidance and neg",
        ),
        pytest.param(
            {"loras": (), "lora_merge": None},
            "f76b522d57bdbc5d6443389e809ab527e0c0e5d66333edddb89cc44d3075bd86",
            [OF_PROMPT, OF_NEG],
            id="no LoRA",
        ),
        pytest.param(
            {"loras": (A, OFF, B), "lora_merge": "live", "allow_foreign_lora": True},
            "99d423fe7af987221cb80ab1627a9aa38fa9b3bdb48560ae6c6e01f21ccd1c7e",
            [OF_PROMPT, OF_NEG],
            id="two LoRAs live, a third at 0",
        ),
        pytest.param(
            {"loras": (OFF,), "allow_foreign_lora": True},
            "f76b522d57bdbc5d6443389e809ab527e0c0e5d66333edddb89cc44d3075bd86",
            [OF_PROMPT, OF_NEG],
            id="a LoRA at 0, which is no LoRA",
        ),
        pytest.param(
            {"guidance_scale": 1.0},
            "2fe8c15f810a2f761581cd4cac0638ebabcfe93b52d504570ae6a18885a7f02b",
            [OF_PROMPT],
            id="no guidance, so no neg",
        ),
        pytest.param(
            {"ctrl_images": (RED, BLUE)},
            "5dca0ed21ae5a452142baa08420b6cf30fd9dd82fe82632344ba631bfec410fd",
            [OF_PROMPT, OF_NEG],
            id="two reference images",
        ),
        pytest.param(
            {"family": "flex2", "guidance": "embedded", "ctrl_images": (RED,), "ctrl_idx": 0},
            "1e2e9f0f5a9e828e5e454e2d1f5c8f5bff085ce6bf3688994ebdc924aeff7371",
            ["5250adf79d106f473ed4f4204d28f15994147da354153b0bfdb2c5b62ad90ba8"],
            id="inpainting",
        ),
        pytest.param(
            ENCODED,
            "18733a5916cbe2be04ddb4ad60e1eb4448f60e321c3f99dc9442385deb216335",
            [OF_NEG],
            id="encoded prompt, and neg",
        ),
        pytest.param(
            {**ENCODED, "guidance_scale": 1.0},
            "09c99c7037db81ce321fa71ac3fb70792b92c7663a7b124888704c5e571698cc",
            [],
            id="encoded prompt alone",
        ),
        pytest.param(
            {
                **{"quantize_transformer": "qfloat8", "quantize_text_encoder": "qint8", "lora_merge": "live"},
                **{"numerics": "fast", "schedule": "diffusers", "guidance": "none"},
                **{"timestep_rounding": "diffusers", "noise_device": "cuda"},
            },
            "0e134f0185973d71001dd886d3dd2d4ad32557f19a79a8117d48a6928d6516c5",
            ["c3dce14f68e301bfdda09e8903f9f9c5e35670eeaa020bdd0060fd5a7da53bc6"],
            id="nothing as in the trainer",
        ),
        pytest.param(
            {
                **{"family": "flux", "guidance": "embedded", "dtype": "float32"},
                **{"text_encoder_cast": True, "max_sequence_length": 256, "attn_masking": True},
            },
            "844fbab42292d799c0c07bab8092f0f7eba1f05a9af7c72f0f799675320e3252",
            ["b58a83409ca12c8da6ebbb3e788a8014e36438be880f925077c6c3832ef3d534"],
            id="every setting of a text encoder",
        ),
        pytest.param(
            {"prompt": "ein Mädchen 🐈\n", "neg": "é"},
            "491a0262db5f23363db96ccbee791c2d44a1519db5e3b0ccbcd31653c50c9ec7",
            [
                "9bf72781f194f13d4390b10363112873f889695d5ad9cb832edbe4991eff9d64",
                "eef5d65c4840673929145cf322ead8dfde1129762dc44d810cdc2e68915e6c8f",
            ],
            id="letters beyond ASCII",
        ),
    ],
)
def test_ids_are_what_they_were(changes: dict[str, Any], request_id: str, embedding_ids: list[str]) -> None:
    request = BASE.changed(**changes)
    assert [request.encoder.embedding_id(text) for text in request.texts] == embedding_ids
    assert request.request_id == request_id


def test_a_part_of_another_version_is_named() -> None:
    values = BASE.to_json()
    del values["text"]["neg"]
    expected = (
        "text: expected prompt, neg, prompt_embeds, prompt_embeds_sha256, got prompt, prompt_embeds, prompt_embeds_s"
    )
    with pytest.raises(ValueError, match=expected):
        Request.from_json(values)
    with pytest.raises(ValueError, match=r"title: expected experiment, .*, got None"):
        Request.from_json(BASE.row())


def test_base_model_and_text_encoder_are_of_one_family_and_dtype() -> None:
    with pytest.raises(ValueError, match="expected one family and one dtype of base model and text encoder, got"):
        replace(BASE, base=replace(BASE.base, dtype="float32"))
    assert BASE.changed(dtype="float32").encoder.dtype == "float32"


def test_a_change_of_what_no_part_has_is_refused() -> None:
    with pytest.raises(TypeError, match="expected fields of a request, got colour, seeds"):
        BASE.changed(seeds=1, colour="red", seed=2)


def test_the_negative_prompt_counts_only_where_guidance_uses_it() -> None:
    unguided = BASE.changed(guidance_scale=1.0)
    assert unguided.changed(neg="other").request_id == unguided.request_id
    guided = BASE.changed(guidance_scale=4.0, guidance="cfg")
    assert guided.changed(neg="other").request_id != guided.request_id
    assert guided.texts == (guided.text.prompt, guided.text.neg)
    assert unguided.texts == (unguided.text.prompt,)


def test_without_an_active_lora_the_way_of_merging_does_not_count() -> None:
    plain = BASE.changed(loras=(), lora_merge="merged")
    assert plain.changed(lora_merge="merged_in_dtype").request_id == plain.request_id


def test_digests_do_not_depend_on_the_order_of_keys() -> None:
    assert digest_of({"a": 1, "b": "é"}) == digest_of({"b": "é", "a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest_of(float("nan"))

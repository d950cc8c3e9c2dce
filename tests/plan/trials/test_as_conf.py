"""The prompts file of `darkroom show --as-conf`."""

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf
from tests.examples.record import REQUEST, embedded

from darkroom.files.images.image_file import write_image
from darkroom.plan.trials.as_conf import as_conf
from darkroom.request.parts import ReferenceImage


def picture(folder, **changes):
    record = embedded(REQUEST.changed(**changes))
    write_image(folder / "a.png", np.zeros((48, 64, 3), np.uint8), record.to_json(), "png", 100)
    return folder / "a.png"


def test_as_conf_is_a_prompts_file_for_the_same_picture(tmp_path):
    text = as_conf(picture(tmp_path))
    assert yaml.safe_load(text) == {
        "prompts": [
            {
                "prompt": "sks a photo of a person",
                "neg": "blurry",
                "width": 64,
                "height": 48,
                "seed": 7,
                "sample_steps": 8,
                "guidance_scale": 4.0,
                "network_multiplier": 0.5,
            }
        ]
    }
    for comment in (
        "#        matrix: {model: [demo], lora: [anna], prompts: [again]}",
        "#        model: {dtype: bfloat16, guidance_rule: aitk, schedule: aitk, timestep_rounding: aitk, "
        "noise_device: cpu, numerics: exact, "
        "max_sequence_length: 512, text_encoder_cast: false, attn_masking: false, "
        "quantize: {transformer: null, text_encoder: null, embedders: false}, lora_merge: merged}",
        "#        output: {format: png}",
        "#   3. darkroom run again",
        "#   model demo: demo, revision none,",
        "#     jobs/anna/anna.safetensors at 0.5, sha256 5555555555aaaaaa",
    ):
        assert comment in text.splitlines()


def test_as_conf_knows_the_strength_wherever_it_came_from_and_names_reference_images(tmp_path):
    entry = yaml.safe_load(
        as_conf(picture(tmp_path, axes=(), ctrl_images=(ReferenceImage("a.png"), ReferenceImage("b.png"))))
    )["prompts"][0]
    assert entry["network_multiplier"] == 0.5
    assert (entry["ctrl_img_1"], entry["ctrl_img_2"]) == ("a.png", "b.png")


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "null",
        "1e3",
        "- a: {list} # not a comment",
        "\"both\" 'quotes' \\ and \\\\",
        "${model.family} and \\${escaped} and \\\\${twice} ${",
        "lines\n  indented\n\n---\nend\n",
        "emoji 🐈‍⬛, שלום, \x00\x1b\x7f\x85\u2028\ufeff\ufffe",
        "a very long prompt, " * 100,
    ],
)
def test_any_prompt_survives_yaml_and_interpolation(tmp_path, prompt):
    config = OmegaConf.create(as_conf(picture(tmp_path, prompt=prompt, neg=prompt)))
    entry = OmegaConf.to_container(config, resolve=True)["prompts"][0]
    assert (entry["prompt"], entry["neg"]) == (prompt, prompt)


def test_names_cannot_leave_their_comment(tmp_path):
    text = as_conf(picture(tmp_path, checkpoint="folder\nprompts: []", experiment="a\x85b\x00"))
    assert yaml.safe_load(text)["prompts"][0]["seed"] == 7

"""What `darkroom show` prints, and the prompts file of --as-conf."""

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf
from tests.examples.record import REQUEST, embedded

from darkroom.files.columns import groups_of
from darkroom.files.image_file import write_image
from darkroom.record import EmbeddedRecord
from darkroom.request import ReferenceImage
from darkroom.review.show import as_conf, show


def picture(folder, **changes):
    record = embedded(REQUEST.changed(**changes))
    write_image(folder / "a.png", np.zeros((48, 64, 3), np.uint8), record.to_json(), "png", 100)
    return folder / "a.png"


def test_show_is_a_grouped_and_aligned_listing(tmp_path):
    lines = show(picture(tmp_path)).splitlines()
    assert lines[:4] == [str(tmp_path / "a.png"), "", "title:", "  experiment:             strength"]
    text = lines.index("text:")
    assert lines[text - 1 : text + 5] == [
        "",
        "text:",
        "  prompt:                 sks a photo of a person",
        "  neg:                    blurry",
        "  prompt_embeds:          none",
        "  prompt_embeds_sha256:   none",
    ]
    assert "  width:                  64" in lines
    assert "  axes:                   network_multiplier = 0.5" in lines
    assert "                          seed = 7" in lines
    assert "  sigmas:                 1 0.5 0" in lines
    assert "  gpu_name:               none" in lines
    assert "  loras:                  jobs/anna/anna.safetensors at 0.5" in lines
    assert "                          (ai-toolkit, 96 keys, sha256 5555555555aaaaaa)" in lines
    assert "  warnings:               width: 70 is not a multiple of 16, rendered at 64" in lines
    headings = [line.removesuffix(":") for line in lines[1:] if line and not line.startswith(" ")]
    assert headings == list(groups_of(EmbeddedRecord))


def test_show_sends_nothing_to_the_terminal_that_would_command_it(tmp_path):
    text = show(picture(tmp_path, prompt="a \x1b[31mred\x07 cat"))
    assert "a \\x1b[31mred\\x07 cat" in text
    assert all(character.isprintable() or character == "\n" for character in text)


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
        "#        model: {dtype: bfloat16, schedule: aitk, timestep_rounding: aitk, noise_device: cpu, "
        "numerics: exact, "
        "max_sequence_length: 512, text_encoder_cast: false, attn_masking: false, "
        "quantize: {transformer: null, text_encoder: null}, lora_merge: merged}",
        "#        output: {format: png}",
        "#   3. snakemake --cores 1 --config experiment=again",
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

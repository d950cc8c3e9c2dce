"""What `darkroom show` prints."""

from dataclasses import replace

import numpy as np
from tests.examples.record import LORA, REQUEST, embedded

from darkroom.files.columns import groups_of
from darkroom.files.images.image_file import write_image
from darkroom.record.embedded import EmbeddedRecord
from darkroom.review.show import show


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
    assert "                          trainer not known" in lines
    assert "  warnings:               width: 70 is not a multiple of 16, rendered at 64" in lines
    headings = [line.removesuffix(":") for line in lines[1:] if line and not line.startswith(" ")]
    assert headings == list(groups_of(EmbeddedRecord))


def test_show_says_who_trained_a_lora(tmp_path):
    record = embedded(loras=(replace(LORA, trainer="ai-toolkit 0.12.26"),))
    write_image(tmp_path / "a.png", np.zeros((48, 64, 3), np.uint8), record.to_json(), "png", 100)
    assert "                          trained by ai-toolkit 0.12.26" in show(tmp_path / "a.png").splitlines()


def test_show_sends_nothing_to_the_terminal_that_would_command_it(tmp_path):
    text = show(picture(tmp_path, prompt="a \x1b[31mred\x07 cat"))
    assert "a \\x1b[31mred\\x07 cat" in text
    assert all(character.isprintable() or character == "\n" for character in text)

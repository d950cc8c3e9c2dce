"""The `parameters` text of a picture, as the webui, Civitai and galleries read it."""

import json
import re

import pytest
from tests.examples.record import REQUEST, embedded

from darkroom.files.images.parameters import parameters_text


def record(**changes):
    return embedded(REQUEST.changed(**changes)).to_json()


def test_parameters_without_negative_prompt_and_loras():
    values = {**record(neg=""), "loras": []}
    assert parameters_text(values) == (
        "sks a photo of a person\n"
        "Steps: 8, Sampler: Euler, Schedule type: aitk, CFG scale: 4.0, Seed: 7, Size: 64x48, Model: demo, "
        "Version: darkroom 0.1.0"
    )


@pytest.mark.parametrize(
    ("checkpoint", "revision", "name"),
    [
        ("black-forest-labs/FLUX.2-klein-base-4B", "fd1f", "black-forest-labs/FLUX.2-klein-base-4B"),
        ("models/klein", None, "klein"),
        ("/home/someone/models/klein/", None, "klein"),
        ("~/models/klein, mine", None, "klein_ mine"),
        ("/home/someone/klein.safetensors", None, "klein"),
        ("/home/someone/klein.sft", None, "klein"),
        ("D:klein-Q4_K.gguf", None, "D_klein-Q4_K"),
        (".", None, "tiny_klein"),
    ],
)
def test_parameters_name_the_model_and_no_folder(checkpoint, revision, name):
    values = record(model="tiny_klein", checkpoint=checkpoint, checkpoint_revision=revision)
    assert f"Model: {name}, Lora" in parameters_text(values)
    assert "someone" not in parameters_text(values)


@pytest.mark.parametrize(("strength", "said"), [(1.0, "1"), (0.5, "0.5"), (-1.25, "-1.25"), (1e-05, "0.00001")])
def test_parameters_have_loras_as_civitai_reads_them(strength, said):
    lora = {"path": "/home/someone/my: style.safetensors", "sha256": "5" * 64, "network_multiplier": strength}
    values = {**record(transformer_sha256="1234567890abcdef"), "loras": [lora]}
    first, *_, last = parameters_text(values).splitlines()
    assert first == f"sks a photo of a person <lora:my_ style:{said}>"
    assert "Model hash: 1234567890, Model: demo" in last
    hashes = re.search(r", Hashes:\s*({[^}]+})", last)  # Civitai's own expression
    assert json.loads(hashes[1]) == {"model": "1234567890", "lora:my_ style": "5555555555"}
    assert "someone" not in parameters_text(values)


def _lora(path, strength, digit):
    return {"path": path, "sha256": digit * 64, "network_multiplier": strength}


def test_parameters_tell_loras_apart_that_trainers_call_the_same():
    loras = [_lora(f"{job}/pytorch_lora_weights.safetensors", 0.5, job[-1]) for job in ("job1", "job2")]
    first, *_, last = parameters_text({**record(), "loras": loras}).splitlines()
    assert first.endswith("<lora:pytorch_lora_weights:0.5> <lora:pytorch_lora_weights_2:0.5>")
    assert 'Lora hashes: "pytorch_lora_weights: 1111111111, pytorch_lora_weights_2: 2222222222"' in last


def test_parameters_leave_out_a_lora_that_is_not_in_the_picture():
    loras = [_lora("anna.safetensors", 0.0, "1"), _lora("style.safetensors", 0.75, "2")]
    text = parameters_text({**record(), "loras": loras})
    assert text.splitlines()[0] == "sks a photo of a person <lora:style:0.75>"
    assert text.endswith('Hashes: {"lora:style": "2222222222"}')


def test_parameters_read_as_the_webui_reads_them():
    """The expression of its `parse_generation_parameters`: every setting comes out as it went in."""
    loras = [_lora('jobs/my "best", {one}.safetensors', 0.5, "1")]
    last = parameters_text({**record(transformer_sha256="ab" * 32), "loras": loras}).splitlines()[-1]
    settings = dict(re.findall(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', last.partition(", Hashes:")[0]))
    assert settings == {
        "Steps": "8",
        "Sampler": "Euler",
        "Schedule type": "aitk",
        "CFG scale": "4.0",
        "Seed": "7",
        "Size": "64x48",
        "Model hash": "ababababab",
        "Model": "demo",
        "Lora hashes": '"my _best__ _one_: 1111111111"',
        "Version": "darkroom 0.1.0",
    }

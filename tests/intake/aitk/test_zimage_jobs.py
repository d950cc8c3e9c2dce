"""Jobs of Z-Image, De-Turbo and Turbo: base, training adapter, quantisation, and what earlier versions did."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.examples.job_folder import job_config, write_job
from tests.places import DATA

from darkroom.intake.aitk.base_model import Copies
from darkroom.intake.aitk.job import plan_job
from darkroom.intake.imported_job import ImportedJob
from darkroom.intake.options import ImportOptions

ZIMAGE = DATA / "parity/zimage"
JOB = Path("output/my_job")
GREY = np.full((64, 64, 3), 128, np.uint8)
TURBO, ADAPTER = (
    "Tongyi-MAI/Z-Image-Turbo",
    "ostris/zimage_turbo_training_adapter/zimage_turbo_training_adapter_v2.safetensors",
)


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def a_job(trainer: str = "0.12.26", lora: str = "turbo_lora_bf16", **model: Any) -> ImportedJob:
    config = job_config(sample={"samples": [{"prompt": "a cat"}], "guidance_scale": 1, "sample_steps": 9})
    config["config"]["process"][0]["model"] = model
    pictures = {(step, 0): GREY for step in (0, 250)}
    write_job(JOB, config, pictures, {250: ZIMAGE / "adapters" / f"{lora}.safetensors"}, trainer=trainer)
    return plan_job(JOB, ImportOptions(roots=(ZIMAGE,)), copies=Copies(), config_unchanged=True)


def model_of(job: ImportedJob) -> Any:
    return yaml.safe_load(next(file.text for file in job.files if file.path == Path("conf/model/my_job.yaml")))


def test_turbo_has_its_training_adapter_and_float8_as_the_interface_has_it() -> None:
    job = a_job(
        arch="zimage:turbo",
        name_or_path=TURBO,
        assistant_lora_path=ADAPTER,
        quantize=True,
        quantize_te=True,
        qtype="qfloat8",
    )
    assert model_of(job) == {
        "family": "zimage",
        "checkpoint": {"repo": TURBO, "text_encoder": "Qwen/Qwen3-4B", "training_adapter": ADAPTER},
        "imported": True,
        "quantize": {"transformer": "float8", "text_encoder": "qfloat8"},
        "text_encoder_cast": True,
    }
    assert ({row.reason for row in job.previews}, job.notes) == ({None}, ())


def test_de_turbo_has_all_but_its_transformer_from_elsewhere() -> None:
    job = a_job(arch="zimage:deturbo", name_or_path="ostris/Z-Image-De-Turbo", extras_name_or_path=TURBO, quantize=True)
    assert model_of(job)["checkpoint"] == {
        "repo": TURBO,
        "transformer": "ostris/Z-Image-De-Turbo",
        "text_encoder": "Qwen/Qwen3-4B",
        "vae": TURBO,
    }
    assert model_of(job)["quantize"] == {"transformer": "qfloat8", "text_encoder": "qfloat8"}


def test_a_folder_here_gives_every_part() -> None:
    Path("base").symlink_to(ZIMAGE / "zimage")
    assert model_of(a_job(arch="zimage", name_or_path="base", lora="zimage_lora_bf16"))["checkpoint"] == {
        "repo": "base"
    }


def test_a_single_file_of_the_hub_takes_what_it_lacks_from_turbo() -> None:
    file = "Comfy-Org/z_image/z_image_bf16.safetensors"
    assert model_of(a_job(arch="zimage", name_or_path=file))["checkpoint"] == {
        "repo": TURBO,
        "transformer": file,
        "text_encoder": "Qwen/Qwen3-4B",
    }


@pytest.mark.parametrize(
    ("trainer", "expected"),
    [
        ("0.7.13", {"guidance_rule": "raw_above_1", "schedule": "aitk_to_zero", "resolution_divisor": 32}),
        ("0.10.20", {"guidance_rule": "raw", "schedule": "aitk_to_zero"}),
        ("0.10.23", {"schedule": "aitk_to_zero"}),
        ("0.10.25", {}),
    ],
)
def test_a_job_of_an_earlier_version_is_computed_as_it_did(trainer: str, expected: dict[str, Any]) -> None:
    job = a_job(trainer, arch="zimage:turbo", name_or_path=TURBO, assistant_lora_path=ADAPTER, quantize=True)
    model = model_of(job)
    embedders = {"embedders": True} if trainer != "0.10.25" else {}
    assert model["quantize"] == {"transformer": "float8", "text_encoder": "qfloat8", **embedders}
    keys = ("guidance_rule", "schedule", "resolution_divisor")
    assert {key: model[key] for key in keys if key in model} == expected
    assert {row.reason for row in job.previews} == {None}
    assert len([note for note in job.notes if note.startswith("computed as then: ")]) == len({**expected, **embedders})


def test_another_qtype_beside_a_training_adapter_cannot_be_reproduced() -> None:
    job = a_job(arch="zimage:turbo", name_or_path=TURBO, assistant_lora_path=ADAPTER, quantize=True, qtype="qint8")
    (reason,) = {row.reason for row in job.previews}
    assert reason == "quantising to qint8, the trainer lost what cancels the training adapter in previews"


def test_an_adapter_that_is_nowhere_is_said_with_its_key() -> None:
    with pytest.raises(
        Exception, match=r"model.assistant_lora_path: /gone/adapter.safetensors: is not on this machine"
    ):
        a_job(arch="zimage:turbo", name_or_path=TURBO, assistant_lora_path="/gone/adapter.safetensors")

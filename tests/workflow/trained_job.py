"""Training jobs whose stored previews are goldens: what the trainer's own code makes of their configuration."""

from pathlib import Path
from typing import Any

from safetensors import safe_open
from tests.examples.job_folder import DATA, KLEIN, job_config, write_job
from tests.machine.canary import canary
from tests.workflow.project import Project

_TRAINERS = "b003c85269dbccdc"  # the kind of processor that the trainer's goldens are from
_PROMPT = "a photo of a cat holding a sign that says hello world"
_NIGHT = "make it night, keep the composition"
_NEG = "blurry, low quality, watermark"
_FIRST, _SECOND = (str(DATA / f"references/{name}.png") for name in ("r_101x77", "r_70x133"))

# The first samples, of the base model, then those of step 100; each with the case that it is.
PLAIN: dict[str, Any] = {
    "sections": {"model": {"name_or_path": str(KLEIN), "quantize": False}},
    "first": [
        ("te_64_s4_g4", {"prompt": _PROMPT, "sample_steps": 4}),
        ("te_64_s25_g4_neg", {"prompt": _PROMPT, "neg": _NEG}),
        ("te_ref2_s4_g4", {"prompt": _NIGHT, "sample_steps": 4, "ctrl_img_1": _FIRST, "ctrl_img_2": _SECOND}),
    ],
    "samples": [("te_lora_s25_g4", {"prompt": _PROMPT})],
}
QUANTISED: dict[str, Any] = {
    "sections": {"model": {"name_or_path": str(KLEIN), "quantize": True}},
    "first": [
        ("q8_64_s4_g4", {"prompt": _PROMPT, "sample_steps": 4}),
        ("q8_64_s25_g4", {"prompt": _PROMPT}),
        ("q8_ref1_s4_g4", {"prompt": _NIGHT, "sample_steps": 4, "ctrl_img": _FIRST}),
    ],
    "samples": [("q8_lora_s25_g4", {"prompt": _PROMPT})],
}


def is_exact() -> bool:
    """True where there are goldens of this kind of processor, so that pictures must be equal to the last bit."""
    return _goldens_file(canary()).is_file()


def write_trained_job(project: Project, name: str, job: dict[str, Any], image_format: str) -> Path:
    """output/<name> in the project's folder: a checkpoint of step 100, previews of steps 0 and 100."""
    common = {"width": 64, "height": 64, "seed": 42, "walk_seed": False, "guidance_scale": 4, "sample_steps": 25}
    sections = {
        **job["sections"],
        "trigger_word": None,
        "train": {"steps": 100, "skip_first_sample": True},
        "first_sample": {"sampler": "flowmatch", "neg": "", **common, "samples": [item for _, item in job["first"]]},
        "sample": {**common, "samples": [item for _, item in job["samples"]]},
    }
    with safe_open(_goldens_file(canary() if is_exact() else _TRAINERS), "np") as goldens:
        pictures = {
            (step, index): goldens.get_tensor(f"{case}.pixels")
            for step, items in ((0, job["first"]), (100, job["samples"]))
            for index, (case, _) in enumerate(items)
        }
    return write_job(
        project.folder / "output" / name,
        job_config(name, **sections),
        pictures,
        {100: DATA / "adapters/lora_bf16.safetensors"},
        image_format=image_format,
        final=100,
    )


def _goldens_file(kind: str) -> Path:
    return DATA / "golden" / ("bfloat16.safetensors" if kind == _TRAINERS else f"{kind}.safetensors")

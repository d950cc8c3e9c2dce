"""Goldens through Snakemake with nothing but conf files: single files, adapters, reference images, encoded prompts."""

import hashlib
import itertools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.torch import load_file
from tests.canary import canary
from tests.workflow.project import REPOSITORY, Project

PARITY = REPOSITORY / "tests/data/parity"
CASES = {case["id"]: case for case in json.loads((PARITY / "golden/cases.json").read_text())["cases"]}
HASHES = json.loads((PARITY / "golden/hashes.json").read_text())  # canary → dtype → case → [latents, pixels]
TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2}
RUNS = [
    ("t2i_odd_100x75_s4_g4", "bfloat16"),
    ("lora_bf16_x0.5", "float32"),  # merged in the weights' dtype
    ("lora_netmerge_x1.0", "bfloat16"),  # merged in float32
    ("lokr_full_nethook_x1.0", "bfloat16"),  # live
    ("ref1_rgba_s4_g4", "float32"),
    ("te_ref2_s4_g4", "bfloat16"),  # two reference images, the text encoder cast
    ("q8_lora_s25_g4", "bfloat16"),  # transformer and text encoder quantised, so live
    ("dev_ref1_s25_g4", "bfloat16"),  # guidance embedded, the prompt encoded
]
Run = tuple[str, str]  # case, dtype


def model_of(case: dict[str, Any], dtype: str) -> dict[str, Any]:
    """conf/model for one case."""
    klein, dev = (str(PARITY / name) for name in ("klein", "dev"))
    sources = {
        "klein": {"transformer": f"{klein}/flux-2-klein-base-4b.safetensors", "text_encoder": f"{klein}/qwen3"},
        "dev": {"transformer": f"{dev}/flux2-dev.safetensors"},
    }
    return {
        "family": "flux2",
        "checkpoint": {"repo": klein, "vae": f"{klein}/ae.safetensors", **sources[case["model"]]},
        "guidance": "embedded" if case["model"] == "dev" else "cfg",
        "dtype": dtype,
        "quantize": {"transformer": case["quantize"], "text_encoder": case["quantize"]},
        "text_encoder_cast": case["text_encoder_cast"],
        "lora_merge": "auto" if case["quantize"] else case["lora_merge"],
    }


def prompt_of(case: dict[str, Any]) -> dict[str, Any]:
    """The one prompt of a case's set."""
    names = ("width", "height", "sample_steps", "guidance_scale", "seed", "network_multiplier", "neg")
    text = {"prompt_embeds": str(PARITY / "dev/prompt_embeds.safetensors")}
    images = [str(PARITY / "references" / f"{name}.png") for name in case["references"]]
    keys = ("ctrl_img", "ctrl_img_2", "ctrl_img_3")
    return {
        **({"prompt": case["prompt"]} if case["prompt"] else text),
        **{name: case[name] for name in names},
        **dict(zip(keys, images, strict=False)),
    }


def write_conf(project: Project, runs: Sequence[Run]) -> None:
    """Options for models, adapters and prompts, and an experiment of exactly these runs."""
    wanted, models, loras = set(), dict[str, Any](), {"none": {"loras": []}}
    for name, dtype in runs:
        case = CASES[name]
        settings = model_of(case, dtype)
        model = f"m{hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:8]}"
        models[model] = settings
        lora = case["adapter"] or "none"
        if case["adapter"]:
            loras[lora] = {"loras": [str(PARITY / "adapters" / f"{lora}.safetensors")]}
        project.write(f"conf/prompts/{name}.yaml", yaml.safe_dump({"prompts": [prompt_of(case)]}))
        wanted |= {("model", model, name), ("lora", lora, name)}
    for group, options in (("model", models), ("lora", loras)):
        for name, content in options.items():
            project.write(f"conf/{group}/{name}.yaml", yaml.safe_dump(content))
    axes = {"model": [*models], "lora": [*loras], "prompts": list(dict.fromkeys(name for name, _ in runs))}
    exclude = [
        {group: option, "prompts": prompts}
        for group in ("model", "lora")
        for option, prompts in itertools.product(axes[group], axes["prompts"])
        if (group, option, prompts) not in wanted
    ]
    content = {"matrix": axes, "exclude": exclude, "output": {"save_latents": True}}
    project.write("conf/experiment/goldens.yaml", yaml.safe_dump(content))


def latents_of(project: Project, row: dict[str, Any]) -> Any:
    return load_file(project.folder / row["latents_path"])["latents"]


@pytest.mark.parametrize(("case", "dtype"), RUNS)
def test_a_preview_of_the_trainer_comes_out_again(rendered: Project, case: str, dtype: str) -> None:
    (row,) = [row for row in rendered.rows("goldens") if (row["prompts"], row["dtype"]) == (case, dtype)]
    theirs = load_file(PARITY / "golden" / f"{dtype}.safetensors")
    golden, latents = theirs[f"{case}.latents"].float(), latents_of(rendered, row)
    # Another processor than the trainer's rounds differently; tests/render says bit for bit where one can.
    assert (latents - golden).abs().mean() / golden.abs().mean() < TOLERANCE[dtype]
    if f"{case}.pixels" in theirs:
        picture = np.asarray(Image.open(rendered.folder / row["image_path"]), float)
        assert np.abs(picture - theirs[f"{case}.pixels"].numpy()).mean() < 2, "levels of 255"


def test_on_a_known_kind_of_processor_bit_for_bit(rendered: Project) -> None:
    known = HASHES.get(canary())
    if known is None:
        pytest.skip("this processor rounds unlike those of the goldens")
    for row in rendered.rows("goldens"):
        picture = np.asarray(Image.open(rendered.folder / row["image_path"]))
        made = [digest(latents_of(rendered, row).numpy()), digest(picture)]
        assert made == known[row["dtype"]][row["prompts"]], row["prompts"]


def digest(values: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]


def test_the_record_says_what_was_asked_and_what_was_done(rendered: Project) -> None:
    rows = {row["prompts"]: row for row in rendered.rows("goldens")}
    odd = rows["t2i_odd_100x75_s4_g4"]
    assert (odd["width_requested"], odd["height_requested"], odd["width"], odd["height"]) == (100, 75, 96, 64)
    assert odd["warnings"] == ["size 100x75 rendered as 96x64: sides are floored to a multiple of 16"]
    assert (odd["seed"], odd["guidance_scale"], odd["schedule"], odd["numerics"]) == (42, 4.0, "aitk", "exact")
    (lora,) = rows["lora_bf16_x0.5"]["loras"]
    assert (lora["network_multiplier"], lora["format"], lora["matched_keys"]) == (0.5, "lora", 44)
    assert len(rows["lora_bf16_x0.5"]["sigmas"]) == 26
    assert odd["threads"] == 1, "Snakemake gives the job one thread"


def test_the_record_says_how_it_was_conditioned(rendered: Project) -> None:
    rows = {row["prompts"]: row for row in rendered.rows("goldens")}
    quantised, dev = rows["q8_lora_s25_g4"], rows["dev_ref1_s25_g4"]
    assert (quantised["lora_merge"], quantised["lora_merge_reason"]) == (
        "live",
        "auto: the base is quantised (qfloat8)",
    )
    assert (quantised["quantize_transformer"], quantised["quantize_text_encoder"]) == ("qfloat8", "qfloat8")
    assert [image["path"].rpartition("/")[2] for image in dev["ctrl_images"]] == ["r_101x77.png"]
    assert (dev["guidance"], dev["prompt"], dev["neg"]) == ("embedded", "", "")
    assert dev["prompt_embeds"].endswith("prompt_embeds.safetensors")
    assert dev["text_encoder_digest"] == "", "a model whose prompts come encoded needs no text encoder"
    assert dev["memory_mode"] == "resident"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = Project(tmp_path_factory.mktemp("parity") / "project")
    write_conf(project, RUNS)
    result = project.snakemake("--config", "experiment=goldens")
    assert result.returncode == 0, result.stderr
    return project

"""Runs in which something fails: manifest and page are there all the same, and the next run does only what is left."""

import shutil

import torch
from PIL import Image
from safetensors.torch import save_file
from tests.workflow.project import DEMO, Project

PROJ = "diffusion_model.double_blocks.0.img_attn.proj"
DIVERGED = "lora_A.weight: holds NaN or infinity; the training run has diverged"


def _write_nan_lora(project: Project) -> None:
    lora = {f"{PROJ}.lora_A.weight": torch.full((4, 160), torch.nan), f"{PROJ}.lora_B.weight": torch.zeros(160, 4)}
    save_file(lora, project.folder / "mine.safetensors")
    project.write("conf/lora/mine.yaml", "loras: [{path: mine.safetensors}]\n")
    project.write(
        "conf/experiment/small.yaml",
        "matrix: {model: [demo], lora: [mine, none], prompts: [dogs], network_multiplier: [0.0, 1.0]}\n"
        "exclude: [{lora: none, network_multiplier: 0.0}]\n",
    )


def test_a_lora_with_nan_in_it_fails_its_own_pictures_only_and_once_cured_is_all_that_is_rendered(
    project: Project,
) -> None:
    _write_nan_lora(project)
    results = project.folder / "results/small"

    failed = project.snakemake()

    assert failed.returncode == 1
    assert "Traceback" not in failed.stdout + failed.stderr
    assert "darkroom: 1 picture failed; results/small/report.html shows which:\n  mine.safetensors" in failed.stderr
    rows = {(row["lora"], row["axes"][0]["value"]): row for row in project.rows()}
    assert {key: row["status"] for key, row in rows.items()} == {
        ("mine", "0.0"): "done",
        ("mine", "1.0"): "failed",
        ("none", "1.0"): "done",
    }
    assert rows["mine", "1.0"]["error"].endswith(DIVERGED)
    assert rows["mine", "1.0"]["image_path"] is None
    assert DIVERGED in (results / "report.html").read_text()

    shutil.copy(DEMO / "demo_lora.safetensors", project.folder / "mine.safetensors")
    cured = project.snakemake("--set-resources", "shard:images=4")  # in a shard, as a cluster's job does it

    assert cured.returncode == 0, cured.stderr
    after = {(row["lora"], row["axes"][0]["value"]): row for row in project.rows()}
    assert {row["status"] for row in after.values()} == {"done"}
    assert list((results / "shards").rglob("*.json")), "what a shard has rendered"
    planned, found = (results / name for name in ("requests/demo/mine/dogs.json", "checkpoints/demo.json"))
    assert planned.stat().st_mtime < found.stat().st_mtime, "Snakemake has no record of it: it goes by the time"
    assert after["none", "1.0"] == rows["none", "1.0"], "the combination that was done has no job"
    assert DIVERGED not in (results / "report.html").read_text()
    settled = project.snakemake()
    assert "Nothing to be done" in settled.stderr + settled.stdout


def test_a_damaged_reference_image_fails_the_combinations_that_show_it_and_what_is_asked_no_more_is_forgotten(
    finished: Project,
) -> None:
    Image.new("RGB", (64, 64), "red").save(finished.folder / "red.png")
    data = (finished.folder / "red.png").read_bytes()
    (finished.folder / "red.png").write_bytes(data[:-20])
    finished.write("conf/prompts/dogs.yaml", "prompts: [{prompt: a dog, width: 64, height: 64, ctrl_img: red.png}]\n")

    failed = finished.snakemake()

    assert failed.returncode == 1
    assert "darkroom: 4 pictures failed" in failed.stderr
    rows = finished.rows()
    assert {row["prompts"] for row in rows if row["status"] == "failed"} == {"dogs"}
    assert {row["prompts"] for row in rows if row["status"] == "done"} == {"cats"}
    assert {row["error"].partition(":")[0] for row in rows if row["status"] == "failed"} == {"red.png"}
    again = finished.darkroom("run", "small")
    assert again.returncode == 1
    assert [line for line in again.stdout.splitlines() if "4 pictures failed" in line] == [
        "4 pictures failed: red.png: cut off: expected 99 bytes at byte 37, got 95; render or copy it again"
    ]

    without = finished.snakemake("--config", "experiment=small", 'set=["matrix.prompts=[cats]"]')

    assert without.returncode == 0, without.stderr
    assert {row["prompts"] for row in finished.rows()} == {"cats"}, "though no picture was rendered"

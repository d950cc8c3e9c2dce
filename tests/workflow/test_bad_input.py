"""What a user reads after a mistake: one clear message, status not 0, no traceback, nothing half-written."""

import shutil

import torch
from safetensors.torch import load_file, save_file
from tests.workflow.project import DEMO, Project


def _message(project: Project, *arguments: str) -> str:
    result = project.snakemake(*arguments)
    assert result.returncode != 0
    output = result.stdout + result.stderr
    assert "Traceback" not in output
    return output


def test_a_dry_run_finds_every_problem_that_needs_no_weights(project: Project) -> None:
    project.write("conf/prompts/cats.yaml", "prompts:\n  - {prompt: a cat, widht: 64}\n  - {prompt: x, width: 9000}\n")
    project.write("conf/lora/lost.yaml", "loras: [{path: lost.safetensors}]\n")
    project.write(
        "conf/experiment/small.yaml",
        "# @package _global_\nmatrix: {model: [demo, demmo], lora: [lost], prompts: [cats]}\n",
    )

    message = _message(project, "-n")

    assert "4 problems:" in message
    assert "conf/prompts/cats.yaml: prompts[0].widht" in message
    assert "prompts[1].width: 9000 is out of range: 64 to 4096" in message
    assert "lost.safetensors: no such file" in message
    assert "demmo" in message
    assert not (project.folder / "results/small").exists(), "a dry run writes nothing"


def test_unknown_config_keys_are_named(project: Project) -> None:
    message = _message(project, "-n", "--config", "experimnt=small")
    assert "--config experimnt: unknown key; expected experiment=NAME" in message


def test_a_results_folder_that_cannot_be_written(project: Project) -> None:
    project.write("results", "a file where the folder should be")
    message = _message(project, "-n")
    assert "results is not a folder that you may write to" in message
    (project.folder / "results").unlink()
    project.write("results/small", "a file where the experiment's folder should be")
    message = _message(project, "-n")
    assert "results/small: cannot be written" in message


PROJ = "diffusion_model.double_blocks.0.img_attn.proj"


def test_a_dry_run_finds_a_lora_for_another_base(project: Project) -> None:
    lora = {f"{PROJ}.lora_A.weight": torch.zeros(4, 4096), f"{PROJ}.lora_B.weight": torch.zeros(4096, 4)}
    save_file(lora, project.folder / "nine.safetensors", {"ss_base_model_version": "flux2_klein_9b"})
    project.write("conf/lora/nine.yaml", "loras: [{path: nine.safetensors}]\n")

    message = _message(project, "-n", "--config", "experiment=small", 'set=["matrix.lora=[nine,none]"]')

    assert "conf/lora/nine.yaml: loras[0].path: on model demo: nine.safetensors: this LoRA is for " in message
    assert "FLUX.2 klein-9B: hidden size 4096, the base has 160" in message


def test_a_lora_for_another_base_fails_its_own_pictures_and_all_others_are_rendered(project: Project) -> None:
    lora = {f"{PROJ}.lora_A.weight": torch.zeros(4, 4096), f"{PROJ}.lora_B.weight": torch.zeros(4096, 4)}
    save_file(lora, project.folder / "nine.safetensors", {"ss_base_model_version": "flux2_klein_9b"})
    project.write("conf/lora/nine.yaml", "loras: [{path: nine.safetensors}]\n")

    overrides = ("--config", "experiment=small", 'set=["matrix.lora=[nine,none]","matrix.prompts=[dogs]"]')
    message = _message(project, *overrides)

    assert "so its pictures fail; all others are rendered" in message
    assert {(row["lora"], row["status"]) for row in project.rows()} == {("nine", "failed"), ("none", "done")}
    log = project.folder / "results/small/logs/plan/demo/nine/dogs.log"
    assert "this LoRA is for FLUX.2 klein-9B" in log.read_text(), "before any text is encoded for it"


def test_a_truncated_checkpoint_is_named(project: Project) -> None:
    shutil.copytree(DEMO / "klein", project.folder / "klein")
    weights = project.folder / "klein/transformer/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    project.write("conf/model/mine.yaml", "family: flux2\ncheckpoint: {repo: klein}\n")

    message = _message(project, "-n", "--config", "experiment=small", 'set=["matrix.model=[mine]"]')

    assert "klein/transformer/diffusion_pytorch_model.safetensors: truncated" in message


def test_a_checkpoint_with_a_missing_weight_is_refused_before_any_picture(project: Project) -> None:
    shutil.copytree(DEMO / "klein", project.folder / "klein")
    file = project.folder / "klein/transformer/diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    weights.pop("proj_out.weight")
    save_file(weights, file)
    project.write("conf/model/mine.yaml", "family: flux2\ncheckpoint: {repo: klein}\n")

    message = _message(project, "--retries", "0", "--config", "experiment=small", 'set=["matrix.model=[mine]"]')

    assert "proj_out.weight" in message
    assert project.stored() == []
    assert {row["status"] for row in project.rows()} == {"failed"}
    assert all("proj_out.weight" in row["error"] for row in project.rows())

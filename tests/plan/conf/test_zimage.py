"""What Z-Image asks of conf/: its training adapter, and what earlier versions of the trainer did."""

import shutil
from pathlib import Path

import pytest
from tests.places import DATA
from tests.plan.weights.model_files import find, refusal

from darkroom.names import Names
from darkroom.plan.conf.schema import CheckpointSource
from darkroom.plan.trials.factors import trials_of
from darkroom.request.request import Request

ZIMAGE = DATA / "parity/zimage"
ADAPTER = ZIMAGE / "adapters/turbo_assistant_bf16.safetensors"
BASE = {part: str(ZIMAGE / "zimage" / part) for part in ("vae", "text_encoder", "tokenizer")}
TURBO = CheckpointSource(transformer=str(ZIMAGE / "turbo/transformer"), **BASE)
_FAMILY = "family: zimage\n"
_ADAPTED = "checkpoint: {repo: a/b, training_adapter: a/b/c.safetensors}\n"
MODEL = "family: zimage\ncheckpoint: {repo: someone/z-image}\nresolution_divisor: 16\n"


def request_of(project, lines: str = "") -> Request:
    project.write("conf/model/m.yaml", MODEL + lines)
    project.write("conf/experiment/e.yaml", "matrix: {model: m, lora: none, prompts: p}\n")
    return project.load().combination(Names("m", "none", "p")).requests[0]


class TestTrainingAdapter:
    def test_it_is_a_part_of_the_base_and_of_its_identity(self, tmp_path: Path) -> None:
        without = find(tmp_path, TURBO, family="zimage")
        named = CheckpointSource(**{**vars(TURBO), "training_adapter": str(ADAPTER)})
        found = find(tmp_path, named, family="zimage")
        assert found.digest == f"{without.digest}+{found['training_adapter'].digest}"
        assert found.text_encoder_digest == without.text_encoder_digest
        assert "training_adapter" in find(tmp_path, named, family="zimage", needs_text=False).components

    def test_a_file_that_is_not_there_is_said_with_its_key(self, tmp_path: Path) -> None:
        gone = CheckpointSource(**{**vars(TURBO), "training_adapter": "/gone/adapter.safetensors"})
        assert refusal(tmp_path, gone, family="zimage") == (
            "m.yaml: checkpoint.training_adapter: /gone/adapter.safetensors: no such file"
        )

    def test_another_bases_is_refused_by_a_dry_run(self, project) -> None:
        shutil.copyfile(DATA / "parity/adapters/lora_bf16.safetensors", "klein.safetensors")
        parts = ", ".join(f"{part}: {path}" for part, path in vars(TURBO).items() if path)
        project.write(
            "conf/model/m.yaml", f"family: zimage\ncheckpoint: {{{parts}, training_adapter: klein.safetensors}}"
        )
        project.write("conf/experiment/e.yaml", "matrix: {model: m, lora: none, prompts: p}\n")
        said = project.error()
        assert said.startswith(
            "conf/model/m.yaml: checkpoint.training_adapter: klein.safetensors: this LoRA is for FLUX.2"
        )

    def test_other_families_have_none(self, project) -> None:
        project.write(
            "conf/model/m.yaml", "family: flux2\ncheckpoint: {repo: a/b, training_adapter: a/b/c.safetensors}"
        )
        assert project.error() == (
            "conf/model/m.yaml: checkpoint.training_adapter: a/b/c.safetensors: has no effect: a model of the family "
            "flux2 has no training_adapter"
        )


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "guidance: embedded",
            "guidance: zimage has no guidance embedded in the transformer: expected cfg, got embedded",
        ),
        (
            "schedule: diffusers",
            "schedule: in zimage the trainer's schedule is diffusers' own: expected aitk or aitk_to_zero",
        ),
        ("distilled: true", "distilled: has no meaning for zimage, whose guidance goes by its scale whatever it was"),
        (
            f"{_ADAPTED}quantize: {{transformer: qfloat8}}",
            "quantize.transformer: qfloat8 beside a training adapter: the trainer takes float8 in place of",
        ),
    ],
)
def test_what_cannot_stand_together(project, lines: str, message: str) -> None:
    model = "family: zimage\n" + ("" if "checkpoint" in lines else "checkpoint: {repo: a/b}\n")
    project.write("conf/model/m.yaml", f"{model}{lines}\n")
    project.write("conf/experiment/e.yaml", "matrix: {model: m, lora: none, prompts: p}\n")
    assert project.error().startswith(f"conf/model/m.yaml: {message}")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "quantize: {transformer: float8}",
            "quantize.transformer: float8 is here for zimage only; expected qfloat8",
        ),
        ("quantize: {embedders: true}", "quantize.embedders: has no meaning for flux2, of which every linear layer is"),
        (
            "guidance_rule: raw",
            "guidance_rule: every version of the trainer reads guidance_scale alike for",
        ),
        (
            "schedule: aitk_to_zero",
            "schedule: in flux2 the trainer's schedule is diffusers' own: expected",
        ),
    ],
)
def test_its_keys_are_not_other_families(project, line: str, message: str) -> None:
    project.write("conf/model/m.yaml", f"family: flux2\ncheckpoint: {{repo: a/b}}\n{line}\n")
    assert project.error().startswith(f"conf/model/m.yaml: {message}")


class TestEarlierVersions:
    def test_guidance_runs_where_the_rule_says(self, project) -> None:
        request = request_of(project, "defaults: {guidance_scale: 1.0, sample_steps: 9, neg: blurry}\n")
        assert [
            request.changed(guidance_rule=rule, guidance_scale=scale).uses_neg
            for rule in ("aitk", "raw", "raw_above_1")
            for scale in (0.0, 1.0, 1.5)
        ] == [False, False, True, False, True, True, False, False, True]

    def test_what_the_trainer_did_then_is_comparable_and_another_picture(self, project) -> None:
        now = request_of(project, "quantize: {transformer: qfloat8}\n")
        then = request_of(
            project,
            "guidance_rule: raw\nschedule: aitk_to_zero\nquantize: {transformer: qfloat8, embedders: true}\n",
        )
        assert then.remarks.not_comparable == now.remarks.not_comparable == ()
        assert then.request_id != now.request_id
        assert (then.sampling.guidance_rule, then.base.quantize_embedders) == ("raw", True)

    def test_explain_tries_them(self, project) -> None:
        names = [trial.factor for trial in trials_of(request_of(project), (), {})]
        assert {"guidance_rule: raw", "guidance_rule: raw_above_1", "schedule: aitk_to_zero"} < set(names)
        assert {"sample_steps: 24", "sample_steps: 26"} < set(names)

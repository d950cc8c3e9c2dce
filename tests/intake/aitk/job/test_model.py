"""Which base model a job's previews are of, as its config names it."""

import shutil
from typing import Any

import pytest
import yaml
from tests.examples.job_folder import (
    job_config,
    write_job,
)
from tests.intake.aitk.job.importing import (
    BUILT_IN,
    ENCODER,
    JOB,
    a_job,
    check_against_requests,
    error,
    imported,
    pictures,
    reasons,
    written,
)

from darkroom.intake.aitk.base_model import Copies


class TestModel:
    @pytest.mark.parametrize(
        ("model", "expected"),
        [
            ({}, {"text_encoder_cast": True}),
            ({"low_vram": True}, {}),
            ({"quantize_te": True}, {"quantize": {"text_encoder": "qfloat8"}}),
            ({"quantize_te": True, "qtype_te": "qint8"}, {"quantize": {"text_encoder": "qint8"}}),
            ({"quantize": True}, {"quantize": {"transformer": "qfloat8", "text_encoder": "qfloat8"}}),
            (
                {"quantize": True, "qtype": "qint8", "quantize_te": False},
                {"quantize": {"transformer": "qint8"}, "text_encoder_cast": True},
            ),
            (
                {"layer_offloading": True},  # the adapter beside the base, though that is not quantised
                {"text_encoder_cast": True, "lora_merge": "live"},
            ),
            ({"arch": "flux2_klein_4b:turbo"}, {"text_encoder_cast": True}),
        ],
    )
    def test_how_it_computes(self, model: dict[str, Any], expected: dict[str, Any]) -> None:
        job = imported(a_job(model=model))
        content = written(job, "model/my_job")
        assert content.pop("checkpoint")["transformer"] == "klein/flux-2-klein-base-4b.safetensors"
        assert content == {"family": "flux2", "imported": True, **expected}
        assert set(reasons(job).values()) == {None}
        check_against_requests(job)

    @pytest.mark.parametrize(
        ("sections", "notes"),
        [
            ({"model": {"model_kwargs": {}, "compile": False, "dtype": "bf16"}, "network": {"conv": 4}}, []),
            (
                {"model": {"te_name_or_path": "a/b", "model_kwargs": {"match_target_res": True}}},
                ["no effect in the trainer's flux2_klein_4b: model.te_name_or_path, model.model_kwargs"],
            ),
            (
                {
                    "model": {"compile": True, "vae_dtype": "fp32"},
                    "network": {"rnak": 4},
                    "sample": {"samples": [{"prompt": "a", "widht": 64}, {"prompt": "b", "widht": 64}], "cfg": 1},
                },
                [
                    "not taken over, and what they did to the previews is not known: model.compile, model.vae_dtype, "
                    "network.rnak, sample.cfg, sample.samples[].widht"
                ],
            ),
        ],
    )
    def test_keys_that_are_passed_over_are_named(self, sections: dict[str, Any], notes: list[str]) -> None:
        assert list(imported(a_job(**sections)).notes) == notes

    @pytest.mark.parametrize(
        ("arch", "key", "counts"),
        [
            ("flux2", "quantize_kwargs", False),
            ("flux", "quantize_kwargs", True),
            ("flux2", "accuracy_recovery_adapter", True),
            ("flex2", "accuracy_recovery_adapter", False),
        ],
    )
    def test_what_only_some_architectures_look_at(self, arch: str, key: str, counts: bool) -> None:
        value = {"exclude": ["*"]} if key == "quantize_kwargs" else "a/b/c.safetensors"
        config = job_config(model={"arch": arch, "name_or_path": "a/b", "quantize": True, key: value})
        write_job(JOB, config, pictures(0))
        job = imported(copies=Copies())
        assert (job.previews[0].reason is not None) == counts
        assert (job.notes == ()) == counts

    def test_prompts_of_several_strengths_are_rendered_live(self) -> None:
        job = imported(a_job(sample={"samples": [{"prompt": "a", "network_multiplier": "0.5"}, {"prompt": "b"}]}))
        assert "lora_merge" not in written(job, "model/my_job")
        assert {row.then["lora_merge"] for row in job.previews if row.step} == {"live"}
        check_against_requests(job)

    def test_so_they_are_when_the_other_strength_was_left_out(self) -> None:
        samples = [{"prompt": "a --m 0.5 --s 200"}, {"prompt": "b"}]
        job = imported(a_job(sample={"samples": samples}))
        assert written(job, "model/my_job")["lora_merge"] == "live"
        check_against_requests(job)

    def test_float32(self) -> None:
        assert written(imported(a_job(train={"dtype": "fp32"})), "model/my_job")["dtype"] == "float32"

    @pytest.mark.parametrize(
        ("arch", "family", "encoder", "rest"),
        [
            (
                "flux2",
                "flux2",
                "mistralai/Mistral-Small-3.1-24B-Instruct-2503",
                {
                    "transformer": "flux2-dev.safetensors",
                    "vae": "black-forest-labs/FLUX.2-dev/ae.safetensors",
                    "guidance": "embedded",
                    "text_encoder_cast": True,
                },
            ),
            (
                "flux2_klein_9b",
                "flux2",
                "Qwen/Qwen3-8B",
                {
                    "transformer": "flux-2-klein-base-9b.safetensors",
                    "vae": "ai-toolkit/flux2_vae/ae.safetensors",
                    "text_encoder_cast": True,
                },
            ),
            ("flux", "flux", None, {"guidance": "embedded"}),
            ("flex1", "flux", None, {"guidance": "embedded"}),
            ("flex2", "flex2", None, {"guidance": "embedded"}),
        ],
    )
    def test_as_shipped(self, arch: str, family: str, encoder: str | None, rest: dict[str, Any]) -> None:
        shipped = yaml.safe_load((BUILT_IN / f"model/{arch}.yaml").read_text())["checkpoint"]["repo"]
        write_job(JOB, job_config(model={"arch": arch, "name_or_path": shipped}), pictures(0))
        job = imported(copies=Copies())
        content = written(job, "model/my_job")
        checkpoint = content.pop("checkpoint")
        assert checkpoint.pop("repo") == shipped
        assert checkpoint.pop("text_encoder", None) == encoder
        assert checkpoint | content == {"family": family, "imported": True, **rest}
        check_against_requests(job)

    def test_flux_has_both_encoders_quantised_by_qtype_and_its_own_vae(self) -> None:
        model = {
            "arch": "flux",
            "name_or_path": "someone/finetune",
            "vae_path": "someone/vae",
            "quantize": True,
            "qtype": "qint8",
            "qtype_te": "qfloat8",
        }
        write_job(JOB, job_config(model=model), pictures(0))
        content = written(imported(copies=Copies()), "model/my_job")
        assert content["quantize"] == {"transformer": "qint8", "text_encoder": "qint8"}
        assert content["checkpoint"] == {"repo": "someone/finetune", "vae": "someone/vae"}

    def test_is_flux_of_old_jobs(self) -> None:
        model = {"arch": None, "is_flux": True, "attn_masking": True, "name_or_path": "a/b"}
        write_job(JOB, job_config(model=model), pictures(0))
        content = written(imported(copies=Copies()), "model/my_job")
        assert (content["family"], content["attn_masking"]) == ("flux", True)

    @pytest.mark.parametrize(("sampler", "arch", "counts"), [("ddpm", "flux", True), ("ddpm", "flux2", False)])
    def test_the_sampler_counts_for_flux_alone(self, sampler: str, arch: str, counts: bool) -> None:
        config = job_config(model={"arch": arch, "name_or_path": "a/b"}, sample={"sampler": sampler})
        write_job(JOB, config, pictures(0))
        reason = f"sampler {sampler}: the trainer samples {arch} as a flow model with flowmatch only"
        assert set(reasons(imported(copies=Copies())).values()) == {reason if counts else None}

    def test_copies_typed_on_the_command_line(self) -> None:
        a_job(model={"name_or_path": "/workspace/models/klein.safetensors"})
        assert (
            "config.yaml: config.process[0].model.name_or_path: /workspace/models/klein.safetensors: is not on this "
            "machine, and no hub id; --checkpoint PATH names a copy"
        ) in error()
        file = "klein/flux-2-klein-base-4b.safetensors"
        job = imported(copies=Copies(checkpoint=file, text_encoder=ENCODER, vae="klein/ae.safetensors"))
        assert written(job, "model/my_job")["checkpoint"] == {
            "repo": "klein",
            "transformer": file,
            "vae": "klein/ae.safetensors",
            "text_encoder": ENCODER,
        }
        check_against_requests(job)
        assert "--vae gone.safetensors: no such file or folder" in error(
            copies=Copies(checkpoint=file, text_encoder=ENCODER, vae="gone.safetensors")
        )

    def test_a_vae_of_the_hub_by_file_or_by_repository(self) -> None:
        config = job_config(model={"name_or_path": "klein/flux-2-klein-base-4b.safetensors", "vae_path": "a/b"})
        write_job(JOB, config, pictures(0))
        assert written(imported(), "model/my_job")["checkpoint"]["vae"] == "a/b/ae.safetensors"
        shutil.rmtree(JOB)
        config = job_config(model={"name_or_path": "a/klein", "vae_path": "a/b/small.safetensors"})
        write_job(JOB, config, pictures(0))
        assert written(imported(), "model/my_job")["checkpoint"]["vae"] == "a/b/small.safetensors"

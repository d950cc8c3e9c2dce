"""Which previews cannot be reproduced, and for what reason."""

from pathlib import Path
from typing import Any

import pytest
from tests.examples.job_folder import (
    ADAPTER,
    MS,
    job_config,
    touch,
    write_checkpoint,
    write_job,
    write_sample,
)
from tests.intake.aitk.job.importing import (
    GREY,
    JOB,
    SMALL,
    a_job,
    check_against_requests,
    imported,
    pictures,
    reasons,
    rendered,
    text_of,
)


class TestReasons:
    def test_no_checkpoint_kept(self) -> None:
        job = imported(a_job(kept=(500,)))
        assert reasons(job)["250", 0] == "no checkpoint kept"
        assert rendered(job) == ["none", "my_job_000000500"]
        assert ["loras" in row.then for row in job.previews] == [True, True, False, False, True, True]
        check_against_requests(job)

    def test_an_older_checkpoint_without_previews_is_not_rendered(self) -> None:
        job = imported(a_job(steps=(0, 500)))
        assert "# Without previews, and not rendered: my_job_000000250\n" in text_of(job, "experiment/my_job")
        assert rendered(job) == ["none", "my_job_000000500"]

    def test_a_checkpoint_that_is_newer_than_all_previews_waits_for_its_own(self) -> None:
        job = imported(a_job(steps=(0, 250)))
        assert {row.step for row in job.previews} == {0, 250}
        assert rendered(job) == ["none", "my_job_000000250", "my_job_000000500"]

    def test_a_set_that_was_cut_short(self) -> None:
        write_job(JOB, job_config(), {**pictures(0), (250, 0): GREY}, {250: ADAPTER})
        job = imported()
        assert reasons(job)["250", 1] == "the trainer left no picture of it at step 250"
        assert check_against_requests(job) == 4

    def test_the_configuration_was_written_later(self) -> None:
        touch(a_job() / "config.yaml", MS + 2_000_000)
        late = "config.yaml was written after it, and may say something else by now (--config-unchanged: it does not)"
        assert [reasons(imported())[lora, 0] for lora in ("none", "250", "500")] == [late, None, None]
        assert set(reasons(imported(config_unchanged=True)).values()) == {None}

    def test_a_step_passed_again_after_a_resume(self) -> None:
        folder = a_job(steps=(250,))
        write_sample(folder, 250, 0, GREY, ms=MS + 9_000_000)
        touch(folder / "my_job_000000250.safetensors", MS + 8_000_000)
        job = imported()
        again = "the checkpoint kept was written after it: the training was resumed, and passed this step again"
        assert [(row.index, row.reason) for row in job.previews] == [(0, again), (0, None), (1, again)]

    @pytest.mark.parametrize(("step", "reason"), [(500, None), (499, "the checkpoint's header says step 500")])
    def test_another_step_in_the_header(self, step: int, reason: str | None) -> None:
        folder = write_job(JOB, job_config(), pictures(step))
        write_checkpoint(folder / f"my_job_{step:09d}.safetensors", ADAPTER, 500)
        assert reasons(imported())[f"{step}", 0] == reason

    def test_the_last_file_is_of_the_step_in_its_header_or_else_of_train_steps(self) -> None:
        folder = write_job(JOB, job_config(), pictures(400, 500))
        write_checkpoint(folder / "my_job.safetensors", ADAPTER, 400)
        assert reasons(imported()) == {
            ("400", 0): None,
            ("400", 1): None,
            ("500", 0): "no checkpoint kept",
            ("500", 1): "no checkpoint kept",
        }
        write_checkpoint(folder / "my_job.safetensors", ADAPTER, None)
        assert reasons(imported())["my_job_final", 0] is None
        assert rendered(imported()) == ["my_job_final"]

    def test_of_two_files_for_a_step_the_one_with_the_step_in_its_name(self) -> None:
        folder = write_job(Path("output/run_01"), job_config(name="run_01"), pictures(500))
        for name in ("run_01", "run_01_000000500"):
            write_checkpoint(folder / f"{name}.safetensors", ADAPTER, 500)
        job = imported(folder)
        path = "output/run_01/run_01_000000500.safetensors"
        assert job.previews[0].then["loras"][0]["path"] == path
        assert rendered(job) == ["run_01_000000500"]
        assert job.notes == (
            "output/run_01/run_01.safetensors: left out: run_01_000000500.safetensors is of the same step 500",
        )

    @pytest.mark.parametrize("step", [-1, 10**12, 10**299])
    def test_a_step_that_is_none(self, step: int) -> None:
        folder = write_job(JOB, job_config(train={"steps": step}), pictures(500))
        write_checkpoint(folder / "my_job.safetensors", ADAPTER, step)
        assert imported().notes == (
            "output/my_job/my_job.safetensors: of which step it is, neither its header nor train.steps says",
        )

    def test_a_name_with_lora_after_it(self) -> None:
        folder = write_job(JOB, job_config(), pictures(250))
        write_checkpoint(folder / "my_job_LoRA_000000250.safetensors", ADAPTER, 250)
        assert reasons(imported())["250", 0] is None

    def test_another_size(self) -> None:
        write_job(JOB, job_config(), {(0, 0): SMALL, (0, 1): GREY})
        assert reasons(imported()) == {("none", 0): "size 48x32, where the job asks for 64x64", ("none", 1): None}

    def test_more_pictures_than_prompts(self) -> None:
        write_job(JOB, job_config(), pictures(0, count=3))
        assert reasons(imported())["none", 2] == "the job has 2 prompts now, and this is of prompt 2"

    def test_a_drawn_seed(self) -> None:
        job = imported(a_job(sample={"seed": -1, "walk_seed": False, "samples": [{"prompt": "a"}, {"prompt": "b"}]}))
        assert reasons(job)["none", 0] == "seed -1: it was drawn at random, and nobody wrote it down"
        assert "seed" not in job.previews[0].then
        check_against_requests(job)

    def test_a_prompt_that_conf_cannot_hold_is_left_out_and_its_pictures_listed(self) -> None:
        samples = [{"prompt": "a", "sample_steps": 200}, {"prompt": "b"}]
        job = imported(a_job(sample={"samples": samples}))
        why = "sample_steps: 200 is out of range: 1 to 150"
        assert reasons(job)["250", -1] == f"prompt 0 is left out of the prompt set: {why}"
        assert reasons(job)["250", 0] is None
        assert f"# Left out: prompt 0 of the job: {why}\n" in text_of(job, "prompts/my_job")
        assert check_against_requests(job) == 3

    @pytest.mark.parametrize(
        ("sections", "reason"),
        [
            ({"model": {"lora_path": "x.safetensors"}}, "model.lora_path: the previews had another LoRA in them"),
            ({"network": {"type": "dora"}}, "network.type dora cannot be applied here"),
            ({"network": None}, "the job has no section network: it trained the base model itself"),
            ({"train": {"dtype": "fp16"}}, "train.dtype fp16: models are in bfloat16 or float32 here"),
            (
                {"model": {"quantize": True, "qtype": "uint4", "quantize_te": False}},
                "the trainer had its transformer in uint4; there is qfloat8, qint8, qint4 here",
            ),
            (
                {"model": {"quantize": True, "qtype": "qint4|ara.safetensors"}},
                "the trainer used an accuracy recovery adapter",
            ),
            (
                {"model": {"quantize": True, "layer_offloading": True, "quantize_te": False}},
                "the trainer had its transformer in float8, which layer_offloading makes of qfloat8; "
                "there is qfloat8, qint8, qint4 here",
            ),
            ({"embedding": {"trigger": "x"}}, "the job has a section embedding, which its previews depend on"),
        ],
    )
    def test_what_goes_for_every_preview(self, sections: dict[str, Any], reason: str) -> None:
        job = imported(a_job(**sections))
        assert set(reasons(job).values()) == {reason}
        assert f"# Not as trained: {reason}\n" in text_of(job, "model/my_job")
        check_against_requests(job)

    def test_training_that_began_from_another_lora(self) -> None:
        found = reasons(imported(a_job(network={"pretrained_lora_path": "x.safetensors"})))
        assert found["none", 0] == (
            "network.pretrained_lora_path: the training began from another LoRA, not from the base model"
        )
        assert found["250", 0] is None

    @pytest.mark.parametrize(
        ("metadata", "content", "reason"),
        [
            (
                {"ss_base_model_version": "flux2"},
                None,
                "output/my_job/my_job_000000250.safetensors: is for another base: ",
            ),
            ({}, b"PK\x03\x04", "output/my_job/my_job_000000250.safetensors: not a .safetensors file: it is a PyTorch"),
            ({}, b"", "output/my_job/my_job_000000250.safetensors: not a .safetensors file"),
        ],
    )
    def test_a_file_that_cannot_be_applied_is_not_rendered(
        self, metadata: dict[str, str], content: bytes | None, reason: str
    ) -> None:
        file = a_job() / "my_job_000000250.safetensors"
        write_checkpoint(file, ADAPTER, 250, **metadata)
        if content is not None:
            file.write_bytes(content)
        job = imported()
        assert str(reasons(job)["250", 0]).startswith(reason)
        assert rendered(job) == ["none", "my_job_000000500"]
        assert "# Cannot be applied, and is not rendered: " in text_of(job, "experiment/my_job")
        check_against_requests(job)

    def test_a_picture_that_is_no_picture_has_no_reason(self) -> None:
        folder = a_job(steps=(0,))
        (folder / f"samples/{MS}__000000000_0.jpg").write_bytes(b"\xff\xd8\xff")
        row = imported().previews[0]
        assert (row.reason, row.width, row.sha256 is None) == (None, None, False)

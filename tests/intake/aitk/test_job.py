"""Whole ai-toolkit jobs: the files that importing writes, and what each stored picture is a preview of."""

import base64
import errno
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import yaml
from tests.examples.job_folder import (
    ADAPTER,
    DATA,
    KLEIN,
    MS,
    job_config,
    touch,
    write_checkpoint,
    write_job,
    write_sample,
)
from tests.places import REPOSITORY

from darkroom.errors import DarkroomError
from darkroom.files.columns import columns_of
from darkroom.intake.aitk.base_model import Copies
from darkroom.intake.aitk.job import plan_job
from darkroom.intake.imported_job import ImportedJob
from darkroom.intake.options import ImportOptions
from darkroom.plan.conf.owned_files import Writing, conf_file
from darkroom.plan.load import load_experiment
from darkroom.previews import Preview, previews_file, read_previews, write_previews
from darkroom.record.rows import Record
from darkroom.request.picture_key import PictureKey

BUILT_IN = REPOSITORY / "conf"
JOB = Path("output/my_job")
GREY = np.full((64, 64, 3), 128, np.uint8)
ENCODER = "qwen3"
COPIES = Copies(text_encoder=ENCODER)
SMALL = np.full((32, 48, 3), 128, np.uint8)


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder with the base model that jobs name as `klein`."""
    monkeypatch.chdir(tmp_path)
    Path("klein").symlink_to(KLEIN)
    Path(ENCODER).symlink_to(KLEIN / "qwen3")


def pictures(*steps: int, count: int = 2) -> dict[tuple[int, int], Any]:
    return {(step, index): GREY for step in steps for index in range(count)}


def a_job(steps: tuple[int, ...] = (0, 250, 500), kept: tuple[int, ...] = (250, 500), **sections: Any) -> Path:
    return write_job(JOB, job_config(**sections), pictures(*steps), dict.fromkeys(kept, ADAPTER), final=500)


def imported(
    path: Path = JOB,
    copies: Copies = COPIES,
    config_unchanged: bool = False,
    name: str | None = None,
    roots: tuple[Path, ...] = (KLEIN,),
) -> ImportedJob:
    return plan_job(path, ImportOptions(name=name, roots=roots), copies=copies, config_unchanged=config_unchanged)


def written(job: ImportedJob, path: str) -> Any:
    return yaml.safe_load(text_of(job, path))


def text_of(job: ImportedJob, path: str) -> str:
    return next(file.text for file in job.files if str(file.path) == f"conf/{path}.yaml")


def error(path: Path = JOB, **changes: Any) -> str:
    with pytest.raises(DarkroomError) as caught:
        imported(path, **changes)
    return str(caught.value)


def reasons(job: ImportedJob) -> dict[tuple[str, int], str | None]:
    """By LoRA and index."""
    return {(row.lora.removeprefix("my_job_000000"), row.index): row.reason for row in job.previews}


def check_against_requests(job: ImportedJob, conf: tuple[Path, ...] = (Path("conf"), BUILT_IN)) -> int:
    """Every request has a row; of those that can be reproduced, each fact of the trainer is one of the request."""
    job.write(Writing())
    experiment = load_experiment(job.name, conf, [])
    rows: dict[object, Preview] = {row.key: row for row in job.previews}
    for combination in experiment.combinations:
        for request in combination.requests:
            values = request.row()
            row = rows[PictureKey.of(request.changed(axes=()))]
            if row.reason is None:
                assert request.remarks.not_comparable == ()
                assert facts(row.then) == facts({key: values[key] for key in row.then})
    return experiment.images


def rendered(job: ImportedJob) -> list[str]:
    """The values of the axis lora that the job's experiment renders."""
    job.write(Writing())
    combinations = load_experiment(job.name, [Path("conf"), BUILT_IN], []).combinations
    return list(dict.fromkeys(combination.names.lora for combination in combinations))


def facts(then: Mapping[str, Any]) -> dict[str, Any]:
    """Without digests, which requests have later than here, and without the steps that headers say."""
    known = ("path", "network_multiplier")
    bare = {
        key: [{name: value for name, value in each.items() if name in known} for each in then[key]]
        for key in ("loras", "ctrl_images")
    }
    return {**then, **bare}


class TestWholeJob:
    def test_every_picture_is_a_preview_of_a_request(self) -> None:
        job = imported(a_job())
        assert set(reasons(job).values()) == {None}
        assert [(row.lora, row.index, row.step) for row in job.previews] == [
            ("none", 0, 0),
            ("none", 1, 0),
            ("my_job_000000250", 0, 250),
            ("my_job_000000250", 1, 250),
            ("my_job_000000500", 0, 500),
            ("my_job_000000500", 1, 500),
        ]
        assert check_against_requests(job) == 6
        row = job.previews[0]
        assert row.path == f"output/my_job/samples/{MS}__000000000_0.jpg"
        assert (row.width, row.height, row.origin, row.made_at) == (64, 64, "ai-toolkit", "2025-06-15T15:06:40+00:00")
        assert row.then.keys() <= columns_of(Record).keys()

    def test_the_files_are_short_and_for_people(self) -> None:
        job = imported(a_job())
        texts = [f"{file.path}\n{file.text.partition(chr(10))[2]}" for file in (*job.files, *job.written_once)]
        assert texts == [
            """conf/model/my_job.yaml
family: flux2
checkpoint:
  repo: klein
  transformer: klein/flux-2-klein-base-4b.safetensors
  vae: klein/ae.safetensors
  text_encoder: qwen3
imported: true
text_encoder_cast: true
""",
            """conf/lora/my_job.yaml
trigger_word: sks
folder: output/my_job
pattern: "my_job*"
""",
            """conf/prompts/my_job.yaml
trigger_word: sks
defaults: {width: 64, height: 64, sample_steps: 4, guidance_scale: 4.0, neg: ""}
prompts:
  - {prompt: "[trigger] a photo of a person", seed: 42}
  - {prompt: "a cat", seed: 7}
""",
            """conf/experiment/my_job.yaml
# darkroom regress my_job
matrix:
  model: [my_job]
  lora: [none, my_job]
  prompts: [my_job]
output: {format: png}
""",
            """conf/experiment/my_job_pick.yaml
# darkroom run my_job_pick
# Written once: no import changes it, or its prompts
matrix:
  model: my_job
  lora: [none, my_job]
  prompts: my_job_pick
  network_multiplier: [0.6, 0.8, 1.0]
  seed: [42, 43]
exclude:
  - {lora: none, network_multiplier: 0.6}
  - {lora: none, network_multiplier: 0.8}
output: {format: png}
""",
            """conf/prompts/my_job_pick.yaml
trigger_word: sks
defaults: {width: 64, height: 64, sample_steps: 4, guidance_scale: 4.0, neg: ""}
prompts:
  - {prompt: "[trigger] a photo of a person"}
  - {prompt: "a cat"}
""",
        ]
        assert job.files[0].text.startswith("# Imported by darkroom from output/my_job --text-encoder qwen3; yours")

    def test_twice_changes_nothing(self) -> None:
        imported(a_job()).write(Writing())
        files = [path for path in Path().rglob("*") if path.is_file()]
        times = {path: path.stat().st_mtime_ns for path in files}
        said = imported().write(Writing())
        assert {path: path.stat().st_mtime_ns for path in Path().rglob("*") if path.is_file()} == times
        assert sum(line.endswith(": as it is") for line in said) == 5
        assert sum(line.endswith(": is yours, and stays as it is") for line in said) == 2

    def test_a_dry_run_writes_nothing_and_shows_the_files(self) -> None:
        said = imported(a_job()).write(Writing(dry_run=True))
        assert "conf/model/my_job.yaml: would be written" in said
        assert "  lora: [none, my_job]" in said
        assert "conf/experiment/my_job_pick.yaml:" in said
        assert not Path("conf").exists()
        assert not Path("previews").exists()

    def test_an_edited_file_is_kept_unless_forced(self) -> None:
        job = imported(a_job())
        job.write(Writing())
        Path("conf/lora/my_job.yaml").write_text("loras: []\n")
        with pytest.raises(DarkroomError, match=r"conf/lora/my_job\.yaml: edited"):
            job.write(Writing())
        assert "conf/lora/my_job.yaml: overwritten" in job.write(Writing(force=True))

    def test_after_more_training_options_and_rows_are_added(self) -> None:
        imported(a_job((0, 250), (250,))).write(Writing())
        accepted = replace(read_previews(previews_file("my_job"))[0], path="p.png", accepted_by="me")
        write_previews(previews_file("my_job"), "my_job", [accepted])
        write_checkpoint(JOB / "my_job_000000500.safetensors", ADAPTER, 500)
        write_sample(JOB, 500, 0, GREY, ms=MS + 20_000)
        job = imported()
        assert accepted in job.previews
        assert [(row.lora, row.index) for row in job.previews].count(("none", 0)) == 1
        assert rendered(job) == ["none", "my_job_000000250", "my_job_000000500"]
        assert "conf/lora/my_job.yaml: as it is" in job.write(Writing())
        assert read_previews(previews_file("my_job")) == job.previews

    def test_the_summary_counts_what_cannot_be_reproduced(self) -> None:
        said = imported(a_job(kept=(500,))).write(Writing())
        assert said[:3] == [
            "ai-toolkit job my_job (flux2_klein_4b) in output/my_job, trained by ai-toolkit 0.12.26",
            "6 previews: 4 reproducible, 2 not",
            f"  not reproducible: 2: no checkpoint kept: {MS + 2_500_000}__000000250_0.jpg, "
            f"{MS + 2_500_100}__000000250_1.jpg",
        ]
        assert said[-2:] == ["darkroom regress my_job", "darkroom run my_job_pick"]


class TestPick:
    def test_it_has_every_checkpoint_at_every_strength_and_warns_of_nothing(self) -> None:
        imported(a_job()).write(Writing())
        combinations = load_experiment("my_job_pick", [Path("conf"), BUILT_IN], []).combinations
        counts = {combination.names.lora: len(combination.requests) for combination in combinations}
        assert counts == {"none": 4, "my_job_000000250": 12, "my_job_000000500": 12}
        assert {request.remarks.warnings for each in combinations for request in each.requests} == {()}

    def test_it_is_never_written_again(self) -> None:
        job = imported(a_job())
        job.write(Writing())
        pick = Path("conf/experiment/my_job_pick.yaml")
        pick.write_text("matrix: {}\n")
        Path("conf/prompts/my_job_pick.yaml").unlink()
        job.write(Writing(force=True))
        assert pick.read_text() == "matrix: {}\n"
        assert not Path("conf/prompts/my_job_pick.yaml").exists()

    def test_a_new_checkpoint_appears_in_both_experiments_without_an_import(self) -> None:
        job = imported(a_job())
        job.write(Writing())
        write_checkpoint(JOB / "my_job_000000750.safetensors", ADAPTER, 750)
        for name in ("my_job", "my_job_pick"):
            combinations = load_experiment(name, [Path("conf"), BUILT_IN], []).combinations
            assert combinations[-1].names.lora == "my_job_000000750"

    def test_there_is_none_without_a_checkpoint(self) -> None:
        job = imported(a_job(kept=()))
        assert job.written_once == ()
        assert job.write(Writing())[-1] == "darkroom regress my_job"

    def test_what_is_no_checkpoint_of_the_job_is_in_none_of_them(self) -> None:
        folder = a_job()
        write_checkpoint(folder / "my_job_000000300.safetensors", ADAPTER, 300, ss_base_model_version="flux2")
        imported().write(Writing())
        for name in ("my_job", "my_job_pick"):
            loras = {each.names.lora for each in load_experiment(name, [Path("conf"), BUILT_IN], []).combinations}
            assert loras == {"none", "my_job_000000250", "my_job_000000500"}


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


class TestFirstSample:
    SECTION: ClassVar = {"sampler": "flowmatch", "width": 64, "height": 64, "neg": "", "samples": [{"prompt": "first"}]}

    def test_it_is_a_prompt_set_of_its_own_for_the_base_model(self) -> None:
        folder = write_job(JOB, job_config(first_sample=self.SECTION), pictures(250), {250: ADAPTER})
        write_sample(folder, 0, 0, GREY, ms=MS + 1)
        for index in (0, 1):
            write_sample(folder, 0, index, GREY, ms=MS + 2 + index)
        job = imported()
        assert [(row.prompts, row.lora, row.index, row.reason) for row in job.previews] == [
            ("my_job", "none", 0, None),
            ("my_job", "none", 1, None),
            ("my_job_first", "none", 0, None),
            ("my_job", "my_job_000000250", 0, None),
            ("my_job", "my_job_000000250", 1, None),
        ]
        assert written(job, "experiment/my_job")["exclude"] == [{"lora": "my_job", "prompts": "my_job_first"}]
        assert check_against_requests(job) == 5

    def test_alone_when_the_baseline_is_skipped(self) -> None:
        config = job_config(first_sample=self.SECTION, train={"skip_first_sample": True})
        folder = write_job(JOB, config, pictures(250), {250: ADAPTER})
        write_sample(folder, 0, 0, GREY, ms=MS + 1)
        job = imported()
        assert [(row.prompts, row.lora) for row in job.previews][:1] == [("my_job_first", "none")]
        assert {"lora": "none", "prompts": "my_job"} in written(job, "experiment/my_job")["exclude"]
        assert check_against_requests(job) == 3

    def test_a_lost_picture_that_leaves_open_which_set_is_which(self) -> None:
        section = {**self.SECTION, "samples": [{"prompt": "first"}, {"prompt": "second"}]}
        folder = write_job(JOB, job_config(first_sample=section), pictures(250), {250: ADAPTER})
        for ms, index in enumerate((0, 0, 1)):
            write_sample(folder, 0, index, GREY, ms=MS + ms)
        job = imported()
        why = "pictures of step 0 are missing: whether first_sample or sample made it, the others do not tell"
        assert [row.reason for row in job.previews if row.lora == "none" and row.path] == [why] * 3
        assert reasons(job)["250", 0] is None

    def test_its_prompts_are_rendered_without_loras_also_if_those_of_sample_are_all_left_out(self) -> None:
        sample = {"samples": [{"prompt": "a", "sample_steps": 200}]}
        config = job_config(first_sample=self.SECTION, sample=sample)
        folder = write_job(JOB, config, {}, {250: ADAPTER})
        matrix = {"model": ["my_job"], "lora": ["none"], "prompts": ["my_job_first"]}
        assert written(imported(), "experiment/my_job")["matrix"] == matrix
        write_sample(folder, 250, 0, GREY, ms=MS)
        assert written(imported(), "experiment/my_job")["matrix"] == matrix

    def test_its_options_are_stale_when_the_section_is_gone(self) -> None:
        write_job(JOB, job_config(first_sample=self.SECTION), pictures(0))
        imported().write(Writing())
        shutil.rmtree(JOB)
        write_job(JOB, job_config(), pictures(0))
        said = "conf/prompts/my_job_first.yaml: is of an earlier import; the job has no prompts of first_sample now"
        assert imported().notes == (said,)

    def test_texts_encoded_beforehand_are_those_of_sample(self) -> None:
        config = job_config(first_sample=self.SECTION, train={"cache_text_embeddings": True})
        write_job(JOB, config, pictures(0))
        assert written(imported(), "prompts/my_job_first")["prompts"][0]["prompt"] == "[trigger] a photo of a person"


class TestControlImages:
    IMAGE = DATA / "references/r_70x133.png"

    def test_it_is_found_in_a_folder_above_the_job(self) -> None:
        Path("output/data").mkdir(parents=True)
        shutil.copy(self.IMAGE, "output/data/a.png")
        samples = [{"prompt": "a", "ctrl_img": "data/a.png", "ctrl_img_2": "output/data/a.png"}]
        job = imported(a_job(steps=(0,), kept=(), sample={"samples": samples}))
        (entry,) = written(job, "prompts/my_job")["prompts"]
        assert entry == {"prompt": "a", "seed": 42, "ctrl_img": "output/data/a.png", "ctrl_img_2": "output/data/a.png"}
        assert len(job.previews[0].then["ctrl_images"]) == 2
        check_against_requests(job)

    def test_ctrl_img_1_stands_for_ctrl_img(self) -> None:
        shutil.copy(self.IMAGE, "a.png")
        job = imported(a_job(steps=(0,), sample={"samples": [{"prompt": "a", "ctrl_img_1": "a.png"}]}))
        assert written(job, "prompts/my_job")["prompts"][0]["ctrl_img"] == "a.png"

    def test_a_missing_one_leaves_its_prompt_out(self) -> None:
        samples = [{"prompt": "a", "ctrl_img": "/home/trainer/a.png"}, {"prompt": "b"}]
        job = imported(a_job(sample={"samples": samples}))
        assert reasons(job)["none", -1] == (
            "prompt 0 is left out of the prompt set: control image /home/trainer/a.png is missing; "
            "--root FOLDER names one below which its name is found"
        )

    def test_flex2_has_one_and_its_slot(self) -> None:
        shutil.copy(DATA / "flux1/references/c_64x64.png", "c.png")
        config = job_config(
            model={"arch": "flex2", "name_or_path": "ostris/Flex.2-preview"},
            sample={"samples": [{"prompt": "a", "ctrl_img": "c.png", "ctrl_idx": 1, "ctrl_img_2": "c.png"}]},
        )
        write_job(JOB, config, pictures(0, count=1))
        job = imported(copies=Copies())
        entry = written(job, "prompts/my_job")["prompts"][0]
        assert entry == {"prompt": "a", "seed": 42, "ctrl_img": "c.png", "ctrl_idx": 1}
        assert [note.partition(": ")[2] for note in job.notes] == [
            "config.process[0].sample: prompt 0: ctrl_img_2 has no effect in the trainer's flex2"
        ]
        assert check_against_requests(job) == 1


class TestPlaces:
    def test_a_configuration_alone_gives_files_and_no_previews(self) -> None:
        a_job()
        shutil.copy(JOB / "config.yaml", "mine.yaml")
        job = imported(Path("mine.yaml"))
        assert job.previews == ()
        experiment = text_of(job, "experiment/my_job")
        assert "# darkroom run my_job\n" in experiment
        assert "lora: [none, my_job]" in experiment
        assert not any("previews.parquet" in line for line in job.write(Writing()))

    def test_without_its_training_folder_it_has_the_base_model_only(self) -> None:
        Path("mine.yaml").write_text(yaml.safe_dump(job_config(training_folder="/elsewhere")))
        job = imported(Path("mine.yaml"))
        assert rendered(job) == ["none"]
        assert any("its checkpoints are not looked for" in note for note in job.notes)

    def test_the_interfaces_configuration_where_there_is_no_other(self) -> None:
        folder = a_job(steps=(0,))
        (folder / "config.yaml").rename(folder / "old")
        (folder / ".job_config.json").write_text(json.dumps(job_config()))
        touch(folder / ".job_config.json", MS - 1)
        assert set(reasons(imported()).values()) == {None}

    def test_name_in_a_raw_configuration(self) -> None:
        config = job_config(sample={"samples": [{"prompt": "[name] at home"}]}, trigger_word=None)
        Path("mine.yaml").write_text(yaml.safe_dump(config))
        job = imported(Path("mine.yaml"))
        assert written(job, "prompts/my_job")["prompts"][0]["prompt"] == "my_job at home"

    def test_variables_of_the_environment_are_named(self) -> None:
        config = job_config(training_folder="${HOME}/output", sample={"samples": [{"prompt": "costs ${PRICE}"}]})
        Path("mine.yaml").write_text(yaml.safe_dump(config))
        job = imported(Path("mine.yaml"))
        assert "sample.samples[0].prompt: ${PRICE} is not expanded" in job.notes
        job.write(Writing())
        (combination,) = load_experiment("my_job", [Path("conf"), BUILT_IN], []).combinations
        assert combination.requests[0].text.prompt == "costs ${PRICE}"

    def test_a_name_that_no_option_can_have(self) -> None:
        write_job(Path("output/x"), job_config(name="my job: é"), pictures(0))
        assert imported(Path("output/x")).name == "my_job"
        assert imported(Path("output/x"), name="other").name == "other"

    def test_a_name_of_darkrooms_own(self) -> None:
        a_job()
        said = error(name="flux2")
        assert said == "conf/model/flux2.yaml: Darkroom has files of that name itself; choose another with --name"

    @pytest.mark.parametrize("key", ["name_or_path", "vae_path"])
    def test_a_path_outside_the_roots_needs_to_be_asked_for(self, key: str, tmp_path_factory: Any) -> None:
        outside = tmp_path_factory.mktemp("outside")
        shutil.copytree(KLEIN, outside / "klein")
        Path("klein").unlink()
        place = str(outside / "klein" / ("" if key == "name_or_path" else "ae.safetensors"))
        model = {"name_or_path": "a/b", key: place}
        a_job(model=model)
        said = error()
        assert f"config.process[0].model.{key}: '{place}' lies outside" in said
        assert f"--root {outside}" in said
        assert written(imported(roots=(outside,)), "model/my_job")

    def test_links_that_lead_out(self, tmp_path_factory: Any) -> None:
        outside = tmp_path_factory.mktemp("outside") / "secret.jpg"
        outside.write_bytes(b"\xff\xd8\xff")
        link = a_job() / f"samples/{MS}__000000000_5.jpg"
        link.symlink_to(outside)
        assert f"{link}: a link: '" in error()
        assert "lies outside" in error()

    def test_a_configuration_that_is_a_link_out(self, tmp_path_factory: Any) -> None:
        outside = tmp_path_factory.mktemp("outside") / "secret.yaml"
        outside.write_text("token: hf_abc\n")
        config = a_job() / "config.yaml"
        config.unlink()
        config.symlink_to(outside)
        assert "output/my_job/config.yaml: a link: '" in error()
        assert "hf_abc" not in error()
        assert "config.name: expected the name" in error(roots=(outside.parent,))

    def test_the_list_of_pictures_stays_when_they_are_gone(self) -> None:
        imported(a_job()).write(Writing())
        shutil.rmtree(JOB / "samples")
        said = imported().write(Writing())
        stays = (
            "previews/my_job/previews.parquet: is of an earlier import, and stays, though the job has no previews now"
        )
        assert stays in said

    def test_another_text_encoder_does_not_come_in_unnoticed(self) -> None:
        imported(a_job()).write(Writing())
        with pytest.raises(
            DarkroomError, match=r"conf/model/my_job\.yaml: comes from another import, or one with other"
        ):
            imported(copies=Copies()).write(Writing())

    def test_what_no_preview_can_say_is_said(self) -> None:
        a_job(kept=(), model={"assistant_lora_path": "a.safetensors"})
        alone = imported(JOB / "config.yaml")
        assert [note for note in alone.notes if note.startswith("not as trained: ")] != []

    def test_files_of_single_checkpoints_go_unless_they_were_edited(self) -> None:
        """What an import of before wrote: one file for each checkpoint."""
        a_job()
        text = "loras:\n  - {path: output/my_job/my_job_000000250.safetensors, network_multiplier: 0.9}\n"
        untouched = conf_file(Path("conf/lora/my_job_000000250.yaml"), "output/my_job", text)
        untouched.path.parent.mkdir(parents=True)
        untouched.path.write_text(untouched.text)
        edited = Path("conf/lora/my_job_000000500.yaml")
        edited.write_text("loras: [{path: output/my_job/my_job.safetensors, network_multiplier: 0.5}]\n")
        job = imported()
        assert job.notes == (
            f"{edited}: is yours, and goes ahead of what conf/lora/my_job.yaml says of this checkpoint",
        )
        assert any(line.startswith(f"{untouched.path}: would be removed") for line in job.write(Writing(dry_run=True)))
        assert any(line.startswith(f"{untouched.path}: removed") for line in job.write(Writing()))
        assert (untouched.path.exists(), edited.exists()) == (False, True)
        requests = [
            request
            for combination in load_experiment("my_job", [Path("conf"), BUILT_IN], []).combinations
            for request in combination.requests
        ]
        strengths = {each.path: each.network_multiplier for request in requests for each in request.adapters.loras}
        assert list(strengths.values()) == [1.0, 0.5]

    def test_folders_and_strange_files_are_named(self) -> None:
        folder = a_job()
        (folder / "my_job_000000100.safetensors").mkdir()
        (folder / "samples/notes.txt").touch()
        assert [note.partition(": ")[2] for note in imported().notes] == [
            "no file: the job trained a whole model, or something else lies there",
            "no samples by their names: notes.txt",
        ]

    def test_an_empty_samples_folder(self) -> None:
        job = imported(a_job(steps=()))
        assert job.previews == ()
        assert job.notes == ("output/my_job/samples: holds no samples",)
        assert rendered(job) == ["none", "my_job_000000250", "my_job_000000500"]


class TestBadInput:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "config.yaml: is empty"),
            ("a: [", "config.yaml: line 2"),
            ("[1, 2]", "config.yaml: expected the keys and values of an ai-toolkit job, got list"),
            ("config: 5", "config.yaml: config: expected keys and values, got 5"),
            ("config: {name: 5}", "config.yaml: config.name: expected text, got 5"),
            ("config: {process: []}", "config.name: expected the name of an ai-toolkit job, got None"),
            ("config: {name: a}", "expected one process with a section model, got 0; there are: no processes"),
            ("config: {name: a, process: {a: b}}", "config.process: expected a list, got {'a': 'b'}"),
            ("config: {name: a, process: [5]}", "config.process[0]: expected keys and values, got 5"),
            ("config: {name: a, process: [{type: x}]}", "got 0; there are: process[0] (x)"),
            ("x: !!python/object/apply:os.system ['true']", "tag !!python/object/apply:os.system: expected a plain"),
            ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\nc: 1", "key 'c' is there twice"),
        ],
    )
    def test_a_configuration_that_is_none(self, text: str, said: str) -> None:
        JOB.mkdir(parents=True)
        (JOB / "config.yaml").write_text(text)
        assert said in error()

    def test_an_alias_bomb(self) -> None:
        JOB.mkdir(parents=True)
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
        (JOB / "config.yaml").write_text("\n".join(lines))
        assert "more than 200000 values, with those that aliases repeat" in error()

    @pytest.mark.parametrize("wrong", [5, "text", [1], {"a": 1}, True, 1.5, ["x", None]])
    @pytest.mark.parametrize(
        "key",
        [
            *("trigger_word", "network", "train", "model", "sample", "first_sample", "training_folder", "embedding"),
            *("model.name_or_path", "model.arch", "model.vae_path", "model.quantize", "model.quantize_te"),
            *("model.qtype", "model.qtype_te", "model.low_vram", "model.layer_offloading", "model.quantize_kwargs"),
            *("model.is_flux", "model.attn_masking", "model.use_flux_cfg", "train.dtype", "train.steps"),
            *("train.skip_first_sample", "train.cache_text_embeddings", "network.type", "sample.samples"),
            *("sample.prompts", "sample.walk_seed", "sample.seed", "sample.width", "sample.neg", "sample.sampler"),
            *("sample.samples.0", "sample.samples.0.prompt", "sample.samples.0.ctrl_img", "sample.samples.0.ctrl_idx"),
        ],
    )
    def test_a_wrong_type_is_told_or_harmless(self, key: str, wrong: object) -> None:
        config = job_config()
        *path, last = (int(part) if part.isdecimal() else part for part in key.split("."))
        place: Any = config["config"]["process"][0]
        for part in path:
            place = place[part]
        place[last] = wrong
        write_job(JOB, job_config(), {(0, 0): GREY})
        (JOB / "config.yaml").write_text(yaml.safe_dump(config))
        try:
            imported(copies=Copies())
        except DarkroomError as error:
            assert "config.yaml" in str(error)  # noqa: PT017 either way is right

    def test_everything_wrong_is_told_at_once(self) -> None:
        config = job_config(model={"name_or_path": "/gone", "quantize": "yes", "qtype": 8})
        write_job(JOB, config)
        said = error()
        assert "3 problems:" in said
        assert "model.quantize: expected true or false, got 'yes'" in said
        assert "model.qtype: expected text, got 8" in said
        assert "/gone: is not on this machine" in said

    @pytest.mark.parametrize(
        ("arch", "said"),
        [
            ("flux2_klein_4", "'flux2_klein_4' cannot be rendered here; did you mean 'flux2_klein_4b'? known: flex1"),
            (None, "model.arch: None cannot be rendered here; expected one of flex1, flex2, flux, flux2,"),
        ],
    )
    def test_another_architecture(self, arch: str | None, said: str) -> None:
        write_job(JOB, job_config(model={"arch": arch}))
        assert said in error()

    def test_several_processes_with_samples(self) -> None:
        config = job_config()
        config["config"]["process"] *= 2
        write_job(JOB, config)
        assert "got 2; there are: process[0] (diffusion_trainer), process[1] (diffusion_trainer)" in error()

    @pytest.mark.parametrize(
        ("path", "said"),
        [
            ("gone", "gone: no such file or folder; expected an ai-toolkit job folder, or its config.yaml"),
            (".", ".: no job folder of ai-toolkit: neither config.yaml nor .job_config.json is in it"),
            ("a.txt", "a.txt: expected an ai-toolkit job folder, or a file that ends in .yaml, .yml, .json"),
        ],
    )
    def test_no_job_at_all(self, path: str, said: str) -> None:
        Path("a.txt").touch()
        assert error(Path(path)) == said

    @pytest.mark.parametrize("code", [errno.EACCES, errno.ENOENT])
    def test_what_cannot_be_read_or_goes_meanwhile(self, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
        def failing(path: Path) -> str:
            raise OSError(code, os.strerror(code), str(path))

        a_job()
        monkeypatch.setattr("darkroom.intake.aitk.previews.sha256_of", failing)
        file = "output/my_job/my_job_000000250.safetensors"
        assert error() == f"{file}: {os.strerror(code)}; is it readable, and the training at rest?"

    def test_a_name_that_is_too_long_for_a_file(self) -> None:
        assert error(Path("a" * 300)).startswith(f"{'a' * 300}: File name too long")

    @pytest.mark.parametrize("key", ["guidance_scale", "seed", "width"])
    def test_a_number_that_is_too_large_for_anything(self, key: str) -> None:
        a_job(sample={key: 10**400})
        assert "a whole number with more than 300 digits" in error()
        shutil.rmtree(JOB)
        a_job(sample={"samples": [{"prompt": "a", key: 10**299}, {"prompt": "b", "seed": 1}]})
        assert "out of range" in text_of(imported(), "prompts/my_job")

    def test_no_prompt_left(self) -> None:
        write_job(JOB, job_config(sample={"samples": [{"prompt": "a --s many"}]}))
        assert "sample: no prompt of the job can be rendered: prompt 0: --s: expected a whole number" in error()

    @pytest.mark.parametrize("info", ["", "5", "[]", "{}", '{"step": "x"}', "{", '{"step": null}', "[" * 5000])
    def test_training_info_that_is_none(self, info: str) -> None:
        folder = write_job(JOB, job_config(), pictures(250))
        write_checkpoint(folder / "my_job_000000250.safetensors", ADAPTER, None, training_info=info)
        assert reasons(imported())["250", 0] is None

    def test_a_picture_that_claims_to_be_enormous(self) -> None:
        bomb = "iVBORw0KGgoAAAANSUhEUgABhqAAAYagCAIAAADV7lFcAAAAAElFTkSuQmCC"
        folder = a_job(steps=(0,))
        (folder / f"samples/{MS}__000000000_0.jpg").write_bytes(base64.b64decode(bomb))
        assert imported().previews[0].reason is None or "size" in str(imported().previews[0].reason)

    def test_prompts_with_quotes_breaks_and_braces(self) -> None:
        text = "a \"sign\" that says: 'hi'\\ #1 {x}\n[y] ${z} \U0001f600 é \x07"
        job = imported(a_job(steps=(0,), sample={"samples": [{"prompt": text}]}))
        job.write(Writing())
        combination, *_ = load_experiment("my_job", [Path("conf"), BUILT_IN], []).combinations
        assert combination.requests[0].text.prompt == text.strip()


def test_ten_times_the_samples_take_ten_times_as_long() -> None:
    def seconds(count: int) -> float:
        folder = write_job(JOB, job_config(), {(0, 0): GREY})
        source = folder / f"samples/{MS}__000000000_0.jpg"
        for number in range(1, count):
            os.link(source, folder / f"samples/{MS + number}__{number // 2:09d}_{number % 2}.jpg")
        begun = time.process_time()
        assert len(imported().previews) == count
        shutil.rmtree(folder)
        return time.process_time() - begun

    assert seconds(5_000) < 30 * seconds(500)  # a hundred times, if each were compared with all others

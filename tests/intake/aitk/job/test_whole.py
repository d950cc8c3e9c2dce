"""What importing a whole job writes: an experiment that renders its previews again, and one to choose by."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.examples.job_folder import (
    ADAPTER,
    MS,
    write_checkpoint,
    write_sample,
)
from tests.intake.aitk.job.importing import (
    BUILT_IN,
    GREY,
    JOB,
    a_job,
    check_against_requests,
    imported,
    reasons,
    rendered,
)

from darkroom.errors import DarkroomError
from darkroom.files.columns import columns_of
from darkroom.plan.conf.owned_files import Writing
from darkroom.plan.load import load_experiment
from darkroom.previews import previews_file, read_previews, write_previews
from darkroom.record.rows import Record


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

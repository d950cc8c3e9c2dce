"""Jobs that left their machine: copied, renamed, without samples, several in a folder."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.examples.job_folder import ADAPTER, DATA, KLEIN, MS, job_config, touch, write_checkpoint, write_job
from tests.places import REPOSITORY

from darkroom.errors import DarkroomError
from darkroom.intake.aitk.base_model import Copies
from darkroom.intake.aitk.job import plan_job
from darkroom.intake.imported_job import ImportedJob
from darkroom.intake.options import ImportOptions
from darkroom.plan.conf.owned_files import Writing
from darkroom.plan.load import load_experiment

JOB = Path("output/my_job")
GREY = np.full((64, 64, 3), 128, np.uint8)
PICTURES = {(step, index): GREY for step in (0, 250, 500) for index in range(2)}
IMAGE = DATA / "references/r_70x133.png"


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    """An empty folder with the base model that jobs name as `klein`."""
    monkeypatch.chdir(tmp_path)
    Path("klein").symlink_to(KLEIN)
    Path("qwen3").symlink_to(KLEIN / "qwen3")


def imported(path: Path = JOB, *roots: str) -> ImportedJob:
    options = ImportOptions(roots=(KLEIN, *map(Path, roots)))
    return plan_job(path, options, copies=Copies(text_encoder="qwen3"))


def written(job: ImportedJob, path: str) -> object:
    return yaml.safe_load(next(file.text for file in job.files if str(file.path) == f"conf/{path}.yaml"))


def reasons(job: ImportedJob) -> set[str | None]:
    return {row.reason for row in job.previews}


class TestWithoutSamples:
    def check(self, job: ImportedJob) -> None:
        assert [str(file.path) for file in job.files] == [
            "conf/model/my_job.yaml",
            "conf/lora/my_job.yaml",
            "conf/lora/my_job_000000250.yaml",
            "conf/experiment/my_job.yaml",
        ]
        matrix = {"model": ["my_job"], "lora": ["none", "my_job"], "prompts": ["my_job"]}
        assert written(job, "experiment/my_job")["matrix"] == matrix
        assert (
            "prompts are wanted, as the job asks for no samples: write them in conf/prompts/my_job.yaml, such as "
            'prompts: ["[trigger] a photo, outdoors"], then darkroom run my_job'
        ) in job.notes
        Path("conf/prompts").mkdir(parents=True)
        Path("conf/prompts/my_job.yaml").write_text("prompts: [a photo]\n")
        assert not any("prompts are wanted" in note for note in imported().notes)

    def test_no_prompts_in_the_section(self):
        write_job(JOB, job_config(sample={"samples": [], "prompts": []}), {}, {250: ADAPTER})
        self.check(imported())

    def test_no_section_and_no_folder(self):
        write_job(JOB, job_config(sample=None), {}, {250: ADAPTER})
        (JOB / "samples").rmdir()
        self.check(imported())


def test_a_folder_of_jobs_lists_them():
    for name in ("a", "deeper/b c"):
        write_job(Path("output") / name, job_config(name="x"))
    with pytest.raises(DarkroomError) as caught:
        imported(Path("output"))
    assert str(caught.value) == (
        "output: no job folder of ai-toolkit itself; import one of those below it:\n"
        "  darkroom import aitk output/a\n"
        "  darkroom import aitk 'output/deeper/b c'"
    )


class TestRenamedCheckpoints:
    def test_they_are_known_by_their_headers(self):
        write_job(JOB, job_config(), PICTURES)
        write_checkpoint(JOB / "lora.safetensors", ADAPTER, 500, ss_output_name="my_job")
        write_checkpoint(JOB / "early.safetensors", ADAPTER, None, ss_steps="250")
        job = imported()
        assert written(job, "lora/my_job") == {"trigger_word": "sks", "folder": "output/my_job", "pattern": "*"}
        assert {(row.lora, row.then["loras"][0]["path"]) for row in job.previews if row.step} == {
            ("my_job_000000250", "output/my_job/early.safetensors"),
            ("my_job_000000500", "output/my_job/lora.safetensors"),
        }
        job.write(Writing())
        loras = {
            each.names.lora for each in load_experiment("my_job", [Path("conf"), REPOSITORY / "conf"], []).combinations
        }
        assert loras == {"none", "my_job_000000250", "my_job_000000500"}
        assert reasons(job) == {None}
        assert job.notes == (
            "output/my_job/early.safetensors: taken for the checkpoint of step 250, by its header",
            "output/my_job/lora.safetensors: taken for the checkpoint of step 500, by its header",
        )

    def test_what_is_not_taken_is_listed_with_what_to_do(self):
        write_job(JOB, job_config(), PICTURES, {500: ADAPTER})
        write_checkpoint(JOB / "again.safetensors", ADAPTER, 500)
        write_checkpoint(JOB / "anothers.safetensors", ADAPTER, 250, ss_output_name="other")
        write_checkpoint(JOB / "foreign.safetensors", ADAPTER, 250, ss_base_model_version="flux2")
        write_checkpoint(JOB / "nameless.safetensors", ADAPTER, None)
        (JOB / "page.safetensors").write_text("<html>")
        job = imported()
        assert reasons(job) == {None, "no checkpoint kept"}
        (note,) = job.notes
        assert note.startswith(
            "output/my_job: not taken for checkpoints: again.safetensors (of step 500 by its header, as "
            "my_job_000000500.safetensors is); anothers.safetensors (of the run other, step 250, by its header); "
            "foreign.safetensors (is for another base: its header says flux2, the job's model is flux2_klein_4b); "
            "nameless.safetensors (no step in its header); page.safetensors (not a .safetensors file"
        )
        assert note.endswith("; if one is, name it my_job_<step, 9 digits>.safetensors")


class TestControlImages:
    def job(self, *paths: str) -> None:
        samples = [{"prompt": f"prompt {number}", "ctrl_img": path} for number, path in enumerate(paths)]
        write_job(JOB, job_config(sample={"samples": samples}), {(0, 0): GREY})

    def put(self, *paths: str) -> None:
        for path in paths:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(IMAGE, path)

    @pytest.mark.parametrize(
        "path",
        [
            r"E:\ai-toolkit\data\5c01.png",
            r"\\server\share\data\5C01.PNG",
            r"D:/data\more/5c01.png",
            r"data\5c01.png",
            "/workspace/data/5c01.png",
            "data/5c01.png",
        ],
    )
    def test_they_are_found_by_their_names_below_a_root(self, path):
        self.job(path)
        self.put("brought/deeper/5c01.png")
        (entry,) = written(imported(JOB, "brought"), "prompts/my_job")["prompts"]
        assert entry["ctrl_img"] == "brought/deeper/5c01.png"

    def test_a_relative_path_of_windows_is_one(self):
        self.job(r"data\1.png")
        self.put("data/1.png")
        (entry,) = written(imported(), "prompts/my_job")["prompts"]
        assert entry["ctrl_img"] == "data/1.png"

    def test_a_path_that_leads_out_is_no_hindrance_where_a_name_is_found(self):
        self.job("../../../elsewhere/1.png")
        with pytest.raises(DarkroomError, match="lies outside"):
            imported()
        self.put("brought/1.png")
        (entry,) = written(imported(JOB, "brought"), "prompts/my_job")["prompts"]
        assert entry["ctrl_img"] == "brought/1.png"

    def test_of_several_the_one_whose_folders_end_as_the_path_does(self):
        self.job(r"E:\data\left\1.png")
        self.put("brought/left/1.png", "brought/right/1.png")
        (entry,) = written(imported(JOB, "brought"), "prompts/my_job")["prompts"]
        assert entry["ctrl_img"] == "brought/left/1.png"

    def test_a_name_that_is_there_twice_is_said(self):
        self.job(r"E:\data\1.png", r"E:\data\2.png")
        self.put("brought/a/1.png", "brought/b/1.png", "brought/2.png")
        job = imported(JOB, "brought")
        (row,) = (row for row in job.previews if row.path)
        assert row.reason == (
            r"prompt 0 is left out of the prompt set: control image E:\data\1.png: there are several of its name below "
            "--root: brought/a/1.png, brought/b/1.png; leave one"
        )

    def test_a_missing_one_names_the_option(self):
        self.job(r"E:\data\1.png")
        with pytest.raises(DarkroomError) as caught:
            imported()
        assert r"control image E:\data\1.png is missing; --root FOLDER names one" in str(caught.value)


class TestCopiedFiles:
    COPIED = "the files' times are those of a copy"

    def job(self) -> list[Path]:
        write_job(JOB, job_config(), PICTURES, {250: ADAPTER, 500: ADAPTER})
        return sorted(JOB.glob("samples/*.jpg"))

    def check(self) -> None:
        job = imported()
        assert reasons(job) == {None}
        assert [note.startswith(self.COPIED) for note in job.notes] == [True]

    def test_times_that_are_all_alike(self):
        self.job()
        for path in JOB.rglob("*"):
            touch(path, MS + 90_000_000)
        self.check()

    def test_older_pictures_that_are_newer_than_newer_ones(self):
        for place, path in enumerate(reversed(self.job())):
            touch(path, MS + 90_000_000 + place * 1000)
        touch(JOB / "config.yaml", MS + 99_000_000)
        self.check()

    def test_a_picture_that_somebody_touched_is_no_copy(self):
        touch(self.job()[0], MS + 90_000_000)
        assert imported().notes == ()

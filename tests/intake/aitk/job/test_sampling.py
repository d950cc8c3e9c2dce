"""What a job's previews were sampled with: the first sample's values, reference images."""

import shutil
from pathlib import Path
from typing import ClassVar

from tests.examples.job_folder import (
    ADAPTER,
    DATA,
    MS,
    job_config,
    write_job,
    write_sample,
)
from tests.intake.aitk.job.importing import (
    GREY,
    JOB,
    a_job,
    check_against_requests,
    imported,
    pictures,
    reasons,
    written,
)

from darkroom.intake.aitk.base_model import Copies
from darkroom.plan.conf.owned_files import Writing


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

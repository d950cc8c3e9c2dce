"""Where a job may lie, and what may lie beside it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.examples.job_folder import (
    KLEIN,
    MS,
    job_config,
    touch,
    write_job,
)
from tests.intake.aitk.job.importing import (
    BUILT_IN,
    JOB,
    a_job,
    error,
    imported,
    pictures,
    reasons,
    rendered,
    text_of,
    written,
)

from darkroom.errors import DarkroomError
from darkroom.intake.aitk.base_model import Copies
from darkroom.plan.conf.owned_files import Writing, conf_file
from darkroom.plan.load import load_experiment


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

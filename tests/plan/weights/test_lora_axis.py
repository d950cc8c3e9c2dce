"""The axis lora: options, folders of checkpoints, paths and globs; each file a value, named by its step."""

from pathlib import Path

import pytest
from tests.examples.job_folder import write_checkpoint
from tests.examples.small_project import Project

from darkroom.names import Names
from darkroom.plan.experiment import Experiment

STAR = "trigger_word: sks\nfolder: output/star_v1\n"


@pytest.fixture
def star(project: Project) -> Project:
    """conf/lora/star.yaml, a folder with the checkpoints of 250, 500 and the last of 750; `e` has all of them."""
    project.write("conf/lora/star.yaml", STAR)
    project.write("conf/experiment/e.yaml", "matrix: {model: m, lora: [none, star], prompts: p}\n")
    write_checkpoint(Path("output/star_v1/star_v1_000000500.safetensors"), Path("sks.safetensors"), 500)
    write_checkpoint(Path("output/star_v1/star_v1_000000250.safetensors"), Path("sks.safetensors"), 250)
    write_checkpoint(Path("output/star_v1/star_v1.safetensors"), Path("sks.safetensors"), 750)
    return project


def loras(experiment: Experiment) -> list[str]:
    return list(dict.fromkeys(combination.names.lora for combination in experiment.combinations))


def stack_of(experiment: Experiment, lora: str) -> list[tuple[str, float]]:
    requests = experiment.combination(Names("m", lora, "p")).requests
    return [(each.path, each.network_multiplier) for each in requests[0].adapters.loras]


def lora_axis(project: Project, text: str) -> None:
    project.write("conf/experiment/e.yaml", f"matrix: {{model: m, lora: {text}, prompts: p}}\n")


class TestNames:
    def test_each_checkpoint_is_a_value_named_by_its_step(self, star: Project) -> None:
        experiment = star.load()
        assert loras(experiment) == ["none", "star_000000250", "star_000000500", "star_000000750"]
        assert stack_of(experiment, "star_000000750") == [("output/star_v1/star_v1.safetensors", 1.0)]
        request = experiment.combination(Names("m", "star_000000250", "p")).requests[0]
        assert request.text.prompt == "sks a photo of a person"
        assert experiment.notes == ()

    def test_a_new_checkpoint_is_a_new_value_and_changes_no_other(self, star: Project) -> None:
        before = star.load()
        write_checkpoint(Path("output/star_v1/star_v1_000000375.safetensors"), Path("sks.safetensors"), 375)
        after = star.load()
        assert set(loras(after)) - set(loras(before)) == {"star_000000375"}
        assert [after.digest(each.names) for each in before.combinations] == [
            before.digest(each.names) for each in before.combinations
        ]

    def test_a_vanished_one_goes(self, star: Project) -> None:
        Path("output/star_v1/star_v1_000000250.safetensors").unlink()
        assert loras(star.load()) == ["none", "star_000000500", "star_000000750"]

    def test_the_last_file_without_a_step_comes_last(self, star: Project) -> None:
        write_checkpoint(Path("output/star_v1/star.safetensors"), Path("sks.safetensors"), None)
        assert loras(star.load())[-2:] == ["star_000000750", "star_final"]

    def test_what_was_renamed_is_known_by_its_header(self, star: Project) -> None:
        Path("output/star_v1/star_v1_000000500.safetensors").rename("output/star_v1/the best (1).sft")
        experiment = star.load()
        assert stack_of(experiment, "star_000000500") == [("output/star_v1/the best (1).sft", 1.0)]

    def test_links_are_files_and_a_broken_one_is_said(self, star: Project) -> None:
        Path("output/star_v1/b_000000900.safetensors").symlink_to(Path("sks.safetensors").absolute())
        Path("output/star_v1/c_000001000.safetensors").symlink_to("nowhere")
        experiment = star.load()
        assert loras(experiment)[-1] == "star_000000900"
        assert "c_000001000.safetensors (" in experiment.notes[0]

    def test_forty_checkpoints_are_read_at_once(self, star: Project) -> None:
        for step in range(1000, 5000, 100):
            write_checkpoint(Path(f"output/star_v1/s_{step:09d}.safetensors"), Path("sks.safetensors"), step)
        assert len(loras(star.load())) == 44


class TestOtherFiles:
    def test_half_written_files_and_such_as_are_no_lora_are_no_values_and_said(self, star: Project) -> None:
        folder = Path("output/star_v1")
        whole = Path("sks.safetensors").read_bytes()
        (folder / "star_v1_000000900.safetensors").write_bytes(whole[:-7])
        (folder / "star_v1_000001000.safetensors").write_bytes(b"")
        (folder / "optimizer.pt").write_bytes(b"PK")
        header = b'{"snr.weight":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
        (folder / "learnable_snr.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
        experiment = star.load()
        assert loras(experiment) == ["none", "star_000000250", "star_000000500", "star_000000750"]
        assert experiment.notes == (
            "conf/lora/star.yaml: folder: output/star_v1: passed over: learnable_snr.safetensors (no LoRA by its "
            f"keys), star_v1_000000900.safetensors (truncated: expected {len(whole)} bytes by its header, got "
            f"{len(whole) - 7}), star_v1_000001000.safetensors (not a .safetensors file: it is empty, as a "
            "download that was broken off)",
        )

    def test_of_two_files_for_one_step_the_one_counts_that_says_so(self, star: Project) -> None:
        write_checkpoint(Path("output/star_v1/copy.safetensors"), Path("sks.safetensors"), 500)
        experiment = star.load()
        assert stack_of(experiment, "star_000000500") == [("output/star_v1/star_v1_000000500.safetensors", 1.0)]
        assert experiment.notes[0].endswith("copy.safetensors (of step 500, as star_v1_000000500.safetensors is)")

    def test_two_that_say_so_are_refused(self, star: Project) -> None:
        write_checkpoint(Path("output/star_v1/moon_000000500.safetensors"), Path("sks.safetensors"), 500)
        assert star.error() == (
            "conf/lora/star.yaml: folder: output/star_v1: moon_000000500.safetensors and star_v1_000000500.safetensors "
            "are of one step, and would have one name; a `pattern` takes one of them"
        )
        star.write("conf/lora/star.yaml", f'{STAR}pattern: "star_*"\n')
        assert loras(star.load()) == ["none", "star_000000250", "star_000000500", "star_000000750"]

    def test_an_empty_folder_and_a_pattern_that_nothing_fits_are_refused(self, star: Project) -> None:
        star.write("conf/lora/star.yaml", f'{STAR}pattern: "moon*"\n')
        assert star.error() == (
            "conf/lora/star.yaml: folder: output/star_v1: expected LoRA files that fit moon*, got nothing"
        )
        star.write("conf/lora/star.yaml", "folder: output/none\n")
        assert star.error() == "conf/lora/star.yaml: folder: output/none: no such file or folder"


class TestStacks:
    def test_other_files_are_applied_beside_each(self, star: Project) -> None:
        star.write_weights("style.safetensors")
        star.write(
            "conf/lora/star.yaml",
            f"{STAR}network_multiplier: 0.7\nloras: [{{path: style.safetensors, network_multiplier: 0.4}}]\n",
        )
        assert stack_of(star.load(), "star_000000250") == [
            ("output/star_v1/star_v1_000000250.safetensors", 0.7),
            ("style.safetensors", 0.4),
        ]
        star.write("conf/lora/star.yaml", f"{STAR}loras: [{{path: none.safetensors}}]\n")
        assert star.error().startswith("conf/lora/star.yaml: loras[0].path: none.safetensors: ")

    def test_a_checkpoint_with_a_file_of_its_own_is_what_that_says(self, star: Project) -> None:
        own = "loras: [{path: output/star_v1/star_v1_000000250.safetensors, network_multiplier: 0.5}]\n"
        star.write("conf/lora/star_000000250.yaml", own)
        experiment = star.load()
        assert [stack_of(experiment, lora)[0][1] for lora in loras(experiment)[1:]] == [0.5, 1.0, 1.0]

    def test_what_goes_for_every_option_goes_for_these(self, star: Project) -> None:
        requests = star.load("lora.trigger_word=ohwx").combination(Names("m", "star_000000500", "p")).requests
        assert requests[0].text.prompt == "ohwx a photo of a person"


class TestTheMatrix:
    @pytest.mark.parametrize(
        "text",
        [
            "output/star_v1",
            '"output/star_v1/*.safetensors"',
            '"output/*"',
            "[{folder: output/star_v1}]",
        ],
    )
    def test_folders_and_globs_may_stand_on_the_axis(self, star: Project, text: str) -> None:
        lora_axis(star, text)
        assert loras(star.load()) == ["star_v1_000000250", "star_v1_000000500", "star_v1_000000750"]

    def test_a_bare_word_is_a_folder_where_no_option_has_the_name(self, star: Project) -> None:
        Path("out").mkdir()
        write_checkpoint(Path("out/moon_000000100.safetensors"), Path("sks.safetensors"), 100)
        Path("star").mkdir()  # the option of the name goes before it
        lora_axis(star, "[out, star_000000250]")
        assert loras(star.load()) == ["moon_000000100", "star_000000250"]

    def test_files_that_say_no_step_are_named_by_themselves(self, star: Project) -> None:
        for name in ("loras/film grain.safetensors", "loras/Ink.safetensors"):
            star.write_weights(name)
        lora_axis(star, '[none, "loras/*", sks.safetensors]')
        assert loras(star.load()) == ["none", "Ink", "film_grain", "sks"]

    def test_one_checkpoint_may_be_named(self, star: Project) -> None:
        lora_axis(star, "[star_000000500]")
        assert loras(star.load()) == ["star_000000500"]
        lora_axis(star, "[star_000000600]")
        assert star.error() == (
            "conf/lora/star.yaml: folder: output/star_v1: no file in it makes star_000000600, only star_000000250, "
            "star_000000500, star_000000750"
        )

    def test_keys_go_for_each_file_of_a_folder_on_the_axis(self, star: Project) -> None:
        lora_axis(star, '{folder: output/star_v1, pattern: "*5*", network_multiplier: 0.3}')
        experiment = star.load()
        assert loras(experiment) == ["star_v1_000000250", "star_v1_000000500"]
        assert stack_of(experiment, "star_v1_000000250")[0][1] == 0.3

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("{pattern: x}", "conf/experiment/e.yaml: matrix.lora: folder is missing"),
            (
                "[none, {folder: output/star_v1, weight: 1}]",
                "conf/experiment/e.yaml: matrix.lora[1].weight: unknown key; here it is network_multiplier",
            ),
            ('["moon/*"]', "conf/experiment/e.yaml: matrix.lora[0]: moon/*: no such file or folder"),
            ("[output/star_v1, moon_000000250]", "there is no conf/lora/moon_000000250.yaml"),
            ("[star, star_000000250]", "matrix.lora[1]: 'star_000000250' is on the axis twice"),
            (
                "{folder: output/star_v1, loras: [x.safetensors]}",
                "conf/experiment/e.yaml: matrix.lora.loras[0].path: x.",
            ),
        ],
    )
    def test_errors_name_file_and_key(self, star: Project, text: str, said: str) -> None:
        lora_axis(star, text)
        assert said in star.error()

    def test_a_truncated_file_that_is_named_is_refused_at_its_place(self, star: Project) -> None:
        Path("cut.safetensors").write_bytes(Path("sks.safetensors").read_bytes()[:-1])
        lora_axis(star, "[none, cut.safetensors]")
        assert star.error().startswith(
            "conf/experiment/e.yaml: matrix.lora[1]: cut.safetensors: expected LoRA files, got cut.safetensors (trunc"
        )

    @pytest.mark.parametrize(
        ("rule", "left"),
        [
            ("{lora: star_000000250}", ["none", "star_000000500", "star_000000750"]),
            ("{lora: star}", ["none"]),
            ("{lora: star_000000125}", ["none", "star_000000250", "star_000000500", "star_000000750"]),
        ],
    )
    def test_rules_name_one_checkpoint_or_all_and_one_may_be_gone(
        self, star: Project, rule: str, left: list[str]
    ) -> None:
        star.write(
            "conf/experiment/e.yaml", f"matrix: {{model: m, lora: [none, star], prompts: p}}\nexclude: [{rule}]\n"
        )
        assert loras(star.load()) == left

    def test_a_rule_that_names_nothing_of_the_axis_is_refused(self, star: Project) -> None:
        star.write(
            "conf/experiment/e.yaml",
            "matrix: {model: m, lora: [none, star], prompts: p}\nexclude: [{lora: moon_000000250}]\n",
        )
        assert "exclude[0].lora: 'moon_000000250' is not on that axis: none, star_000000250, " in star.error()

    def test_the_strength_of_the_checkpoint_may_be_an_axis(self, star: Project) -> None:
        star.write(
            "conf/experiment/e.yaml",
            "matrix: {model: m, lora: star, prompts: p, network_multiplier.1: [0.6, 1]}\n",
        )
        experiment = star.load()
        assert experiment.images == 12
        assert {stack[0][1] for stack in _stacks(experiment)} == {0.6, 1.0}

    def test_a_choice_of_the_defaults_list_may_be_a_folder(self, star: Project) -> None:
        star.write("conf/experiment/e.yaml", "defaults: [override /lora: star]\nmatrix: {model: m, prompts: p}\n")
        assert loras(star.load()) == ["star_000000250", "star_000000500", "star_000000750"]


def _stacks(experiment: Experiment) -> list[list[tuple[str, float]]]:
    return [
        [(each.path, each.network_multiplier) for each in request.adapters.loras]
        for combination in experiment.combinations
        for request in combination.requests
    ]

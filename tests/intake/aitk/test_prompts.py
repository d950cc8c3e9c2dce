"""What an ai-toolkit job asked its previews for: flags, seeds, trigger words, sizes; rule by rule."""

import pytest

from darkroom.intake.aitk.prompts import SampleSheet, sample_sheet, with_texts_of
from darkroom.intake.aitk.section import Section, process_faults
from darkroom.plan.prompt_text.flags import Flags, parse_flags


def sheet(trigger_word: str | None = None, **sample: object) -> SampleSheet:
    return sample_sheet(Section(sample, "config.yaml: sample"), trigger_word)


def one(text: str = "a cat", trigger_word: str | None = None, **sample: object) -> dict[str, object]:
    """The settings of a section's only prompt."""
    (prompt,) = sheet(trigger_word, prompts=[text], **sample).prompts
    return {"text": prompt.text, **prompt.settings}


def seeds(items: list[object], **sample: object) -> list[object]:
    samples = [{"prompt": "a"} if item is None else {"prompt": "a", "seed": item} for item in items]
    return [prompt.settings["seed"] for prompt in sheet(samples=samples, **sample).prompts]


@pytest.mark.parametrize(
    ("prompt", "text", "settings"),
    [
        ("a cat", "a cat", {}),
        ("  a cat  ", "a cat", {}),
        ("a cat --w 512 --h 768", "a cat", {"width": 512, "height": 768}),
        ("a cat --d 5", "a cat", {"seed": 5}),
        ("a cat --seed 5 --d 6", "a cat", {"seed": 6}),
        ("a cat --l 3.5 --s 12", "a cat", {"guidance_scale": 3.5, "sample_steps": 12}),
        ("a cat --cfg 1 --steps 4", "a cat", {"guidance_scale": 1.0, "sample_steps": 4}),
        ("a cat --m 0.5", "a cat", {"network_multiplier": 0.5}),
        ("a cat --network_multiplier .5", "a cat", {"network_multiplier": 0.5}),
        ("a cat --n ugly, blurry", "a cat", {"neg": "ugly, blurry"}),
        ("a cat --n", "a cat", {"neg": ""}),
        ("a cat --ctrl_img a b.png --ctrl_idx 1", "a cat", {"ctrl_img": "a b.png", "ctrl_idx": 1}),
        ("a cat --p2 other --n2 none --gr 0.5 --a 1 --ref 0.5 --ev 1,2 --frames 1 --fps 15", "a cat", {}),
        ("semi--colon cat", "semi", {}),
        ("--w 512", "", {"width": 512}),
        ("a cat --w  512 ", "a cat", {"width": 512}),
    ],
)
def test_flags(prompt: str, text: str, settings: dict[str, object]) -> None:
    flags = parse_flags(prompt)
    assert (flags.text, flags.settings, flags.fault) == (text, settings, None)


@pytest.mark.parametrize(
    ("prompt", "ignored"),
    [
        ("a cat --w512", "--w512"),
        ("a cat --W 512", "--W"),
        ("a cat --style oil", "--style"),
        ("a cat -- w 512", "--"),
        ("semi--colon cat", "--colon"),
    ],
)
def test_flags_that_the_trainer_does_not_know(prompt: str, ignored: str) -> None:
    assert parse_flags(prompt).ignored == (ignored,)


def test_a_flag_without_its_number_ends_the_trainers_previews() -> None:
    assert parse_flags("a --w wide") == Flags("a", {}, (), "--w: expected a whole number, got 'wide'")
    assert sheet(prompts=["a --cfg high", "b"]).left_out == {
        0: "--cfg: expected a number, got 'high'; the trainer would have failed"
    }


class TestSeeds:
    def test_walking_adds_the_position_and_an_own_seed_goes_for_one_prompt(self) -> None:
        assert seeds([None, 7, None, 9, None], seed=42, walk_seed=True) == [42, 7, 44, 9, 46]

    def test_without_walking_an_own_seed_sticks(self) -> None:
        assert seeds([None, 7, None, 9, None], seed=42, walk_seed=False) == [42, 7, 7, 9, 9]

    def test_the_trainers_default_is_0_and_standing_still(self) -> None:
        assert seeds([None, None]) == [0, 0]

    def test_a_flag_goes_for_its_prompt_alone(self) -> None:
        texts = [prompt.settings["seed"] for prompt in sheet(prompts=["a --seed 5", "b"], seed=42).prompts]
        assert texts == [5, 42]

    def test_of_minus_one_and_walking_only_the_first_is_drawn(self) -> None:
        assert seeds([None, None, None], seed=-1, walk_seed=True) == [-1, 0, 1]
        assert seeds([None, None], seed=-1) == [-1, -1]

    def test_minus_one_of_a_flag_is_a_seed_of_its_own(self) -> None:
        assert sheet(prompts=["a --seed -1"]).left_out == {
            0: "seed -1 of a flag is a seed of its own, which conf/ cannot name"
        }

    def test_a_seed_that_is_a_whole_float(self) -> None:
        assert seeds([7.0]) == [7]


class TestNullPrompts:
    def test_they_shift_the_settings_of_those_behind_them(self) -> None:
        samples = [
            {"prompt": "a", "width": 64},
            {"prompt": None, "width": 128, "seed": 5},
            {"prompt": "b", "width": 256},
        ]
        made = sheet(samples=samples, height=64, seed=1).prompts
        assert [(p.index, p.text, p.settings["width"], p.settings["seed"]) for p in made] == [
            (0, "a", 64, 1),
            (1, "b", 128, 5),
        ]

    def test_in_a_list_of_texts(self) -> None:
        assert [p.text for p in sheet(prompts=["a", None, "b"]).prompts] == ["a", "b"]


def test_samples_go_before_prompts_even_when_empty() -> None:
    assert [p.text for p in sheet(samples=[{"prompt": "a"}], prompts=["b"]).prompts] == ["a"]
    assert sheet(samples=[], prompts=["b"]).count == 0


class TestTriggerWord:
    def test_both_tags_are_replaced_and_the_template_keeps_one(self) -> None:
        (prompt,) = sheet("sks", prompts=["[trigger] a photo --seed 1"]).prompts
        assert (prompt.text, prompt.template) == ("sks a photo", "[trigger] a photo")
        (prompt,) = sheet("sks", prompts=["[name] and [trigger]"]).prompts
        assert (prompt.text, prompt.template) == ("sks and sks", "sks and sks")

    def test_without_one_the_tag_stays(self) -> None:
        assert one("[trigger] a photo")["text"] == "[trigger] a photo"

    def test_an_empty_one_takes_the_tag_away(self) -> None:
        (prompt,) = sheet("", prompts=["[trigger] a photo"]).prompts
        assert (prompt.text, prompt.template) == ("a photo", "a photo")

    def test_it_is_never_put_before_a_prompt(self) -> None:
        assert one("a photo", "sks")["text"] == "a photo"

    def test_flags_inside_it_count(self) -> None:
        (prompt,) = sheet("sks --seed 3", prompts=["a photo of [trigger]"]).prompts
        assert (prompt.text, prompt.template, prompt.settings["seed"]) == ("a photo of sks", "a photo of sks", 3)

    def test_the_negative_prompt_keeps_its_tags(self) -> None:
        assert one("a", "sks", neg="[trigger]")["neg"] == "[trigger]"


@pytest.mark.parametrize(
    ("asked", "made"), [(1024, 1024), (1000, 992), (1007, 992), (72, 64), (71, 64), (40, 64), (0, 64), (4096, 4096)]
)
def test_sides_are_floored_to_8_then_to_16(asked: int, made: int) -> None:
    assert one(width=asked, height=64)["width"] == made


def test_the_trainers_defaults() -> None:
    assert one() == {
        "text": "a cat",
        "width": 512,
        "height": 512,
        "neg": "",
        "guidance_scale": 7.0,
        "sample_steps": 20,
        "network_multiplier": 1.0,
        "ctrl_idx": 0,
        "seed": 0,
    }


@pytest.mark.parametrize(("written", "made"), [("0.8", 0.8), ("strong", 1.0), (True, None), (0, 0.0), (-1, -1.0)])
def test_a_strength_may_be_text(written: object, made: float | None) -> None:
    asked = sheet(prompts=["a"], network_multiplier=written)
    assert [prompt.settings["network_multiplier"] for prompt in asked.prompts] == ([] if made is None else [made])


def test_strengths_of_all_prompts_decide_on_the_regime() -> None:
    assert sheet(prompts=["a", "b"]).strengths == {1.0}
    assert sheet(prompts=["a", "b --m 0.5", "c --w wide"], network_multiplier="0.8").strengths == {0.8, 0.5}


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        ({"width": 8192}, "width: 8192 is out of range: 64 to 4096"),
        ({"width": "512"}, "width: expected a whole number, got '512'"),
        ({"width": None}, "width: expected a value, got null"),
        ({"sample_steps": 151}, "sample_steps: 151 is out of range: 1 to 150"),
        ({"sample_steps": 20.0}, "sample_steps: expected a whole number, got 20.0"),
        ({"guidance_scale": "4"}, "guidance_scale: expected a number, got '4'"),
        ({"guidance_scale": 21}, "guidance_scale: 21 is out of range: 0 to 20"),
        ({"network_multiplier": "inf"}, "network_multiplier: inf is out of range: expected a finite number"),
        ({"seed": -2}, "seed: -2 is out of range: -1 to 9223372036854775807"),
        ({"seed": "x", "walk_seed": True}, "seed: expected a whole number, got 'x'"),
        ({"seed": None}, "seed: expected a value, got null"),
        ({"neg": ["ugly"]}, "neg: expected text, got ['ugly']; put it in quotes"),
        ({"width": 5, "height": [], "sample_steps": {}}, "height: expected a whole number, got []; sample_steps: "),
    ],
)
def test_what_conf_cannot_hold_is_left_out(sample: dict[str, object], why: str) -> None:
    made = sheet(prompts=["a"], **sample)
    assert made.prompts == ()
    assert made.left_out[0].startswith(why.removesuffix("; put it in quotes"))


def test_a_prompt_that_is_no_text() -> None:
    assert sheet(prompts=[5, "a"]).left_out == {0: "the prompt is 5, no text"}


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ({"prompts": "a cat"}, "sample.prompts: expected a list, got 'a cat'"),
        ({"samples": {"a": 1}}, "sample.samples: expected a list, got {'a': 1}"),
        ({"samples": ["a cat"]}, "sample.samples[0]: expected keys and values, got 'a cat'"),
        ({"prompts": ["a"], "walk_seed": "no"}, "sample.walk_seed: expected true or false, got 'no'"),
    ],
)
def test_another_structure_is_an_error(sample: dict[str, object], said: str) -> None:
    faults = process_faults(Section({"sample": sample}, "config.yaml: process[0]"))
    assert [str(fault) for fault in faults] == [f"config.yaml: process[0].{said}"]


def test_texts_encoded_beforehand_are_those_of_sample() -> None:
    first = sheet(prompts=["x", "y", "z"], width=64, height=64, neg="n")
    made = with_texts_of(first, sheet(prompts=["a --n b", "c"]))
    assert [(p.text, p.settings["neg"], p.settings["width"]) for p in made.prompts] == [("a", "b", 64), ("c", "", 64)]
    assert made.left_out == {2: "the trainer had no encoded text for it, as sample has fewer prompts than first_sample"}
    made = with_texts_of(first, sheet(prompts=["a --s 200", "b", "c"]))
    assert made.left_out == {
        0: "it had the text of sample's prompt 0, which is left out: sample_steps: 200 is out of range: 1 to 150"
    }

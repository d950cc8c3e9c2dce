"""Text files of prompts as other programs take them: flags are settings, a note or an error, and never text."""

import os
from pathlib import Path

import pytest
from tests.examples.small_project import project, values

from darkroom.errors import collected
from darkroom.plan.prompt_text.flags import AITK, EVERYONES
from darkroom.plan.prompt_text.lines import PromptLine, read_lines

__all__ = ["project"]


def line(text: str) -> PromptLine:
    (read,), errors = collected(read_lines(text, "p.txt"))
    assert errors == []
    return read


def fault(text: str) -> str:
    _, (error,) = collected(read_lines(text, "p.txt"))
    return str(error)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("a cat --w 512 --h 768", {"prompt": "a cat", "width": 512, "height": 768}),
        ("a cat --n ugly, blurry --d 5", {"prompt": "a cat", "neg": "ugly, blurry", "seed": 5}),
        ("a cat --l 3.5 --s 12 --m 0.5", {"guidance_scale": 3.5, "sample_steps": 12, "network_multiplier": 0.5}),
        ("a cat --W 96 --AM 0.8", {"width": 96, "network_multiplier": 0.8}),
        ("a cat --g 3.5 --l 1", {"guidance_scale": 3.5}),
        ("a cat --ctrl_img a b.png --ctrl_idx 1", {"ctrl_img": "a b.png", "ctrl_idx": 1}),
        ('6" tall --w 512 --n 5" wide', {"prompt": '6" tall', "width": 512, "neg": '5" wide'}),
        (
            r'--prompt "a \"red\" star -- white" --negative_prompt "blurry --s" --steps 20 --cfg_scale 7 --seed 1',
            {"prompt": 'a "red" star -- white', "neg": "blurry --s", "sample_steps": 20, "guidance_scale": 7.0},
        ),
        ("--prompt a red star --width=512", {"prompt": "a red star", "width": 512}),
    ],
)
def test_flags_are_settings(text, keys):
    assert line(text).keys.items() >= keys.items()
    assert line(text).notes == ()


@pytest.mark.parametrize(
    "text",
    [
        "well--known cat",
        "a man -- tall -- walks",
        "a cat --really big-- on a mat",
        "a house --of cards-- falls",
        "a cat --",
        "a -1 - cat",
        "a cat -x 5 - 2 —n 3 --s:fine",
    ],
)
def test_two_dashes_inside_a_text_are_text(text):
    assert line(text).keys == {"prompt": text}


def test_what_has_no_place_in_conf_is_a_note():
    assert line('a star, <lora:star:0.8>, white --sampler_name "Euler a" --seed 3') == PromptLine(
        1,
        {"prompt": "a star, white", "seed": 3},
        (
            "--sampler_name Euler a has no effect: it is no setting of these models",
            "<lora:star:0.8> is left out of the text; LoRAs are options of conf/lora, strengths network_multiplier",
        ),
    )


@pytest.mark.parametrize("text", [", a dog", "a dog,", ",a dog"])
def test_commas_of_a_text_without_tags_are_text(text):
    assert line(text).keys == {"prompt": text}


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_only_a_line_feed_ends_a_line(separator):
    lines, _ = collected(read_lines(f"a cat{separator}on a mat\r\na dog\r", "p.txt"))
    assert [(each.number, each.keys["prompt"]) for each in lines] == [(1, f"a cat{separator}on a mat"), (2, "a dog")]


def test_comments_and_blank_lines_are_none():
    lines, _ = collected(read_lines("# people\n\na cat\n  # more\na dog\n", "p.txt"))
    assert [(each.number, each.keys["prompt"]) for each in lines] == [(3, "a cat"), (5, "a dog")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a cat --style raw", "p.txt: line 1: --style: is nobody's flag; known: --am, "),
        ("a cat --w 512 --hh 512", "p.txt: line 1: --hh: is nobody's flag"),
        ("a cat --w 512 in the rain", "p.txt: line 1: --w: expected a whole number, got '512 in the rain'"),
        ("a cat --am 1,0.5", "p.txt: line 1: --am: expected a number, got '1,0.5'"),
        ("a cat --l nan", "p.txt: line 1: --l: expected a finite number, got 'nan'"),
        ("a cat --m -inf", "p.txt: line 1: --m: expected a finite number, got '-inf'"),
        (
            "a cat —w 512",
            "p.txt: line 1: '—w 512': a flag is --w 512; a text with it goes in conf/prompts as prompt: '…'",
        ),
        ("a cat -s 20", "p.txt: line 1: '-s 20': a flag is --s 20"),
        ("a cat --w:512", "p.txt: line 1: '--w:512': a flag is --w 512"),
        ("a cat --d 1 --seed 2", "p.txt: line 1: --d 1 and --seed 2 are both seed; give one"),
        ("--w 512", "p.txt: line 1: holds no prompt; expected a text, then flags such as --w 512"),
        ("a cat --prompt a dog", "p.txt: line 1: has a text, 'a cat', and --prompt; one of them is the prompt"),
    ],
)
def test_what_nobody_can_take_is_an_error_with_its_line(text, said):
    assert fault(text).startswith(said)


def test_every_flag_of_the_trainer_is_one_in_a_file():
    assert AITK.items() <= EVERYONES.items()


def test_a_sets_text_file_has_settings_and_warnings(project):
    project.write("p.txt", "a cat --w 96 --d 7 --fps 3\n# a comment\na dog\n")
    project.write("conf/prompts/p.yaml", "file: p.txt\n")
    first, second = project.load().combinations[0].requests
    assert values(first, "prompt", "width", "seed") == ("a cat", 96, 7)
    assert first.remarks.warnings == ("--fps 3 has no effect: it is no setting of these models",)
    assert values(second, "prompt", "width", "seed") == ("a dog", 512, 43)


def test_a_sets_text_file_is_refused_line_by_line(project):
    Path("p.txt").write_text("a cat --w 9000\na dog --v 6\n")
    project.write("conf/prompts/p.yaml", "file: p.txt\n")
    assert "p.txt: line 2: --v: is nobody's flag" in project.error()
    Path("p.txt").write_text("a cat --w 9000\n")
    assert project.error() == "p.txt: line 1: width: 9000 is out of range: 64 to 4096"


def test_a_file_that_nobody_writes_into_is_refused_at_once(project):
    os.mkfifo("lines.txt")
    project.write("conf/prompts/p.yaml", "file: lines.txt\n")
    assert project.error() == "conf/prompts/p.yaml: file: lines.txt: expected a file, got a FIFO"


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        (
            "p.csv",
            "a cat\n",
            "p.csv: ends in .csv; expected a text file with a prompt a line: `darkroom import prompts",
        ),
        ("p.xlsx", "PK\x03\x04", "p.xlsx: ends in .xlsx; expected a text file with a prompt a line"),
        ("p.txt", "a cat\na\0dog\n", "p.txt: line 2: holds U+0000, which no text does"),
        ("p.txt", "PK\x03\x04", "p.txt: line 1: holds U+0003, which no text does"),
        ("p.txt", '["a cat", "a dog"]', "p.txt: is JSON; expected a prompt a line"),
        ("p.txt", '[\n  "a cat"\n]\n', "p.txt: is JSON; expected a prompt a line"),
        ("p.txt", '{"prompt": "a cat"}\n{"prompt": "a dog"}\n', "p.txt: is JSON; expected a prompt a line"),
        (
            "p.txt",
            "prompt;negative;seed\na cat;;4\n",
            "p.txt: begins with the heading of a table, 'prompt;negative;seed'",
        ),
        ("p.txt", '"Prompt","Steps"\n', "p.txt: begins with the heading of a table, "),
        ("p.txt", "a cat\nNegative prompt: ugly\n", "p.txt: line 2: 'Negative prompt: ugly' is of a picture's record"),
        (
            "p.txt",
            "a cat\nSteps: 20, Sampler: Euler, Seed: 4\n",
            "p.txt: line 2: 'Steps: 20, Sampler: Euler, Seed: 4' is",
        ),
        ("p.txt", "a cat\n---\na dog\n", "p.txt: line 2: '---' is no prompt; take the line out"),
    ],
)
def test_what_is_no_list_of_prompts_is_rendered_as_none(file, text, said):
    lines, (error,) = collected(read_lines(text, file))
    assert lines == []
    assert str(error).startswith(said)


@pytest.mark.parametrize(
    "text", ["[trigger] a cat", '"a cat, sitting"', "prompt, please", "width, height", "{a} cat", "-"]
)
def test_what_only_looks_like_another_format_is_a_prompt(text):
    assert line(text).keys == {"prompt": text}


def test_a_file_of_an_old_program_ends_lines_with_carriage_returns():
    lines, _ = collected(read_lines("a cat\ra dog\r", "p.txt"))
    assert [each.keys["prompt"] for each in lines] == ["a cat", "a dog"]


def test_a_choice_in_a_list_of_texts_is_said_to_be_text():
    assert line("a {red|green} car in __place__").notes == (
        "{red|green} is text here; a choice is one under `templates:`",
        "__place__ is text here; a choice is one under `templates:`",
    )

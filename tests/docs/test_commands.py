"""Pages say nothing that cannot be typed: each command on them is one that its program takes."""

import re
import shlex
from collections.abc import Iterator

import pytest
import yaml
from snakemake.cli import get_argument_parser, parse_config
from tests.places import REPOSITORY

from darkroom.cli.entry import command_line
from darkroom.errors import value_of
from darkroom.plan.arguments import read_arguments
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.overrides import Overrides
from darkroom.plan.conf.reader import read
from darkroom.plan.conf.schema import CheckpointSource

PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{page.name}" for page in (REPOSITORY / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Of a line as typed: a program of ours, wherever it lies, and what follows until the shell takes over.
COMMAND = re.compile(r"(?:^|\s)(?:[\w.~/-]*/)?(darkroom|snakemake|make) (.*?)(?=\);|\s(?:&&|\|\||\||>|2>|#)|$)")


def typed(page: str) -> Iterator[tuple[str, list[str]]]:
    """Program and words of each command in the blocks of a page; of a workflow of GitHub's, its `run`s."""
    for language, block in BLOCK.findall(text_of(page)):
        shown = r"^\$ (.*)" if language == "console" else r"run: (.*)" if language == "yaml" else r"^([^#].*)"
        for line in re.findall(shown, block, re.MULTILINE) if language in ("", "console", "yaml") else []:
            yield from ((program, shlex.split(words)) for program, words in COMMAND.findall(line))


def mentioned(page: str) -> Iterator[list[str]]:
    """Words of each command of Darkroom's within a sentence, such as `darkroom accept`."""
    sentences = BLOCK.sub("", text_of(page))
    yield from (shlex.split(words) for words in re.findall(r"`darkroom ([^`|]+)[^`]*`", sentences))


def text_of(page: str) -> str:
    return (REPOSITORY / page).read_text(encoding="utf-8")


def takes(program: str, words: list[str]) -> None:
    {"darkroom": darkroom_takes, "snakemake": snakemake_takes, "make": make_takes}[program](words)


def darkroom_takes(words: list[str]) -> None:
    options, left = command_line().parse_known_args(words)
    assert not left or getattr(options, "passes_on", False), f"unknown: {left}"


def snakemake_takes(words: list[str]) -> None:
    options = get_argument_parser().parse_args(words)
    assert {*options.targets} <= {"all", "regress"}
    config = parse_config(options.config)
    asked = value_of(read_arguments(config, words, [config.get("experiment", "demo")]))
    Overrides(asked.overrides)


def make_takes(words: list[str]) -> None:
    targets = re.findall(r"^\.PHONY: (.*)", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)[0].split()
    assert {word for word in words if "=" not in word} <= {*targets}


def refused(program: str, words: list[str]) -> bool:
    try:
        takes(program, words)
    except SystemExit as end:  # what parsers do; help is no refusal
        return end.code != 0
    return False


@pytest.mark.parametrize("page", PAGES)
def test_each_command_in_a_block_is_taken(page: str) -> None:
    assert [(program, words) for program, words in typed(page) if refused(program, words)] == []


@pytest.mark.parametrize("page", PAGES)
def test_each_command_in_a_sentence_is_one(page: str) -> None:
    whole = [any(word.startswith("--") for word in words) for words in mentioned(page)]
    asked = [words if each else [*words, "--help"] for words, each in zip(mentioned(page), whole, strict=True)]
    assert [words for words in asked if refused("darkroom", words)] == []


def test_the_pages_have_commands_of_each_program() -> None:
    found = {program for page in PAGES for program, _ in typed(page)}
    assert found == {"darkroom", "snakemake", "make"}
    assert ["show", "PICTURE", "--as-conf"] in list(mentioned("README.md"))


@pytest.mark.parametrize("page", PAGES)
def test_what_is_shown_as_yaml_is_yaml(page: str) -> None:
    shown = [block for language, block in BLOCK.findall(text_of(page)) if language == "yaml"]
    assert all(isinstance(yaml.safe_load(block), dict) for block in shown)


def test_the_pages_checkpoint_has_keys_that_there_are() -> None:
    [example] = [block for _, block in BLOCK.findall(text_of("docs/conf.md")) if block.startswith("checkpoint:")]
    content = yaml.safe_load(example)["checkpoint"]
    source = value_of(read(CheckpointSource, content, Origin("docs/conf.md")))
    assert source.vae == "ai-toolkit/flux2_vae/ae.safetensors"

"""Texts without quotes that YAML takes for something else: each message says how to write them."""

import pytest
from tests.examples.small_project import project

__all__ = ["project"]


@pytest.mark.parametrize(
    ("line", "quoted"),
    [
        ("- [trigger] a photo of a person", '- "[trigger] a photo of a person"'),
        ("- [trigger]", '- "[trigger]"'),
        ("- [trigger]: a photo", '- "[trigger]: a photo"'),
        ("- {red|green} car", '- "{red|green} car"'),
        ("- close-up: a woman", '- "close-up: a woman"'),
        ("- a: b: c", '- "a: b: c"'),
        ("- *bold* text", '- "*bold* text"'),
        ("- *bold", '- "*bold"'),
        ("- &sons a shop", '- "&sons a shop"'),
        ("- & sons", '- "& sons"'),
        ("- !wow a cat", '- "!wow a cat"'),
        ("- % of cats", '- "% of cats"'),
        ("- @home", '- "@home"'),
        ("- `code`", '- "`code`"'),
        ("- | a pipe", '- "| a pipe"'),
        ("- #1 of all", '- "#1 of all"'),
        ('- "quoted" and more', "- '\"quoted\" and more'"),
        ("- prompt: [trigger] a cat", '- prompt: "[trigger] a cat"'),
        ("- prompt: close-up: a woman", '- prompt: "close-up: a woman"'),
        ("- neg: *bad", '- neg: "*bad"'),
    ],
)
def test_a_prompt_without_quotes(project, line, quoted):
    project.write("conf/prompts/p.yaml", f"prompts:\n  - a cat\n  {line}\n")
    assert project.error().endswith(f"; put the text in quotes: {quoted} (line 3)")


@pytest.mark.parametrize(
    "line",
    [
        "- {prompt: [trigger] a cat, seed: 1}",
        "- {prompt: a cat, sitting, seed: 1}",
        "- {prompt: a cat, neg: [bad]}",
        "- yes",
    ],
)
def test_a_text_inside_something_else(project, line):
    project.write("conf/prompts/p.yaml", f"prompts:\n  - a cat\n  {line}\n")
    assert project.error().endswith("; put the text in quotes (line 3)")


def test_a_trigger_word_without_quotes(project):
    project.write("conf/lora/l.yaml", "trigger_word: [sks]\nloras: [sks.safetensors]\n")
    assert project.error() == (
        "conf/lora/l.yaml: trigger_word: expected text, got ['sks']; "
        'put the text in quotes: trigger_word: "[sks]" (line 1)'
    )


def test_a_text_of_the_command_line(project):
    said = "override prompts.prompts[0].style: unknown key; put the text in quotes"
    assert project.error("prompts.prompts=[{style: a woman}]") == said


def test_a_comment_that_may_be_a_part_of_the_text(project):
    project.write("conf/prompts/p.yaml", 'prompts:\n  - a cat #1 of 9\n  - a bird   # the first\n  - "a dog #1"\n')
    assert [request.remarks.warnings for request in project.load().combinations[0].requests] == [
        ("#1 of 9 is a comment to YAML, and no part of the prompt: if it is text, put the text in quotes",),
        (),
        (),
    ]


def test_an_anchor_that_is_used_is_an_anchor(project):
    project.write("conf/prompts/p.yaml", "prompts:\n  - {prompt: &cat a cat, seed: 1}\n  - {prompt: *cat, seed: 2}\n")
    assert [request.text.prompt for request in project.load().combinations[0].requests] == ["a cat", "a cat"]


def test_other_mistakes_are_not_taken_for_texts(project):
    project.write("conf/model/m.yaml", "family: flux2\ncheckpoint: {repo: a/b\n")
    assert "quotes" not in project.error()

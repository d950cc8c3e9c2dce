"""Prompts that stand for several: which texts they give, how these are drawn, and what becomes of each."""

import re

import pytest
from tests.places import REPOSITORY


def write(project, content):
    project.write("conf/prompts/p.yaml", content)


def requests(project):
    [combination] = project.load().combinations
    return combination.requests


def texts(project, template):
    write(project, f"templates: [{template}]\n")
    return [request.text.prompt for request in requests(project)]


def error(project, template):
    write(project, f"templates: [{template}]\n")
    return project.error().removeprefix("conf/prompts/p.yaml: templates[0]: ")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("a {red|green} car", ["a red car", "a green car"]),
        ("a { red | green } car", ["a red car", "a green car"]),
        ("{a|b} {c|d}", ["a c", "a d", "b c", "b d"]),
        ("{red|{light|dark} blue}", ["red", "light blue", "dark blue"]),
        ("a car{, red|}", ["a car, red", "a car"]),
        ("{2$$a|b|c}", ["a,b", "a,c", "b,a", "b,c", "c,a", "c,b"]),
        ("{1-2$$ and $$a|b}", ["a", "b", "a and b", "b and a"]),
        ("{-1$$a|b}", ["a", "b"]),
        ("{2-$$ $$a|b}", ["a b", "b a"]),
        ("{5$$a|b}", ["a,b", "b,a"]),
        ("{0.7::a|0.3::b}", ["a", "b"]),
        ("{a|a}", ["a"]),
        ("no braces, 100% (red:1.2) #1 snake_case ___ }", ["no braces, 100% (red:1.2) #1 snake_case ___ }"]),
    ],
)
def test_every_combination(project, template, expected):
    assert texts(project, f'"{template}"') == expected


def test_lists_are_files_of_the_folder_wildcards(project):
    project.write("wildcards/colour.txt", "# what we have\nred\n\n{light|dark} green\n")
    project.write("wildcards/animals/cats.txt", "lynx\n")
    project.write("wildcards/animals/dogs.txt", "poodle\n")
    assert texts(project, '"a __colour__ car"') == ["a red car", "a light green car", "a dark green car"]
    assert texts(project, '"__animals/*__"') == ["lynx", "poodle"]
    assert texts(project, '"{2$$ $$__animals/*__}"') == ["lynx poodle", "poodle lynx"]


def test_the_folder_may_be_another(project):
    project.write("lists/colour.txt", "red\n")
    write(project, 'wildcards: lists\ntemplates: ["a __colour__ car"]\n')
    assert requests(project)[0].text.prompt == "a red car"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ('"__color__"', "__color__: there is no wildcards/color.txt; did you mean __colour__?"),
        ('"__x__"', "__x__: there is no wildcards/x.txt; known: __colour__, __loop__, __none__"),
        ('"__none__"', "__none__: wildcards/none.txt has no lines but blank ones and comments"),
        ('"__loop__"', "__loop__ has a line with __loop__ in it"),
        (
            '"a {red|green car"',
            "{ at character 3: there is no } that closes it; a text with braces of its own is a prompt",
        ),
        ('"%{a|b}"', "%{ at character 1: variables and wrappers are not taken; write the text in their place"),
        ('"{@a|b}"', "{ at character 1: the mark @ (cyclic) is not taken; `draws` says how texts are chosen"),
        (
            '"{a$$b|c}"',
            "{ at character 1: $$ stands behind a number, as in {2$$red|green} or {1-2$$ and $$red|green}",
        ),
        ('"{0::a|0::b}"', "{ at character 1: all weights are 0"),
        (
            '"' + "{a|b}" * 15_000 + '"',
            "stands for over 1,000,000,000,000,000 texts; expected 1000 at most: `draws: 100` takes a hundred of them",
        ),
        (
            '"{0|1|2|3|4|5|6|7|8|9}{0|1|2|3|4|5|6|7|8|9}{0|1|2|3|4|5|6|7|8|9}{9-$$0|1|2|3|4|5|6|7|8|9}"',
            "stands for 7,257,600,000 texts; expected 1000 at most: `draws: 100` takes a hundred of them",
        ),
        ('"' + "{" * 20_000 + "a" + "}" * 20_000 + '"', "more than 50 choices and lists inside each other"),
        (
            '"{' + "9" * 5000 + '$$a|b}"',
            "{ at character 1: $$ stands behind a number, as in {2$$red|green} or {1-2$$ and $$red|green}",
        ),
        (
            '"{1-$$' + "|".join(map(str, range(101))) + '}"',
            "{ at character 1: takes up to 101 of them; expected 100 at most, as in {1-3$$…}",
        ),
        ('{prompt: "{a|b}", draws: 3}', "draws: 3 of 2 texts; without it there is every one"),
        ('{prompt: "{a|a}", draws: 2}', "draws: 2, and no more than 1 different texts come up"),
    ],
)
def test_what_is_no_template(project, template, message):
    project.write("wildcards/colour.txt", "red\n")
    project.write("wildcards/none.txt", "# nothing\n")
    project.write("wildcards/loop.txt", "a\nb __loop__\n")
    assert error(project, template) == message


def test_without_a_folder_of_lists_it_is_said_where_they_go(project):
    assert error(project, '"__colour__"') == (
        "__colour__: there is no wildcards/colour.txt; no .txt file is below wildcards/, which prompts name with "
        "`wildcards`"
    )


def test_draws_are_different_texts_and_the_same_ones_every_time(project):
    drawn = texts(project, '{prompt: "{a|b|c|d} {1|2|3}", draws: 5}')
    assert drawn == ["d 1", "b 1", "c 2", "d 3", "c 3"]
    assert texts(project, '{prompt: "{a|b|c|d} {1|2|3}", draws: 7}')[:5] == drawn
    assert sorted(texts(project, '{prompt: "{a|b|c|d} {1|2|3}", draws: 12}')) == sorted(
        texts(project, '"{a|b|c|d} {1|2|3}"')
    )


def test_another_draw_seed_draws_others(project):
    one, other = (texts(project, f'{{prompt: "{{a|b|c|d}} {{1|2|3}}", draws: 5, draw_seed: {n}}}') for n in (0, 1))
    assert one != other


def test_a_weight_says_how_often_something_is_drawn(project):
    write(project, 'templates: [{prompt: "{9::a|1::b} {1|2|3|4|5|6|7|8|9}{1|2|3|4|5|6|7|8|9}", draws: 40}]\n')
    firsts = [request.text.prompt[0] for request in requests(project)]
    assert firsts.count("a") > 3 * firsts.count("b") > 0


def test_what_is_drawn_does_not_depend_on_the_lora(project):
    project.write("conf/lora/k.yaml", "trigger_word: another\nloras: [sks.safetensors]\n")
    write(project, 'templates: [{prompt: "${lora.trigger_word} {a|b|c|d}{1|2|3}", draws: 3}]\n')
    first, second = project.load("matrix.lora=[l,k]").combinations
    drawn = [[request.text.prompt for request in each.requests] for each in (first, second)]
    assert [text.replace("sks", "another") for text in drawn[0]] == drawn[1]


def test_each_text_is_a_prompt_of_its_own_behind_those_that_are_written(project):
    project.write("list.txt", "a line\n")
    write(project, 'templates: ["a {red|green} car"]\nfile: list.txt\nprompts: ["a {red|green} door"]\n')
    made = requests(project)
    assert [(each.title.index, each.title.image_name, each.sampling.seed, each.text.prompt) for each in made] == [
        (0, "000_42", 42, "a {red|green} door"),
        (1, "001_43", 43, "a line"),
        (1000, "1000_1042", 1042, "a red car"),
        (1001, "1001_1043", 1043, "a green car"),
    ]
    assert [each.asked.drawn_from for each in made] == [None, None, "a {red|green} car", "a {red|green} car"]
    assert [len(each.remarks.warnings) for each in made] == [1, 0, 0, 0]


def test_settings_of_a_template_go_for_each_of_its_texts(project):
    write(project, 'templates: [{prompt: "{a|b}", seed: 7, width: 512}]\n')
    assert [(each.sampling.seed, each.sampling.width) for each in requests(project)] == [(7, 512), (7, 512)]


def test_a_negative_prompt_is_a_template_too(project):
    write(project, 'templates: [{prompt: "{a|b}", neg: "{dark|blurry}", guidance_scale: 4}]\n')
    assert [(each.text.prompt, each.text.neg) for each in requests(project)] == [
        ("a", "dark"),
        ("a", "blurry"),
        ("b", "dark"),
        ("b", "blurry"),
    ]


def test_a_template_without_a_neg_leaves_it_to_the_set(project):
    write(project, 'defaults: {neg: "{dark}", guidance_scale: 4}\ntemplates: ["{a|b}"]\n')
    assert {each.text.neg for each in requests(project)} == {"{dark}"}


def test_the_trigger_word_goes_into_the_text_that_was_drawn(project):
    write(project, 'templates: ["{[trigger]|a dog} runs"]\n')
    first, second = requests(project)
    assert (first.asked.prompt_template, first.text.prompt) == ("[trigger] runs", "sks runs")
    assert second.text.prompt == "a dog runs"


def test_what_is_added_changes_no_picture_that_is_there(project):
    project.write("wildcards/colour.txt", "red\ngreen\n")
    write(project, 'prompts: ["a dog"]\ntemplates: ["a __colour__ car", "a {big|small} door"]\n')
    before = project.load()
    project.write("wildcards/colour.txt", "red\ngreen\nblue\n")
    write(project, 'prompts: ["a dog", "a cat"]\ntemplates: ["a __colour__ car", "a {big|small} door"]\n')
    after = project.load()
    [one], [other] = before.combinations, after.combinations
    assert before.digest(one.names) != after.digest(other.names)
    pictures = {each.title.image_name: each.request_id for each in other.requests}
    assert len(pictures) == 5 + 2
    assert {each.title.image_name: each.request_id for each in one.requests}.items() < pictures.items()


def test_the_example_of_the_page_renders_without_a_warning(project):
    page = (REPOSITORY / "docs/templates.md").read_text(encoding="utf-8")
    file, example = re.findall(r"```yaml\n# (conf/\S+)\n(.*?)```", page, re.DOTALL)[0]
    project.write(file, example)
    project.write("wildcards/colour.txt", "red\ngreen\nblue\nwhite\n")
    [combination] = project.load("matrix.prompts=cars").combinations
    assert len(combination.requests) == 2 + 8
    assert {each.remarks.warnings for each in combination.requests} == {()}


def test_a_thousand_prompts_leave_room_for_templates_and_more_do_not(project):
    project.write("list.txt", "a line\n" * 1001)
    write(project, 'file: list.txt\ntemplates: ["{a|b}"]\n')
    assert project.error() == (
        "conf/prompts/p.yaml: templates: beside 1001 prompts, expected 1000 at most; give them a set of their own"
    )


def test_a_prompt_of_the_matrix_is_drawn_from_nothing(project):
    write(project, 'templates: ["{a|b}"]\n')
    [first, _] = project.load("+matrix.prompt=[a dog]").combinations[0].requests
    assert (first.text.prompt, first.asked.drawn_from) == ("a dog", None)

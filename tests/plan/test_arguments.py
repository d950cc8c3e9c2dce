"""The name of an experiment is the text that was typed, whatever Snakemake makes of it."""

import pytest
from snakemake.cli import parse_config

from darkroom.errors import ConfigError, collected
from darkroom.plan.arguments import Arguments, read_arguments

NUMBERS = ["2026_02_14", "007", "7", "1.10", "1e5", "1e3", "True", "nan", "inf", "-1", "0x10", "true", "null", "yes"]


def read(*words, job=False, known=(), config=None):
    """What `snakemake --config WORDS` asks for, and what is wrong with it."""
    config = parse_config(words) if config is None else config
    command_line = None if job else ["snakemake", "--cores", "1", "--config", *words]
    return collected(read_arguments(config, command_line, known))


def asked(experiment):
    return Arguments(experiment, name=experiment, overrides=())


@pytest.mark.parametrize("name", NUMBERS)
def test_a_name_is_the_text_as_typed(name):
    assert read(f"experiment={name}") == (asked(name), [])


@pytest.mark.parametrize("word", ["experiment='007'", "--config=experiment=007", "-Cexperiment=007"])
def test_however_it_is_typed(word):
    command_line = ["snakemake", word]
    assert collected(read_arguments({"experiment": 7}, command_line, ())) == (asked("007"), [])


def test_the_last_one_counts():
    assert read("experiment=7", "experiment=007") == (asked("007"), [])


@pytest.mark.parametrize("name", NUMBERS)
def test_a_job_finds_the_experiment_that_the_main_process_found(name):
    others = {"demo", "20260215", "8", "1.2", "2e5"}
    assert read(f"experiment={name}", job=True, known={name, *others}) == (asked(name), [])


def test_a_job_never_takes_another_experiment():
    _, errors = read("experiment=7", job=True, known=["007", "7"])
    assert [str(error) for error in errors] == [
        "--config experiment: Snakemake reads it as the number 7, and the experiments 007 and 7 read alike: "
        "write 'experiment=!!str 007' after --config, \"007\" in quotes in a file"
    ]


def test_a_number_of_a_file_is_refused_with_the_quoting_that_works():
    _, errors = read(config={"experiment": 7}, known=["007"])
    assert [str(error) for error in errors] == [
        "--config experiment: Snakemake reads it as the number 7, and how it was typed cannot be seen: "
        "write 'experiment=!!str 007' after --config, \"007\" in quotes in a file"
    ]
    assert read("experiment=!!str 007") == (asked("007"), [])


def test_what_is_no_name():
    assert [str(error) for error in read("experiment=")[1]] == ["--config experiment: expected a name, got None"]
    assert [str(error) for error in read("experiment=[a]")[1]] == ["--config experiment: expected a name, got ['a']"]


def test_an_unknown_key_is_told_the_known_ones_once():
    (error,) = read("experiment=x", "colour=4")[1]
    assert str(error) == '--config colour: unknown key; expected experiment=NAME, name=NAME or set=["KEY=VALUE", …]'


def test_a_setting_beside_the_experiment():
    (error,) = read("experiment=x", "steps=4")[1]
    assert isinstance(error, ConfigError)
    assert str(error) == (
        '--config steps: unknown key; expected experiment=NAME, name=NAME or set=["KEY=VALUE", …]; '
        'steps: set=["matrix.sample_steps=VALUE"]'
    )


def test_a_variant_has_a_name_of_its_own_in_results():
    assert read("experiment=strength", "name=strength_fast", 'set=["model.numerics=fast"]', known=["strength"]) == (
        Arguments("strength", name="strength_fast", overrides=("model.numerics=fast",)),
        [],
    )
    assert read("experiment=strength", "name=!!str 007")[0].name == "007"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("007", "--config name: Snakemake reads it as the number 7: write 'name=!!str 007'"),
        ("../x", "--config name: '../x' is not a usable name: letters, digits, '.', '_' and '-' only, a letter or "),
        ("demo", "--config name=demo: results/demo is experiment demo's own; name it otherwise"),
        ("store", "--config name=store: results/store is the store's; name it otherwise"),
    ],
)
def test_a_variant_takes_no_folder_of_anothers(name, said):
    (error,) = read("experiment=strength", f"name={name}", known=["demo", "strength"])[1]
    assert str(error).startswith(said)

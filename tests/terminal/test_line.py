"""What a person types becomes one line of Snakemake."""

import sys
from pathlib import Path

import pytest

from darkroom import OWN_FOLDER
from darkroom.errors import DarkroomError, value_of
from darkroom.terminal.line import read_words, snakemake_line

SNAKEFILE = str(OWN_FOLDER / "Snakefile")
OWN_PROFILE = str(OWN_FOLDER / "profiles/default")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SNAKEMAKE_PROFILE", raising=False)


def line(*words: str, target: str | None = None, name: str | None = None, fresh: bool = False) -> list[str]:
    """But for Python, `-P -m snakemake` and `--quiet host`, which are in each."""
    made = snakemake_line(value_of(read_words(words)), target, name, fresh=fresh)
    quiet = made.index("--quiet")
    assert made[:4] == [sys.executable, "-P", "-m", "snakemake"]
    assert made[quiet : quiet + 2] == ["--quiet", "host"]
    return made[4:quiet] + made[quiet + 2 :]


def refused(*words: str) -> str:
    with pytest.raises(DarkroomError) as caught:
        value_of(read_words(words))
    return str(caught.value)


BUILT_IN = ["--profile", OWN_PROFILE, "--workflow-profile", "none"]


def test_an_experiment_needs_nothing_else():
    assert line("demo") == ["-s", SNAKEFILE, *BUILT_IN, "--config", "experiment=demo"]


def test_key_value_words_are_overrides_wherever_they_stand():
    assert line("model.numerics=fast", "demo", "--cores", "4", "matrix.seed=[1,2]") == [
        *("-s", SNAKEFILE, *BUILT_IN, "--cores", "4"),
        *("--config", "experiment=demo", 'set=["model.numerics=fast", "matrix.seed=[1,2]"]'),
    ]


def test_values_of_snakemakes_options_are_no_overrides():
    words = ("demo", "-n", "--resources", "gpu=2", "--set-resources", "render:offload=block")
    assert line(*words)[-7:-2] == ["-n", "--resources", "gpu=2", "--set-resources", "render:offload=block"]
    assert line(*words)[-2:] == ["--config", "experiment=demo"]
    assert value_of(read_words(words)).is_dry_run


def test_a_text_that_is_not_ascii_stays_as_it_is():
    assert line("demo", 'matrix.prompt=["ein Bär 🐻"]')[-1] == 'set=["matrix.prompt=[\\"ein Bär 🐻\\"]"]'


@pytest.mark.parametrize("name", ["007", "1.10", "2026_02_14", "1e5"])
def test_a_name_that_snakemake_takes_for_a_number_stays_a_name(name: str):
    assert line(name, name=name)[-2:] == [f"experiment=!!str {name}", f"name=!!str {name}"]


def test_a_target_and_a_variant():
    made = line("my_job", "model.numerics=fast", target="regress", name="my_job_fast")
    assert made[:3] == ["regress", "-s", SNAKEFILE]
    assert made[-3:] == ["experiment=my_job", "name=my_job_fast", 'set=["model.numerics=fast"]']


def test_a_fresh_run_forces_what_computes():
    made = line("my_job", target="regress", fresh=True)
    assert made[-6:] == ["--forcerun", "encode", "render", "--config", "experiment=my_job", "fresh=True"]


def test_profiles_of_a_person_go_ahead_of_the_built_in_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert line("demo", "--profile", "site")[2:-2] == [*BUILT_IN, "--profile", "site"]
    assert line("demo", "--profile", "none")[2:-2] == ["--workflow-profile", "none", "--profile", "none"]
    assert line("demo", "--workflow-profile", "mine")[2:-2] == [*BUILT_IN[:2], "--workflow-profile", "mine"]
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "site")
    assert line("demo")[2:-2] == ["--profile", OWN_PROFILE, "--profile", "site", "--workflow-profile", "none"]
    monkeypatch.delenv("SNAKEMAKE_PROFILE")
    (tmp_path / "profiles/default").mkdir(parents=True)
    assert line("demo")[2:-2] == ["--profile", OWN_PROFILE, "--workflow-profile", "profiles/default"]


def test_a_profile_of_darkrooms_own_is_found_by_its_name_unless_the_person_has_one(tmp_path: Path):
    own = str(OWN_FOLDER / "profiles/slurm")
    assert line("demo", "--profile", "slurm")[2:-2] == [*BUILT_IN, "--profile", own]
    assert line("demo", "--profile=slurm")[2:-2] == [*BUILT_IN, f"--profile={own}"]
    (tmp_path / "slurm").mkdir()
    (tmp_path / "slurm/config.yaml").write_text("jobs: 3\n")
    assert line("demo", "--profile", "slurm")[2:-2] == [*BUILT_IN, "--profile", "slurm"]


def test_a_snakefile_of_ones_own_takes_the_place_of_the_built_in_one():
    assert line("demo", "-s", "mine.smk")[:4] == [*BUILT_IN]


def test_a_name_of_nothing_is_not_taken_for_none():
    assert line("demo", name="")[-1] == "name=!!str "


def test_without_an_experiment_there_is_none():
    assert value_of(read_words(["-n"])).experiment is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("demo strength", "one experiment at a time: got demo and strength; overrides are written key=value"),
        ("demo --croes 4", "--croes: neither Darkroom nor Snakemake has such an option"),
        ("demo --rerun-triggers x", "argument --rerun-triggers: "),
        ("demo --cores x", "Error parsing number of cores (--cores, -c): must be integer or 'all'"),
        ("demo --set-resources render:gpu=1 model.dtype=float32", "takes what follows: put key=value first"),
        ("demo --config a=b", "--config: is what Darkroom writes; the experiment and key=value overrides are bare"),
        ("demo --directory there", "--directory: go there first: cd there"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(words: str, said: str):
    assert said in refused(*words.split())

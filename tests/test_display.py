"""Text and paths as people are shown them."""

from pathlib import Path

import pytest

from darkroom.display import from_here, lasting, named, on_page, printable, sized, table
from darkroom.errors import ConfigError, DarkroomError, Problems, WeightFileError


def test_what_would_command_a_terminal_is_escaped():
    assert printable("a cat – 猫\x1b[31m\n") == "a cat – 猫\\x1b[31m\\n"


def test_of_many_names_the_first_are_named_and_all_counted():
    assert (named(["a", "b", "c"]), named([])) == ("a, b, c", "")
    assert named(["a", "b", "c", "d"]) == "a, b, c, … (4 in all)"


@pytest.mark.parametrize(
    ("path", "shown"),
    [("{here}/a/b.png", "a/b.png"), ("a/b.png", "a/b.png"), ("/elsewhere/b.png", "/elsewhere/b.png")],
)
def test_paths_are_relative_where_they_lie_below_here(tmp_path, monkeypatch, path, shown):
    monkeypatch.chdir(tmp_path)
    assert str(from_here(Path(path.format(here=tmp_path)))) == shown


def test_a_path_that_leads_out_by_a_link_is_not_below_here(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "out" / "deep").mkdir(parents=True)
    (tmp_path / "here/link").symlink_to(tmp_path / "out/deep")
    monkeypatch.chdir(tmp_path / "here")
    assert from_here(Path("link/../b.png")) == tmp_path / "out/b.png"


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 bytes"), (999, "999 bytes"), (1_400, "1 kB"), (1_449_999, "1.4 MB"), (64_400_000_000, "64.4 GB")],
)
def test_sizes_are_in_the_unit_that_suits_them(count, said):
    assert sized(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(7.4, "7 s"), (61, "1 min 1 s"), (12_000, "3 h 20 min"), (5_483_520, "63 days 11 h")]
)
def test_times_are_in_the_two_units_that_suit_them(seconds, said):
    assert lasting(seconds) == said


def test_a_tables_columns_are_as_wide_as_their_widest_cell():
    assert table([("name", "size"), ("a", "1"), ("longer", "20")], right=(1,)) == [
        "name    size",
        "a          1",
        "longer    20",
    ]


def test_a_page_shows_every_script_and_obeys_none():
    shown = on_page("שלום \u2066x\u202e y\x1b[2J 👩\u200d🚀\n\u00a0é \ud800")
    assert shown == "שלום \\u2066x\\u202e y\\x1b[2J 👩\u200d🚀\n\u00a0é \\ud800"


def test_what_would_command_a_terminal_or_begin_a_line_of_its_own_is_escaped_in_errors():
    error = WeightFileError("a.safetensors: tensor \x1b[2Jgone\ndarkroom: all is well \u202egnp\udce9")
    assert str(error) == "a.safetensors: tensor \\x1b[2Jgone\\ndarkroom: all is well \\u202egnp\\udce9"


def test_an_error_in_several_lines_says_so():
    assert str(DarkroomError("its last words:\n  \x1b[31mred", lines=True)) == "its last words:\n  \\x1b[31mred"
    assert str(Problems([ConfigError("one\n- two"), ConfigError("three")])) == "2 problems:\n  - one\\n- two\n  - three"


def test_a_name_without_end_is_cut_in_an_error():
    assert str(ConfigError("unknown key " + "x" * 10**6)) == "unknown key " + "x" * 3_988 + " …"

"""What a run writes down before it renders: the table of contents, and whose variant the experiment is."""

from pathlib import Path

import pytest

from darkroom.errors import StoreError
from darkroom.files.atomic import write_json
from darkroom.names import Names
from darkroom.planned import Contained, Contents

CONTENTS = Contents(
    experiment="strength_fast",
    source="strength",
    combinations=(Contained(Names("demo", "none", "cats"), 4, 4), Contained(Names("demo", "demo_lora", "cats"), 4, 0)),
)


def test_a_table_of_contents_is_read_as_it_was_written(tmp_path: Path) -> None:
    CONTENTS.write(tmp_path / "contents.json")
    assert Contents.read(tmp_path / "contents.json") == CONTENTS


def test_one_of_an_earlier_version_says_nothing_of_variants(tmp_path: Path) -> None:
    write_json(tmp_path / "contents.json", {"experiment": "strength", "combinations": [["demo", "none", "cats", 4, 0]]})
    contents = Contents.read(tmp_path / "contents.json")
    assert contents.source == "strength"
    assert contents.combinations == (Contained(Names("demo", "none", "cats"), 4, 0),)


@pytest.mark.parametrize("content", [{}, [], {"experiment": "strength", "combinations": [["demo"]]}])
def test_what_is_none_is_named(tmp_path: Path, content: object) -> None:
    write_json(tmp_path / "contents.json", content)
    with pytest.raises(StoreError, match=r"contents\.json: of another version of Darkroom"):
        Contents.read(tmp_path / "contents.json")

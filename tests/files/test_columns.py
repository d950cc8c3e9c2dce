"""A table from a dataclass: what each annotation becomes, and what one more line brings about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from darkroom.errors import StoreError, VersionError
from darkroom.files.columns import columns_of, groups_of, row_of, schema_of, value_of, version_of
from darkroom.files.table_file import read_values, table_of, write_values


@dataclass(frozen=True)
class File:
    path: str
    sha256: str = ""


@dataclass(frozen=True)
class Place:
    room: str
    shelf: int | None = None


@dataclass(frozen=True)
class Print:
    """Each kind of column once."""

    name: str
    copies: int
    size: float
    is_framed: bool
    note: str | None
    files: tuple[File, ...]
    words: tuple[str, ...]
    axes: tuple[tuple[str, Any], ...]
    known: Mapping[str, Any]
    place: Place


@dataclass(frozen=True)
class Loan:
    """A name that is there twice, a part that may be missing as a whole."""

    file: File
    sha256: str | None
    place: Place | None


PRINT = Print(
    name="star",
    copies=2,
    size=0.5,
    is_framed=False,
    note=None,
    files=(File("a.png", "ab"),),
    words=("red", "blue"),
    axes=(("seed", 1), ("neg", None)),
    known={"seed": 7},
    place=Place("attic"),
)


def test_each_annotation_is_a_type():
    assert [str(each).replace(" not null", "!") for each in schema_of(Place)] == [
        "pyarrow.Field<room: string!>",
        "pyarrow.Field<shelf: int64>",
    ]
    assert {each.name: str(each.type) for each in schema_of(Print)} == {
        "name": "string",
        "copies": "int64",
        "size": "double",
        "is_framed": "bool",
        "note": "string",
        "files": "list<item: struct<path: string not null, sha256: string not null>>",
        "words": "list<item: string>",
        "axes": "list<item: struct<name: string not null, value: string not null>>",
        "known": "string",
        "room": "string",
        "shelf": "int64",
    }


def test_a_row_is_plain_and_becomes_the_value_again():
    assert row_of(PRINT) == {
        **{"name": "star", "copies": 2, "size": 0.5, "is_framed": False, "note": None},
        "files": [{"path": "a.png", "sha256": "ab"}],
        "words": ["red", "blue"],
        "axes": [{"name": "seed", "value": "1"}, {"name": "neg", "value": "null"}],
        "known": '{"seed": 7}',
        **{"room": "attic", "shelf": None},
    }
    assert value_of(Print, row_of(PRINT)) == PRINT


def test_a_name_that_is_there_twice_is_one_column_of_the_last_ones_type():
    assert list(columns_of(Loan)) == ["path", "sha256", "room", "shelf"]
    assert [name for name, column in columns_of(Loan).items() if column.nullable] == ["sha256", "room", "shelf"]


def test_columns_are_grouped_by_the_field_that_they_are_in_or_as_they_say_themselves():
    @dataclass(frozen=True)
    class Hung:
        place: Place
        nail: int = field(metadata={"group": "place"})
        file: File

    assert groups_of(Hung) == {"place": ["room", "shelf", "nail"], "file": ["path", "sha256"]}


def test_a_part_that_is_missing_is_null_in_all_its_columns():
    loan = Loan(File("a.png", "ab"), "ab", None)
    assert row_of(loan) == {"path": "a.png", "sha256": "ab", "room": None, "shelf": None}
    assert value_of(Loan, row_of(loan)) == loan


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"room": None}, "room: expected text, got null"),
        ({"room": 7}, "room: expected text, got 7"),
        ({"shelf": True}, "shelf: expected a whole number, got True"),
        ({"shelf": 1.0}, r"shelf: expected a whole number, got 1\.0"),
    ],
)
def test_a_value_of_another_type_is_named(change, said):
    with pytest.raises(ValueError, match=said):
        value_of(Place, {"room": "attic", "shelf": 3} | change)


class TestOneMoreColumn:
    """Is one line, with which older files are read and younger ones are refused by older Darkrooms."""

    @dataclass(frozen=True)
    class Grown:
        room: str
        shelf: int | None = None
        light: str = field(default="red", metadata={"since": 2})  # the line

    def read(self, path: Path, cls: type[Any]) -> Any:
        return read_values(path, cls, again="make it", restore="delete it")[0]

    def test_it_is_in_the_table_and_raises_its_version(self, tmp_path):
        assert (version_of(Place), version_of(self.Grown)) == (1, 2)
        write_values(tmp_path / "t.parquet", self.Grown, [self.Grown("attic", 3, "green")], {})
        assert self.read(tmp_path / "t.parquet", self.Grown) == (self.Grown("attic", 3, "green"),)

    def test_an_older_file_has_its_default_there(self, tmp_path):
        write_values(tmp_path / "t.parquet", Place, [Place("attic", 3)], {"by": "anna"})
        assert self.read(tmp_path / "t.parquet", self.Grown) == (self.Grown("attic", 3, "red"),)

    def test_an_older_darkroom_refuses_the_newer_file(self, tmp_path):
        write_values(tmp_path / "t.parquet", self.Grown, [self.Grown("attic")], {})
        with pytest.raises(
            VersionError, match=r"t\.parquet: of format 2, .* this one reads 1 and older: update it, or"
        ):
            self.read(tmp_path / "t.parquet", Place)

    def test_in_a_struct_as_well(self, tmp_path):
        @dataclass(frozen=True)
        class Old:
            places: tuple[Place, ...]

        @dataclass(frozen=True)
        class New:
            places: tuple[TestOneMoreColumn.Grown, ...]

        write_values(tmp_path / "t.parquet", Old, [Old((Place("attic"),))], {})
        assert self.read(tmp_path / "t.parquet", New) == (New((self.Grown("attic"),)),)
        write_values(tmp_path / "t.parquet", New, [New((self.Grown("attic"),))], {})
        with pytest.raises(VersionError, match="of format 2"):
            self.read(tmp_path / "t.parquet", Old)

    def test_without_the_version_the_file_says_what_is_wrong(self, tmp_path):
        @dataclass(frozen=True)
        class Forgotten:
            room: str
            light: str

        write_values(tmp_path / "t.parquet", Place, [Place("attic")], {})
        with pytest.raises(StoreError, match=r"missing: \['light'\], unknown: \['shelf'\]\); delete it"):
            self.read(tmp_path / "t.parquet", Forgotten)

    def test_it_needs_a_default_or_may_be_null(self):
        @dataclass(frozen=True)
        class Wrong:
            light: str = field(metadata={"since": 2})

        with pytest.raises(TypeError, match=r"Wrong\.light: came later, so it needs a default, or may be null"):
            columns_of(Wrong)


def test_metadata_that_is_no_text_is_a_damaged_file(tmp_path):
    table = table_of(Place, [Place("attic")]).replace_schema_metadata({b"by": b"\xff"})
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(StoreError, match=r"t\.parquet: expected metadata in UTF-8, got other bytes .*; delete it"):
        read_values(tmp_path / "t.parquet", Place, again="make it", restore="delete it")


def test_what_is_read_is_what_was_written(tmp_path):
    write_values(tmp_path / "t.parquet", Print, [PRINT], {"by": "anna"})
    assert read_values(tmp_path / "t.parquet", Print, again="", restore="") == ((PRINT,), {"by": "anna"})

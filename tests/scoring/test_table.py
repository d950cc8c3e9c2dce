"""Tables of scores: ours come back as they were written, anybody's are read or refused in a sentence."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from darkroom.errors import StoreError
from darkroom.scoring.table import Score, read_foreign, read_scores, write_scores


def test_what_is_written_is_read_and_named_by_its_scorer(tmp_path: Path) -> None:
    own, many = tmp_path / "diversity.parquet", tmp_path / "faces.parquet"
    write_scores(own, "diversity", "higher", {"diversity": {"a1": 0.25, "b2": 0.5}})
    write_scores(many, "faces", None, {"count": {"a1": 2.0}, "sharp": {"b2": 0.5}})
    assert read_scores(own) == (Score("diversity", {"a1": 0.25, "b2": 0.5}, "higher"),)
    assert read_scores(many) == (Score("faces.count", {"a1": 2.0}), Score("faces.sharp", {"b2": 0.5}))


def test_a_table_of_anybody_s_is_csv_or_parquet_whatever_its_name(tmp_path: Path) -> None:
    text, table = tmp_path / "one", tmp_path / "two"
    text.write_text("request,count,sharp\na1,2,\nb2,,0.5\n")
    pq.write_table(pa.table({"request": ["a1", "b2"], "count": [2, None], "sharp": [float("nan"), 0.5]}), table)
    expected = {"count": {"a1": 2.0}, "sharp": {"b2": 0.5}}
    assert read_foreign(text, ["a1", "b2"]) == read_foreign(table, ["a1", "b2"]) == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("id,sharp\na1,1\n", "expected the column request and at least one of numbers, got id, sharp"),
        ("request\na1\n", "expected the column request and at least one of numbers, got request"),
        ("request,sharp\na1,very\n", "sharp: expected a number, got 'very' for a1"),
        ("request,sharp\na1,1\na1,2\n", "request 'a1' is there twice: a picture has one score"),
        ("request,sharp\nc3,1\n", "1 request that the manifest does not have, such as 'c3': the column request is "),
        ("", "expected the column request and at least one of numbers, got none"),
        ("PAR1 and no more", "not a whole Parquet file"),
        ("request,b,b\na1,1,2\n", "the column b is there twice: a score has one"),
        ("request,\na1,1\n", "a column has no name: got 'request', ''"),
        ("request,b\na1,1,2\n", "a1,1,2: has 3 values, and the head names 2"),
    ],
)
def test_what_cannot_be_meant_is_a_sentence(tmp_path: Path, content: str, said: str) -> None:
    table = tmp_path / "table"
    table.write_text(content)
    with pytest.raises(StoreError) as caught:
        read_foreign(table, ["a1", "b2"])
    assert said in str(caught.value)


def test_columns_of_parquet_that_are_no_numbers_are_a_sentence(tmp_path: Path) -> None:
    not_text = pa.array([b"\xff"], pa.binary()).view(pa.binary())
    broken = pa.StringArray.from_buffers(1, not_text.buffers()[1], not_text.buffers()[2])
    for name, column, said in [
        ("when", pa.array([1], pa.timestamp("ns")), r"when: expected numbers, got timestamp\[ns\] "),
        ("when", pa.array([1], pa.date32()), "when: expected a number, got datetime.date"),
        ("sharp", broken, "sharp: expected numbers, got string "),
    ]:
        pq.write_table(pa.table({"request": ["a1"], name: column}), tmp_path / "table")
        with pytest.raises(StoreError, match=f"^mine: {said}"):
            read_foreign(tmp_path / "table", ["a1"], called="mine")

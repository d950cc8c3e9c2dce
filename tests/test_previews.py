"""The table of stored previews: what goes in comes out, and a damaged one says what is wrong with it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.examples.record import REQUEST
from tests.places import REPOSITORY

from darkroom import OWN_FOLDER
from darkroom.errors import StoreError, VersionError
from darkroom.files.columns import row_of, schema_of
from darkroom.previews import TRAINER, Preview, Replaced, read_previews, stored_previews, write_previews
from darkroom.request.picture_key import PictureKey, axes_text

PREVIEW = Preview(
    model="klein",
    lora="anna_000000250",
    prompts="anna",
    index=0,
    path="output/anna/samples/1750000000000__000000250_0.jpg",
    sha256="ab" * 32,
    width=64,
    height=64,
    origin=TRAINER,
    step=250,
    then={"seed": 42, "prompt": "a cat – 猫"},
    replaced=(Replaced("previews/anna/replaced/1.png", "cd" * 32, "me@here", "2026-01-02T03:04:05+00:00"),),
)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "previews/anna/previews.parquet"


def test_what_goes_in_comes_out(table: Path) -> None:
    lacking = replace(PREVIEW, index=1, path=None, reason="the trainer left no such picture", replaced=())
    write_previews(table, "anna", [PREVIEW, lacking])
    assert read_previews(table) == (PREVIEW, lacking)


def test_a_render_and_its_preview_have_the_same_key() -> None:
    axes = axes_text([("seed", 1), ("network_multiplier", 0.5)])
    assert axes == '{"network_multiplier":0.5,"seed":1}'
    render = REQUEST.changed(model="klein", lora="none", prompts="p", index=3, axes=(("seed", 1),))
    assert PictureKey.of(render) == PictureKey("klein", "none", "p", 3, '{"seed":1}')
    assert PictureKey.of(render) == replace(PREVIEW, lora="none", prompts="p", index=3, axes='{"seed":1}').key


def test_none_yet(table: Path) -> None:
    with pytest.raises(
        StoreError, match=r"previews\.parquet: there are no stored previews: `darkroom import aitk JOB`"
    ):
        read_previews(table)


@pytest.mark.parametrize(
    ("then", "message"),
    [('{"seed": [1,2}', "row 0: then: expected JSON"), ("[]", r"row 0: then: expected keys and values, got \[\]")],
)
def test_facts_that_cannot_be_read(table: Path, then: str, message: str) -> None:
    rewrite(table, [row_of(PREVIEW) | {"then": then}], {"format": "1", "experiment": "anna"})
    with pytest.raises(StoreError, match=message):
        read_previews(table)


def test_a_table_of_a_newer_version(table: Path) -> None:
    rewrite(table, [row_of(PREVIEW)], {"format": "9", "experiment": "anna"})
    with pytest.raises(VersionError, match="of format 9, so a newer Darkroom wrote it; this one reads 3 and older"):
        read_previews(table)


def test_darkrooms_own_list_is_read() -> None:
    previews = read_previews(REPOSITORY / "previews/demo_nightly/previews.parquet")
    assert len(previews) == 18
    assert (previews[0].key.lora, previews[0].then["seed"]) == ("demo_lokr", 2)
    assert {each.maker_in_words for each in previews} == {"darkroom"}
    training = read_previews(REPOSITORY / "previews/demo_training/previews.parquet")
    assert {each.maker_in_words for each in training} == {"darkroom, saved as ai-toolkit saves"}
    assert not any(each.is_by_trainer for each in (*previews, *training))
    assert replace(training[0], drawn_by=None).is_by_trainer


def test_a_table_without_columns_that_have_a_default(table: Path) -> None:
    rewrite(table, [row_of(PREVIEW)], {"experiment": "anna"}, without=["note", "replaced", "accepted_by"])
    assert read_previews(table) == (replace(PREVIEW, replaced=()),)


def test_a_row_that_is_there_twice(table: Path) -> None:
    write_previews(table, "anna", [PREVIEW, PREVIEW])
    with pytest.raises(StoreError, match=r"lists output/anna/samples/1750000000000__000000250_0\.jpg twice"):
        read_previews(table)


def test_a_file_that_is_no_table(table: Path) -> None:
    table.parent.mkdir(parents=True)
    table.write_bytes(b"PAR1")
    with pytest.raises(StoreError, match="not a whole Parquet file"):
        read_previews(table)


def rewrite(table: Path, rows: list[dict[str, object]], metadata: dict[str, str], without: Sequence[str] = ()) -> None:
    table.parent.mkdir(parents=True)
    whole = pa.Table.from_pylist(rows, schema=schema_of(Preview))
    pq.write_table(whole.drop_columns(list(without)).replace_schema_metadata(metadata), table)


@pytest.mark.parametrize(
    ("strange", "said"),
    [
        ({"format": "9" * 5_000}, "expected a number for its format, got '9999"),
        ({"format": "٣"}, "expected a number for its format, got '٣'"),
    ],
)
def test_a_version_that_is_no_number(table: Path, strange: dict[str, str], said: str) -> None:
    write_previews(table, "anna", [PREVIEW])
    pq.write_table(pq.read_table(table).replace_schema_metadata(strange), table)
    with pytest.raises(StoreError, match=said):
        read_previews(table)


def test_arrows_own_words_are_one_line(table: Path) -> None:
    write_previews(table, "anna", [PREVIEW])
    content = table.read_bytes()
    table.write_bytes(content[:-40] + b"\x0e" * 20 + content[-20:])
    with pytest.raises(StoreError, match=r"not a whole Parquet file \(.*\); restore it") as caught:
        read_previews(table)
    assert str(caught.value).isprintable()


def test_darkrooms_own_previews_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert stored_previews("demo_nightly") == OWN_FOLDER / "previews/demo_nightly/previews.parquet"
    assert all(Path(str(preview.path)).is_file() for preview in read_previews(stored_previews("demo_nightly")))


def test_previews_of_the_folder_come_before_darkrooms_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = Path("previews/demo_nightly/previews.parquet")
    write_previews(mine, "demo_nightly", [])
    assert stored_previews("demo_nightly") == mine
    assert stored_previews("variant", "demo_nightly") == mine


def test_of_an_experiment_without_previews_the_place_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert stored_previews("mine") == Path("previews/mine/previews.parquet")

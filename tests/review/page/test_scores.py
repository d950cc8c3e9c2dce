"""Scores on the page, and the picture of what it shows, in a browser."""

import pytest
from PIL import Image

from darkroom.record.rows import read_rows
from darkroom.review.sheet.report import write_report
from darkroom.scoring.table import write_scores


@pytest.fixture
def scored(opened, pages, monkeypatch):
    """The page of the import with a score: 0.25 for pictures of the first prompt, 0.75 for those of the second."""
    monkeypatch.chdir(pages.parents[1])
    rows, _ = read_rows(pages / "manifest.parquet")
    values = {row.request_id: 0.25 + row.key.index / 2 for row in rows if hasattr(row, "request_id")}
    write_scores(pages / "sharp.parquet", "sharp", "higher", {"sharp": values})
    write_report(pages / "manifest.parquet", pages / "scored.html", [pages / "sharp.parquet"])
    return lambda **options: opened("scored.html", **options)


def test_a_score_stands_under_each_column_and_sorts_all_pictures(scored):
    page = scored()
    assert page.locator("thead th .score b").all_inner_texts() == ["0.50 ± 0.25", "0.50 ± 0.25", "0.25"]
    assert page.locator("thead th").first.locator(".dots").get_attribute("d").count("M") == 2
    assert page.locator("#controls >> text=verdict hidden").count() == 1
    page.select_option("#sort", "sharp")
    page.wait_for_selector("figure")
    captions = page.locator("figcaption").all_inner_texts()
    assert [caption.splitlines()[0] for caption in captions] == ["sharp 0.75"] * 2 + ["sharp 0.25"] * 3 + [
        "sharp not set"
    ]
    page.reload()
    page.wait_for_selector("figure")
    assert page.locator("figcaption").first.inner_text() == captions[0]
    page.click("#reset")
    assert page.locator("#sort").input_value() == ""


def test_pictures_are_found_by_a_score(scored):
    page = scored(fragment="#find=sharp:0.5..1")
    page.wait_for_selector(".frame")
    assert page.locator("#sheet .frame:not(.of-preview)").count() == 2


def test_what_is_laid_out_is_saved_as_one_picture(scored, tmp_path):
    page = scored(fragment="#off.step=250")
    page.wait_for_selector(".frame")
    with page.expect_download() as waiting:
        page.click("#save-picture")
    waiting.value.save_as(tmp_path / "sheet.png")
    assert waiting.value.suggested_filename == "strength.png"
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.size == (2 * 24 + 240 + 2 * 262, 2 * 24 + 44 + 3 * 262 + 2 * 30)  # one of previews

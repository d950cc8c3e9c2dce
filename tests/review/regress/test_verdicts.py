"""The table of verdicts: page, JUnit, summary, exit status and docs/regress.md have from it what they say of each."""

import json
import re
from dataclasses import asdict, replace
from xml.etree import ElementTree

import pytest
from tests.places import REPOSITORY
from tests.review.renders import THRESHOLDS, picture, preview, render

from darkroom.review.regress.compare import compare_all
from darkroom.review.regress.comparison import read_comparisons, write_comparisons
from darkroom.review.regress.junit import junit, write_junit
from darkroom.review.regress.regress_page import write_regress_page
from darkroom.review.regress.summary import failed, summary
from darkroom.review.regress.told import worst_first
from darkroom.review.regress.verdicts import VERDICTS, Verdict

every_verdict = pytest.mark.parametrize("verdict", VERDICTS.values(), ids=lambda verdict: verdict.name)


@pytest.fixture
def identical(tmp_path):
    row = render(tmp_path, picture())
    [comparison] = compare_all("strength", [row], [preview(tmp_path, row, picture())], {"demo": THRESHOLDS})
    return comparison


def test_best_first():
    assert list(VERDICTS) == [
        "identical",
        "identical before encoding",
        "within floor",
        "undecided",
        "not reproducible",
        "no preview yet",
        "not rendered",
        "drifted",
        "missing preview",
    ]


def test_which_fail():
    assert [name for name, verdict in VERDICTS.items() if verdict.fails] == [
        "not rendered",
        "drifted",
        "missing preview",
    ]


@every_verdict
def test_each_is_written_and_read(tmp_path, identical, verdict):
    comparison = replace(identical, verdict=verdict.name)
    write_comparisons(tmp_path / "compare.parquet", [comparison], {})
    assert read_comparisons(tmp_path / "compare.parquet")[0] == (comparison,)


@every_verdict
def test_each_counts_in_the_summary_and_for_the_exit_status(identical, verdict):
    comparisons = [identical, replace(identical, verdict=verdict.name)]
    assert f"{1 + (verdict.name == 'identical')} {verdict.name}" in summary(comparisons)
    assert failed(comparisons) == verdict.fails
    assert failed(comparisons[1:]) == (verdict.fails or not verdict.is_judged)


@every_verdict
def test_each_has_its_element_in_junit(identical, verdict):
    [suite] = ElementTree.fromstring(junit([replace(identical, verdict=verdict.name)], {}))
    assert [element.tag for element in suite.find("testcase")] == [verdict.junit or "system-out"]
    failures, errors, skipped = (suite.get(name) for name in ("failures", "errors", "skipped"))
    counts = {"failure": failures, "error": errors, "skipped": skipped}
    assert counts == {element: "1" if element == verdict.junit else "0" for element in counts}


@every_verdict
def test_each_has_colours_a_filter_and_its_meaning_on_the_page(tmp_path, identical, verdict):
    write_comparisons(tmp_path / "compare.parquet", [replace(identical, verdict=verdict.name)], {})
    write_regress_page(tmp_path / "compare.parquet", tmp_path / "regress.html")
    text = (tmp_path / "regress.html").read_text(encoding="utf-8")
    light, dark = verdict.colours
    assert f"--colour:light-dark({light},{dark})" in text
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])
    assert [(axis["name"], axis["values"]) for axis in data["axes"]] == [("verdict", [verdict.name])]
    assert data["verdicts"][verdict.name] == json.loads(json.dumps(asdict(verdict)))


def test_a_new_verdict_is_a_new_row_of_the_table_and_nothing_else(tmp_path, monkeypatch, identical):
    doubtful = Verdict(name="doubtful", meaning="nobody knows", colours=("#111", "#eee"), junit="failure")
    monkeypatch.setitem(VERDICTS, "doubtful", doubtful)
    comparisons = [identical, replace(identical, verdict="doubtful")]
    write_comparisons(tmp_path / "compare.parquet", comparisons, {})
    write_regress_page(tmp_path / "compare.parquet", tmp_path / "regress.html")
    write_junit(tmp_path / "compare.parquet", tmp_path / "junit.xml")
    page = (tmp_path / "regress.html").read_text(encoding="utf-8")
    assert '"values":["doubtful","identical"],"codes":[0,1],"placement":"sections"' in page
    assert "nobody knows" in page
    assert [each.verdict for each in worst_first(comparisons)] == ["doubtful", "identical"]
    assert ElementTree.parse(tmp_path / "junit.xml").find(".//failure").get("type") == "doubtful"
    assert (failed(comparisons), summary(comparisons)) == (True, "2 previews: 1 identical, 1 doubtful")


def test_the_page_lists_the_worst_first(identical):
    comparisons = [replace(identical, verdict=name) for name in VERDICTS]
    assert [each.verdict for each in worst_first(comparisons)] == list(reversed(VERDICTS))


def test_the_documentation_has_every_verdict_in_its_table():
    rows = [
        f"| `{each.name}` | {each.meaning} | {'fails' if each.fails else 'passes'} | {each.junit or 'passed'} |"
        for each in VERDICTS.values()
    ]
    assert "\n".join(rows) in (REPOSITORY / "docs/regress.md").read_text(encoding="utf-8")

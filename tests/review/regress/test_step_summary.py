"""The comparison as the step summary of a CI run shows it."""

import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from darkroom.review.pair.differences import Difference
from darkroom.review.regress.comparison import write_comparisons
from darkroom.review.regress.step_summary import escaped, step_summary, write_step_summary
from darkroom.review.regress.summary import installed_versions

INSTALLED = {"torch": "2.12.0", "darkroom": "0.1.0"}
METADATA = {
    **{"experiment": "strength", "rendered_torch_version": "2.12.0", "rendered_darkroom_version": "0.1.0"},
    "rendered_device": "cpu",
}
HOSTILE = "</td></table><script>alert(1)</script> | a\\|b ``x`` **bold** [a](https://evil.example) <b> &lt; # 1\n- x"


def summary(comparisons, **options):
    return step_summary(comparisons, METADATA, INSTALLED, **options)


def test_a_red_night(comparisons):
    name = "demo/anna/portraits"
    heading, counted, verdicts, pictures, rendered = summary(comparisons).rstrip("\n").split("\n\n")
    assert heading == "### strength: failed"
    assert counted == "4 previews: 1 identical, 1 not reproducible, 1 drifted, 1 missing preview"
    assert [row.split(" | ")[:2] for row in verdicts.splitlines()] == [
        ["| verdict", "pictures"],
        ["|---|---:|---|"],
        ["| missing preview", "1"],
        ["| drifted", "1"],
        ["| not reproducible", "1"],
        ["| identical", "1"],
    ]
    limits = "FLIP 0.3494, at most 0.05; PSNR 19.10 dB, at least 38 dB; SSIM 0.2570, at least 0.98"
    lacking = "no stored picture; if the render is right: darkroom accept"
    seed = "seed -1: drawn by the trainer"
    assert pictures.splitlines()[2:] == [
        f"| [{name}/0002\\_7](regress.html#{name}/0002_7) | missing preview |  | {lacking} |",
        f"| [{name}/0001\\_7](regress.html#{name}/0001_7) | drifted | 19.10 dB | seed: 8 then, 7 now; {limits} |",
        f"| [{name}/0003\\_7](regress.html#{name}/0003_7) | not reproducible | ∞ (equal) | {seed} |",
    ]
    assert rendered == "Rendered with torch 2.12.0, darkroom 0.1.0, on cpu."


def test_a_green_night_is_short(comparisons):
    text = summary(comparisons[:1])
    assert text.startswith("### strength: passed\n\n1 preview: 1 identical\n")
    assert "regress.html" not in text


def test_other_versions_than_are_installed_are_no_pass(comparisons):
    text = step_summary(comparisons[:1], METADATA, INSTALLED | {"torch": "2.13.0"})
    assert text.startswith("### strength: failed\n")
    assert "rendered with torch 2.12.0; installed: torch 2.13.0." in text


def test_nothing_to_compare():
    assert step_summary([], {"experiment": "e"}, INSTALLED) == (
        "### e: failed\n\n0 previews: nothing could be compared\n"
    )


def test_a_long_fact_is_named_only(comparisons):
    then, now = ", ".join(["0.97"] * 20), ", ".join(["0.96"] * 20)
    facts = (Difference("schedule", "aitk", "diffusers"), Difference("sigmas", then, now))
    [row] = [row for row in summary([replace(comparisons[1], differs=facts)]).splitlines() if "regress.html" in row]
    assert "| schedule: aitk then, diffusers now; sigmas differs; FLIP " in row


def test_a_bad_night_of_thousands_stays_small(comparisons):
    many = [replace(comparisons[1], index=index, reason="long " * 1000) for index in range(3000)]
    text = summary(many)
    assert text.count("](regress.html#") == 20
    assert "and 2980 more in [regress.html](regress.html)" in text
    assert len(text) < 10_000


@pytest.mark.parametrize("place", ["reason", "note", "image_name", "lora"])
def test_what_strangers_wrote_is_shown_as_text(comparisons, place):
    text = summary([replace(comparisons[1], **{place: HOSTILE})])
    page = MarkdownIt("js-default").render(text)
    assert "<script" not in page
    assert page.count("<table>") == 2
    assert page.count("<td") == 3 + 4
    assert set(re.findall(r'href="([^"#]*)', page)) == {"regress.html"}
    assert "<strong>" not in page
    assert "&lt;/td&gt;&lt;/table&gt;&lt;script&gt;alert(1)&lt;/script&gt; | a\\|b ``x`` **bold**" in page


def test_addresses_stay_text():
    assert escaped("see https://a.b and WWW.c.d, file.txt") == "see https\\://a.b and WWW\\.c.d, file.txt"


def test_it_is_written_from_the_table(tmp_path, comparisons):
    own = {f"rendered_{package}_version": version for package, version in installed_versions().items()}
    write_comparisons(tmp_path / "compare.parquet", comparisons[:1], METADATA | own)
    write_step_summary(tmp_path / "compare.parquet", tmp_path / "summary.md")
    assert (tmp_path / "summary.md").read_text(encoding="utf-8").startswith("### strength: passed\n")

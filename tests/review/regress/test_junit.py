"""The comparison as CI systems read it."""

from dataclasses import replace
from xml.etree import ElementTree

from darkroom.review.regress.comparison import write_comparisons
from darkroom.review.regress.junit import junit, write_junit

METADATA = {"experiment": "strength", "darkroom_version": "0.1.0"}


def test_a_case_a_preview(tmp_path, comparisons):
    write_comparisons(tmp_path / "compare.parquet", comparisons, METADATA)
    write_junit(tmp_path / "compare.parquet", tmp_path / "junit.xml")
    [suite] = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert suite.attrib == {
        **{"name": "darkroom regress strength", "tests": "4", "failures": "1", "errors": "1", "skipped": "1"},
    }
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert {case.get("classname") for case in cases.values()} == {"demo.anna.portraits"}
    assert [[child.tag for child in case] for case in cases.values()] == [
        *[["system-out"], ["failure"], ["error"], ["skipped"]],
    ]
    failure = cases["0001_7"].find("failure")
    assert failure.get("message").startswith(
        "drifted: FLIP 0.3494, PSNR 19.10 dB, SSIM 0.2570, mean |Δ| 20.000 levels, max"
    )
    assert "seed: 8 then, 7 now" in failure.text.splitlines()
    assert "prompt: sks a photo of a person" in failure.text.splitlines()
    assert cases["0003_7"].find("skipped").get("message") == "not reproducible: seed -1: drawn by the trainer"
    properties = {each.get("name"): each.get("value") for each in suite.find("properties")}
    assert properties == {
        **METADATA,
        "failed": "true",
        "thresholds of demo": "psnr 38.0, ssim 0.98, flip 0.05 (conf/compare/default.yaml)",
    }
    assert suite.find("system-out").text == "4 previews: 1 identical, 1 not reproducible, 1 drifted, 1 missing preview"


def test_any_prompt_makes_valid_xml(comparisons):
    prompt = "a <b>&\"'cat]]> \0\x1b[31m\ud800\ufffe 🐈\tend"
    document = junit([replace(comparisons[1], prompt=prompt, reason=prompt)], METADATA)
    [failure] = ElementTree.fromstring(document).iter("failure")
    expected = "a <b>&\"'cat]]> \\x00\\x1b[31m\\ud800\\ufffe 🐈\tend"
    assert f"prompt: {expected}" in failure.text
    assert failure.get("message") == f"drifted: {expected}"


def test_two_previews_of_one_picture_have_names_of_their_own(comparisons):
    twice = [replace(comparisons[0], preview_path=path) for path in ("1__000000500_0.jpg", "2__000000500_0.jpg")]
    [suite] = ElementTree.fromstring(junit(twice, METADATA))
    assert [case.get("name") for case in suite.iter("testcase")] == [
        *["0000_7 (1__000000500_0.jpg)", "0000_7 (2__000000500_0.jpg)"],
    ]


def test_a_picture_that_is_not_rendered_any_more_is_an_error(comparisons):
    unmeasured = dict.fromkeys(("max_abs", "mean_abs", "psnr", "ssim", "flip"))
    lost = replace(comparisons[3], request_id=None, image_path=None, verdict="not rendered", reason=None, **unmeasured)
    [suite] = ElementTree.fromstring(junit([comparisons[0], lost], METADATA))
    assert (suite.get("errors"), suite.get("skipped")) == ("1", "0")
    [error] = suite.iter("error")
    assert error.get("message") == (
        "not rendered: could come out, and rendering it failed, or the experiment renders no such picture any more"
    )

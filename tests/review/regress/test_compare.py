"""Renders beside stored previews: each verdict and what leads to it."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from tests.examples.record import ENVIRONMENT
from tests.review.renders import THEN, THRESHOLDS, picture, preview, render, write_manifest

from darkroom.errors import ImageError, StoreError
from darkroom.previews import DARKROOM, TRAINER, write_previews
from darkroom.review.pair.differences import Difference
from darkroom.review.pair.measures import Measures
from darkroom.review.pair.own_floor import Floors, OwnFloor
from darkroom.review.pair.picture_file import read_picture
from darkroom.review.regress.compare import compare, compare_all
from darkroom.review.regress.comparison import read_comparisons
from darkroom.review.regress.judged_pair import floor_asked_for, judge
from darkroom.thresholds import NO_THRESHOLDS, Limits, write_thresholds

AWAITED = "no preview yet"


def verdict_of(tmp_path, render_pixels, preview_pixels, ending="png", image_format="png", **changes):
    row = render(tmp_path, render_pixels, image_format=image_format)
    return judge(row, preview(tmp_path, row, preview_pixels, ending, **changes), THRESHOLDS)


def test_the_same_pixels(tmp_path):
    judged = verdict_of(tmp_path, picture(), picture())
    assert (judged.verdict.name, judged.measures.max_abs, judged.encoding) == ("identical", 0, None)


@pytest.mark.parametrize(("ending", "encoding"), [("jpg", "JPEG quality 75, 4:2:0"), ("webp", "WebP quality 80")])
def test_the_same_pixels_before_the_trainer_encoded_them(tmp_path, ending, encoding):
    judged = verdict_of(tmp_path, picture(), picture(), ending)
    assert (judged.verdict.name, judged.encoding) == ("identical before encoding", encoding)
    assert judged.measures.max_abs == 0


def test_a_little_off_is_within_the_floor(tmp_path):
    judged = verdict_of(tmp_path, picture(shift=2), picture())
    assert judged.verdict.name == "within floor"
    assert judged.measures.psnr == pytest.approx(45.12, abs=0.005)


def test_far_off_is_drifted(tmp_path):
    judged = verdict_of(tmp_path, picture(shift=40), picture(), "jpg")
    assert (judged.verdict.name, judged.reason, judged.encoding) == ("drifted", None, "JPEG quality 75, 4:2:0")


@pytest.mark.parametrize(
    ("name", "limit", "verdict"),
    [
        *[("psnr", 45.0, "within floor"), ("psnr", 46.0, "drifted")],
        *[("ssim", 0.99, "within floor"), ("ssim", 0.995, "drifted")],
        *[("flip", 0.04, "within floor"), ("flip", 0.03, "drifted")],
        *[("mean_abs", 1.0, "within floor"), ("mean_abs", 0.99, "drifted")],
        *[("max_abs", 2, "within floor"), ("max_abs", 1, "drifted")],
        ("psnr", None, "drifted"),  # no threshold: nothing but equality will do
    ],
)
def test_each_threshold_counts(tmp_path, name, limit, verdict):
    row = render(tmp_path, picture(shift=2))
    assert (
        judge(row, preview(tmp_path, row, picture()), replace(NO_THRESHOLDS, **{name: limit})).verdict.name == verdict
    )


MARGIN = replace(NO_THRESHOLDS, own_floor=1.0)


def floor_of(row, *psnrs, encoding=None):
    """Nudged repeats that are so many dB from the render."""
    repeats = tuple(Measures(max_abs=2, mean_abs=1.0, psnr=psnr, ssim=0.99, flip=0.01) for psnr in psnrs)
    floor = OwnFloor(
        request_id=row.request_id, image_format="png", encoding=encoding, repeats=repeats, environment=row.environment
    )
    return Floors({floor.key: floor})


@pytest.mark.parametrize(
    ("farthest", "verdict"),
    [(44.0, "within floor"), (46.7, "within floor"), (47.5, "drifted"), (42.0, "undecided")],
)
def test_a_picture_may_be_as_far_off_as_rounding_can_take_it(tmp_path, farthest, verdict):
    """45.12 dB from its preview, and allowed are the farthest repeat's, half their spread and 1 dB."""
    row = render(tmp_path, picture(shift=2))
    stored = preview(tmp_path, row, picture())
    judged = judge(row, stored, MARGIN, floor_of(row, 48.0, 47.9, farthest, 47.8))
    assert (judged.verdict.name, judged.reason, len(judged.repeats)) == (verdict, None, 4)
    assert floor_asked_for(row, stored) in floor_of(row, 50.0).known


def test_beyond_even_a_wide_floor_is_drifted(tmp_path):
    row = render(tmp_path, picture(shift=40))
    assert judge(row, preview(tmp_path, row, picture()), MARGIN, floor_of(row, 48.0, 38.0)).verdict.name == "drifted"


def test_limits_that_are_set_hold_beside_the_own_floor(tmp_path):
    row = render(tmp_path, picture(shift=2))
    strict = replace(MARGIN, max_abs=1)
    assert judge(row, preview(tmp_path, row, picture()), strict, floor_of(row, 40.0)).verdict.name == "drifted"


def test_without_its_own_floor_a_picture_that_differs_has_drifted_and_says_why(tmp_path):
    row = render(tmp_path, picture(shift=2))
    stored = preview(tmp_path, row, picture())
    judged = judge(row, stored, MARGIN, Floors(failed={row.request_id: "out of memory twice"}))
    assert (judged.verdict.name, judged.repeats) == ("drifted", ())
    assert judged.reason == (
        "pixels differ, and the picture's own floor is not known: its nudged repeats failed: out of memory twice"
    )
    elsewhere = replace(row, environment=replace(row.environment, processor="another"))
    judged = judge(elsewhere, stored, MARGIN, floor_of(row, 40.0))
    assert "darkroom regress strength --fresh renders its repeats" in judged.reason, "of another machine it counts not"


def test_a_floor_is_asked_for_where_pixels_differ_and_nothing_else_decides(tmp_path):
    row, other = render(tmp_path, picture()), picture(shift=2)
    lossy = preview(tmp_path, row, other, "jpg")
    assert floor_asked_for(row, lossy).encoding == "JPEG quality 75, 4:2:0"
    asked = [
        floor_asked_for(row, each)
        for each in (
            None,
            preview(tmp_path, row, picture()),
            replace(lossy, reason="seed -1"),
            replace(lossy, then={"numerics": "fast"}),
            replace(lossy, path=str(tmp_path / "gone.jpg")),
            preview(tmp_path, row, picture()[:32]),
        )
    ]
    assert asked == [None] * 6


def test_other_sizes_are_drifted_and_not_measured(tmp_path):
    judged = verdict_of(tmp_path, picture(), picture()[:32])
    assert (judged.verdict.name, judged.reason) == ("drifted", "size: the preview is 64x32, the render 64x48")
    assert judged.measures is None


def test_a_reason_makes_it_no_measure_but_it_is_measured(tmp_path):
    judged = verdict_of(tmp_path, picture(shift=2), picture(), reason="no checkpoint kept")
    assert (judged.verdict.name, judged.reason) == ("not reproducible", "no checkpoint kept")
    assert judged.measures.max_abs == 2
    judged = verdict_of(tmp_path, picture(), picture()[:32], reason="size")
    assert (judged.verdict.name, judged.reason) == ("not reproducible", "size")


def test_numerics_are_never_compared_across(tmp_path):
    row = render(tmp_path, picture(), numerics="fast")
    known = preview(tmp_path, row, picture())
    for stored in (known, replace(known, then={})):  # what says nothing of it is a trainer's
        judged = judge(row, stored, THRESHOLDS)
        assert (judged.verdict.name, judged.measures) == ("not reproducible", None)
        assert judged.reason == "numerics: exact then, fast now; the two are never compared"


def test_no_preview_and_no_render(tmp_path):
    row = render(tmp_path, picture())
    assert judge(row, None, THRESHOLDS).verdict.name == "missing preview"
    judged = judge(None, preview(tmp_path, row, picture()), THRESHOLDS)
    assert (judged.verdict.name, judged.reason) == ("not rendered", None)


def test_a_checkpoint_that_came_after_the_previews_awaits_its_own(tmp_path):
    known, new = render(tmp_path, picture()), render(tmp_path, picture(), 1, lora="anna_000000750")
    found = compare_all("e", [known, new], [preview(tmp_path, known, picture())], {"demo": THRESHOLDS})
    assert [(each.lora, each.verdict) for each in found] == [(known.key.lora, "identical"), ("anna_000000750", AWAITED)]
    assert [each.step for each in found] == [500, 750]  # where there is no preview, as on the sheet
    accepted = preview(tmp_path, known, picture(), origin=DARKROOM, step=None)
    found = compare_all("e", [known, new], [accepted], {"demo": THRESHOLDS})
    assert [each.verdict for each in found] == ["identical", "missing preview"], (
        "no training run, so nothing is to come"
    )


def test_another_picture_of_a_known_checkpoint_has_no_preview_at_all(tmp_path):
    known, new = render(tmp_path, picture()), render(tmp_path, picture(), 1)
    found = compare_all("e", [known, new], [preview(tmp_path, known, picture())], {"demo": THRESHOLDS})
    assert [each.verdict for each in found] == ["identical", "missing preview"]


def test_a_checkpoint_that_the_trainer_deleted_is_no_fault(tmp_path):
    row = render(tmp_path, picture())
    kept, deleted = tmp_path / "samples/kept.safetensors", tmp_path / "samples/deleted.safetensors"
    stored = preview(tmp_path, row, picture(), then={"loras": [{"path": str(deleted)}]})
    judged = judge(None, stored, THRESHOLDS)
    assert (judged.verdict.name, judged.reason) == (
        "not reproducible",
        f"its checkpoint is not there any more: {deleted}",
    )
    kept.touch()
    assert (
        judge(None, replace(stored, then={"loras": [{"path": str(kept)}]}), THRESHOLDS).verdict.name == "not rendered"
    )
    assert judge(None, replace(stored, origin=DARKROOM), THRESHOLDS).verdict.name == "not rendered"


def test_who_drew_a_preview_is_said_where_another_drew_it_than_saves_so(tmp_path):
    row = render(tmp_path, picture())
    stored = preview(tmp_path, row, picture())
    found = [
        compare_all("e", [row], [each], {"demo": THRESHOLDS})[0]
        for each in (stored, replace(stored, origin=DARKROOM), replace(stored, drawn_by=DARKROOM))
    ]
    assert [each.preview_maker for each in found] == ["ai-toolkit", "darkroom", "darkroom, saved as ai-toolkit saves"]
    assert [each.preview_origin for each in found] == ["ai-toolkit", "darkroom", "ai-toolkit"]


def test_a_picture_that_the_trainer_never_made(tmp_path):
    judged = verdict_of(tmp_path, picture(), None, reason="sampling was stopped before it")
    assert (judged.verdict.name, judged.reason) == ("missing preview", "sampling was stopped before it")


def test_a_truncated_preview_is_a_missing_one(tmp_path):
    row = render(tmp_path, picture())
    stored = preview(tmp_path, row, picture(), "jpg")
    whole = (tmp_path / "samples/1700000000000__000000500_0.jpg").read_bytes()
    (tmp_path / "samples/1700000000000__000000500_0.jpg").write_bytes(whole[:-2])
    judged = judge(row, stored, THRESHOLDS)
    assert judged.verdict.name == "missing preview"
    assert "jpg: cut off or damaged: no end of image among its" in judged.reason


def test_a_render_that_cannot_be_read_is_drifted(tmp_path):
    row = render(tmp_path, picture())
    stored = preview(tmp_path, row, picture())
    judged = judge(replace(row, image_path=str(tmp_path / "gone.png")), stored, THRESHOLDS)
    assert (judged.verdict.name, judged.measures) == ("drifted", None)
    assert judged.reason == f"the render: {tmp_path / 'gone.png'}: no such file"


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        (TRAINER, "is not the picture that was taken in: restore it, or import again"),
        (DARKROOM, "is not the picture that was accepted: restore it, or accept again"),
    ],
)
def test_a_preview_that_somebody_replaced_is_a_missing_one(tmp_path, origin, said):
    row = render(tmp_path, picture())
    stored = preview(tmp_path, row, picture(), origin=origin, sha256="0" * 64)
    judged = judge(row, stored, THRESHOLDS)
    assert (judged.verdict.name, judged.reason) == ("missing preview", f"{stored.path} {said}")
    assert judged.measures.max_abs == 0  # shown all the same
    known = judge(row, replace(stored, reason="seed -1"), THRESHOLDS)
    assert (known.verdict.name, known.reason, known.notes) == (
        "not reproducible",
        "seed -1",
        (f"{stored.path} {said}",),
    )


def test_a_render_that_somebody_touched_is_noted(tmp_path):
    row = render(tmp_path, picture())
    judged = judge(replace(row, image_sha256="0" * 64), preview(tmp_path, row, picture()), THRESHOLDS)
    assert judged.verdict.name == "identical"
    assert judged.notes == ("the render's file is not the one that was rendered: somebody edited or replaced it",)


def test_an_accepted_jpeg_is_compared_as_it_is(tmp_path):
    row = render(tmp_path, picture(), image_format="jpeg")
    assert judge(row, preview(tmp_path, row, None, path=row.image_path, origin=DARKROOM), THRESHOLDS).encoding is None


def test_a_lossy_render_is_measured_as_it_is_and_says_so(tmp_path):
    judged = verdict_of(tmp_path, picture(), picture(), "jpg", "jpeg")
    assert (judged.encoding, judged.verdict.name) == (None, "within floor")
    assert judged.notes == ("the render is JPEG itself, so it is measured as it is: render to png to compare",)


def test_a_lossy_preview_has_thresholds_of_its_own(tmp_path):
    pixels = picture()
    pixels[::2] += 8
    thresholds = replace(THRESHOLDS, psnr=60.0, encoded=Limits(psnr=20.0))
    row = render(tmp_path, picture())
    found = [judge(row, preview(tmp_path, row, pixels, ending=ending), thresholds) for ending in ("png", "jpg")]
    assert [judged.verdict.name for judged in found] == ["drifted", "within floor"]
    assert [(judged.thresholds.psnr, judged.thresholds.lossy) for judged in found] == [(60.0, False), (20.0, True)]


def test_the_table(tmp_path):
    rows = [render(tmp_path, picture(), index) for index in (0, 1, 2)]
    otherwise = rows[1].request.changed(schedule="diffusers", not_comparable=("schedule: diffusers",))
    rows[1] = replace(rows[1], request=otherwise)
    gone = preview(tmp_path, rows[2], picture(), lora="anna_000000250", step=250)
    changed = preview(tmp_path, rows[1], picture(), then={**THEN, "seed": 8}, note="two sets of step 500")
    write_previews(tmp_path / "previews.parquet", "strength", [gone, changed, preview(tmp_path, rows[0], picture())])
    learned = replace(THRESHOLDS, environment=replace(ENVIRONMENT, device="cuda:0"))
    write_thresholds(tmp_path / "thresholds.json", {"demo": learned})
    files = (write_manifest(tmp_path, rows), tmp_path / "previews.parquet", tmp_path / "thresholds.json")
    compare(*files, tmp_path / "compare.parquet")
    comparisons, metadata = read_comparisons(tmp_path / "compare.parquet")
    assert [(each.lora, each.index, each.verdict) for each in comparisons] == [
        *[("anna", 0, "identical"), ("anna", 1, "identical"), ("anna", 2, "missing preview")],
        ("anna_000000250", 2, "not rendered"),
    ]
    assert comparisons[0].differs == ()  # the LoRA lies elsewhere, and is the same file
    assert comparisons[1].differs == (Difference("seed", "8", "7"), Difference("schedule", "aitk", "diffusers"))
    assert comparisons[1].note == (
        "two sets of step 500; no trainer previews so: schedule: diffusers; "
        "the floor was learned elsewhere: device cuda:0"
    )
    assert (comparisons[3].image_name, comparisons[3].request_id, comparisons[3].step) == (None, None, 250)
    assert comparisons[0].held_against == learned
    assert (metadata["experiment"], metadata["rendered_torch_version"]) == ("strength", "2.13.0")


def test_a_model_without_thresholds_is_a_stale_file(tmp_path):
    row = render(tmp_path, picture())
    write_previews(tmp_path / "previews.parquet", "strength", [])
    (tmp_path / "thresholds.json").write_text("{}")
    files = (write_manifest(tmp_path, [row]), tmp_path / "previews.parquet", tmp_path / "thresholds.json")
    with pytest.raises(StoreError, match=r"thresholds\.json: no thresholds for demo"):
        compare(*files, tmp_path / "compare.parquet")


def test_pictures_that_no_trainer_and_no_render_writes(tmp_path):
    Image.new("RGBA", (8, 8)).save(tmp_path / "alpha.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "other.bmp")
    Image.new("RGB", (8, 8)).save(tmp_path / "two.webp", save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])
    said = {}
    for path in sorted(tmp_path.iterdir()):
        with pytest.raises(ImageError, match=path.name) as caught:
            read_picture(path)
        said[path.name] = str(caught.value).removeprefix(f"{path}: ").partition(";")[0].partition(", got a file")[0]
    assert said == {
        "alpha.png": "expected a picture in RGB, got RGBA",
        "other.bmp": "expected a PNG, JPEG or WEBP picture",
        "two.webp": "has 2 frames or pages",
    }


def test_a_grey_picture_is_one_in_colour(tmp_path):
    Image.new("L", (8, 4), 7).save(tmp_path / "grey.png")
    read = read_picture(tmp_path / "grey.png")
    assert (read.size, read.lossy) == ("8x4", False)
    assert np.array_equal(read.pixels, np.full((4, 8, 3), 7))


@pytest.mark.parametrize("icc_profile", [None, b"a profile" * 20])
def test_a_webp_is_lossy_by_its_chunks_wherever_they_stand(tmp_path, icc_profile):
    def is_lossy(**options):
        Image.new("RGB", (8, 4)).save(tmp_path / "a.webp", icc_profile=icc_profile, **options)
        return read_picture(tmp_path / "a.webp").lossy

    assert (is_lossy(lossless=True), is_lossy()) == (False, True)

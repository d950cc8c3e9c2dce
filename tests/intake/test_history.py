"""What earlier versions of the trainer did otherwise: by whose rules previews are computed, and what is said."""

from dataclasses import fields
from typing import Any

import pytest
from tests.places import REPOSITORY

from darkroom.intake.architectures import ARCHITECTURES, Architecture
from darkroom.intake.history import CHANGES, TrainerChange
from darkroom.intake.versions import rules_of
from darkroom.lora_files.training.trainer import CHECKED, Trainer, version_of

KLEIN = "flux2_klein_4b"
QUANTIZED = {"model": {"quantize": True, "qtype": "qint8"}}


def aitk(version: str) -> Trainer:
    return Trainer("ai-toolkit", version)


@pytest.mark.parametrize(("version", "casts"), [("0.7.20", "always"), ("0.8.1", "always"), ("0.9.0", "unquantised")])
def test_rules_follow_the_version(version: str, casts: str) -> None:
    rules = rules_of(KLEIN, QUANTIZED, aitk(version))
    assert (rules.architecture.casts_text_encoder, rules.reasons, rules.notes) == (casts, (), ())
    assert [said.partition(" cast")[0] for said in rules.followed] == [f"ai-toolkit {version}"] * (casts == "always")


def test_a_version_whose_copies_differ_is_computed_as_the_checked_one_and_said_to_be_mixed() -> None:
    rules = rules_of(KLEIN, QUANTIZED, aitk("0.8.2"))
    assert rules.architecture == ARCHITECTURES[KLEIN]
    assert rules.notes[0].startswith("copies from before 2026-04-01 of ai-toolkit 0.8.2 cast the whole text encoder")
    assert rules_of(KLEIN, QUANTIZED, aitk("0.8.2"), "2026-04-01T15:36:55+00:00") == rules


def test_of_a_version_whose_copies_differ_the_time_of_a_picture_tells_the_earlier_ones() -> None:
    earlier = rules_of(KLEIN, QUANTIZED, aitk("0.8.2"), "2026-03-31T23:59:59+00:00")
    assert (earlier.architecture.casts_text_encoder, earlier.notes) == ("always", ())


def test_previews_of_flux_from_before_their_schedule_are_not_reproducible() -> None:
    blurred = "ai-toolkit 0.1.0 sampled with a static shift of 3, and blurred with the diffusers of December 2024"
    assert rules_of("flux", {}, aitk("0.1.0"), "2024-12-18T12:00:00+00:00").reasons == (blurred,)
    later = rules_of("flux", {}, aitk("0.1.0"), "2025-03-01T12:00:00+00:00")
    assert (later.reasons, len(later.notes), rules_of("flux", {}, aitk("0.3.1")).notes) == ((), 2, ())


@pytest.mark.parametrize("unknown", [None, Trainer("ai-toolkit"), Trainer("kohya", "0.8.0"), aitk("main")])
def test_an_unknown_version_is_said_to_be_unknown_where_it_makes_a_difference(unknown: Trainer | None) -> None:
    rules = rules_of(KLEIN, QUANTIZED, unknown)
    assert rules.architecture == ARCHITECTURES[KLEIN]
    (note,) = rules.notes
    assert note.startswith(
        "which version of ai-toolkit previewed it is not known, and it is computed as 0.12.26 does; "
    )
    assert rules_of(KLEIN, {"model": {"quantize": False}}, unknown).notes == ()


def test_a_newer_version_than_the_checked_one_is_said_to_be_so() -> None:
    assert rules_of(KLEIN, {}, aitk("0.13.19")).notes == (
        "ai-toolkit 0.13.19 is newer than 0.12.26, which was checked: what it does otherwise is not known",
    )


def test_a_lokr_beside_the_base_is_told_and_a_merged_one_is_not() -> None:
    lokr = {"network": {"type": "LoKr"}}
    assert (
        rules_of("flux", {**lokr, "model": {"quantize": True}}, aitk("0.10.23"))
        .notes[0]
        .startswith("ai-toolkit 0.10.23 added a LoKr beside the base")
    )
    assert rules_of("flux", {**lokr, "model": {}}, aitk("0.10.23")).notes == ()


def test_previews_that_are_known_to_be_bad_are_not_reproducible() -> None:
    bad = TrainerChange(archs=(KLEIN,), first="0.13.1", last="0.13.3", what="drew noise", source="x", does="refused")
    assert rules_of(KLEIN, {}, aitk("0.13.2"), None, [bad]).reasons == ("ai-toolkit 0.13.2 drew noise",)
    assert rules_of(KLEIN, {}, aitk("0.13.4"), None, [bad]).reasons == ()


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.source)
def test_a_change_is_of_versions_in_their_order_and_of_fields_that_there_are(change: TrainerChange) -> None:
    first, last, checked = (version_of(text) or () for text in (change.first, change.last, CHECKED))
    assert () < first <= last < checked
    assert all(change.is_of(aitk(version)) for version in change.mixed)
    assert change.was.keys() <= {each.name for each in fields(Architecture)}


def test_the_page_has_the_table() -> None:
    page = (REPOSITORY / "docs/regress.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line.startswith("|")]
    told = [[each.versions, each.what, each.does, each.source] for each in CHANGES]
    assert [[row[0], *row[2:]] for row in rows if len(row) == 5 and row[3] in ("followed", "told", "refused")] == told


def test_what_is_followed_says_what_was_otherwise() -> None:
    told: dict[str, Any] = {"archs": (KLEIN,), "first": "0.1", "last": "0.2", "what": "was odd", "source": "x"}
    with pytest.raises(ValueError, match="was odd: expected `was` where the change is followed"):
        TrainerChange(**told, does="followed")

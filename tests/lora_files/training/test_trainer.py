"""Which program trained a file, by its header: what it says, or that it is not known."""

import json

import pytest

from darkroom.lora_files.training.trainer import Trainer, trainer_of


@pytest.mark.parametrize(
    ("metadata", "trainer"),
    [
        ({"software": '{"name": "ai-toolkit", "repo": "…", "version": "0.8.2"}'}, Trainer("ai-toolkit", "0.8.2")),
        ({"software": '{"name": "ai-toolkit"}'}, Trainer("ai-toolkit")),
        ({"ss_sd_scripts_commit_hash": "6b1c2d3e4f5a"}, Trainer("kohya", "6b1c2d3e")),
        ({"modelspec.implementation": "https://github.com/x/y"}, Trainer("https://github.com/x/y")),
        ({}, None),
        ({"software": "ai-toolkit 0.8.2"}, None),  # no JSON
        ({"software": '["ai-toolkit"]'}, None),
        ({"software": '{"name": 7, "version": 8}'}, None),
        ({"software": json.dumps({"name": "a\nb"})}, None),
        ({"software": json.dumps({"name": "ai-toolkit", "version": "9" * 100})}, Trainer("ai-toolkit")),
    ],
)
def test_a_header_says_who_trained_it_or_nothing(metadata: dict[str, str], trainer: Trainer | None) -> None:
    assert trainer_of(metadata) == trainer


def test_versions_are_compared_as_numbers() -> None:
    assert Trainer("ai-toolkit", "0.12.26").number == (0, 12, 26)
    assert [
        version for version in ("0.9.0", "0.12.26", "0.12.100", "0.13") if Trainer("ai-toolkit", version).is_newer
    ] == [
        "0.12.100",
        "0.13",
    ]


def test_a_version_that_is_no_number_is_known_by_its_text_alone() -> None:
    odd = Trainer("ai-toolkit", "main")
    assert (str(odd), odd.number, odd.is_newer) == ("ai-toolkit main", None, False)
    assert Trainer("kohya", "0.99").number is None


def test_a_version_newer_than_the_one_that_was_checked_is_said_to_be_so() -> None:
    assert Trainer("ai-toolkit", "0.12.26").told == "ai-toolkit 0.12.26"
    assert Trainer("ai-toolkit", "0.13.19").told == "ai-toolkit 0.13.19 (newer than 0.12.26, which was checked)"

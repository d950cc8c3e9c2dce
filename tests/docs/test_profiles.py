"""Profiles that people use as they are: what they say of a rule is heard, since Snakemake passes over other names."""

import re

import pytest
import yaml
from tests.places import REPOSITORY

RULES = {
    name
    for file in (REPOSITORY / "rules").glob("*.smk")
    for name in re.findall(r"^rule (\w+):", file.read_text(encoding="utf-8"), re.MULTILINE)
}
PROFILES = sorted((REPOSITORY / "profiles").glob("*/config.yaml"))


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.parent.name)
def test_every_rule_that_a_profile_names_is_one(profile):
    said = yaml.safe_load(profile.read_text(encoding="utf-8"))
    named = {*said.get("set-resources", {}), *said.get("set-threads", {}), *said.get("groups", {})}
    assert named - RULES == set()


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.parent.name)
def test_no_profile_says_how_many_threads_render_a_picture(profile):
    """Their number is in the record: files would differ, though no pixel does."""
    said = yaml.safe_load(profile.read_text(encoding="utf-8"))
    assert not {"render", "shard", "repeats"} & {*said.get("set-threads", {})}


def test_every_profile_is_listed_for_people():
    page = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
    assert [path.parent.name for path in PROFILES if f"{path.parent.name}/" not in page] == []

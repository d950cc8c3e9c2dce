"""Pages for contributors: the files that they name are there."""

import re

import pytest
from tests.places import REPOSITORY as ROOT

FAMILIES = "src/darkroom/render/families"
PLACES = ("", "src/darkroom", "src/darkroom/render", FAMILIES, "src/darkroom/plan")


@pytest.mark.parametrize("page", ["docs/new_family.md", "docs/models.md", "docs/memory.md", "docs/regress.md"])
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (ROOT / page).parent.joinpath(link).exists()] == []


def test_the_page_on_families_names_files_that_exist():
    words = re.findall(r"`([\w./*]+)`", (ROOT / "docs/new_family.md").read_text(encoding="utf-8"))
    files = {word for word in words if word.endswith((".py", ".md")) and "NAME" not in word}
    assert {"flux2/build.py", "flux1/loop.py", "tests/render/families/test_parity_flux1.py"} < files
    assert {file for file in files if not any(list((ROOT / place).glob(file)) for place in PLACES)} == set()


def test_the_page_on_families_names_every_function_of_one():
    protocol = (ROOT / FAMILIES / "__init__.py").read_text(encoding="utf-8")
    functions = set(re.findall(r"^    def (\w+)", protocol, flags=re.MULTILINE))
    page = (ROOT / "docs/new_family.md").read_text(encoding="utf-8")
    assert {name for name in functions if f"`{name}`" not in page} == set()

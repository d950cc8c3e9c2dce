"""Pages for contributors: the files that they name are there."""

import re
import tomllib

import pytest
import yaml
from tests.places import REPOSITORY as ROOT

import darkroom
from draw_architecture import picture

FAMILIES = "src/darkroom/render/families"
PLACES = ("", "src/darkroom", "src/darkroom/render", FAMILIES, "src/darkroom/plan")


DOCS = sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *DOCS])
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
    protocol = (ROOT / "src/darkroom/render/family.py").read_text(encoding="utf-8")
    functions = set(re.findall(r"^    def (\w+)", protocol, flags=re.MULTILINE))
    page = (ROOT / "docs/new_family.md").read_text(encoding="utf-8")
    assert {name for name in functions if f"`{name}`" not in page} == set()


def test_the_contributing_page_names_files_that_exist():
    words = re.findall(
        r"`((?:src|tests|conf|docs|profiles)/[\w./]+)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    )
    assert "src/darkroom/plan/conf/families.py" in words
    assert [word for word in words if not (ROOT / word).exists()] == []


def test_the_tree_of_the_architecture_has_every_folder_of_the_code():
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    folders = {path.parent for path in (ROOT / "src/darkroom").rglob("*.py")} - {ROOT / "src/darkroom"}
    families = {"flux1", "flux2", "zimage"}
    assert {folder.name for folder in folders if f"{folder.name}/" not in page} == families


def test_the_architecture_is_drawn_from_the_code():
    drawn = (ROOT / "docs/architecture.svg").read_text(encoding="utf-8")
    assert drawn == picture(), "run .venv/bin/python tools/draw_architecture.py"


def test_licence_and_version_are_the_same_wherever_they_stand():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    card = yaml.safe_load((ROOT / "demo/README.md").read_text(encoding="utf-8").split("---")[1])
    assert {project["license"].lower(), citation["license"].lower(), card["license"]} == {"apache-2.0"}
    assert citation["version"] == darkroom.__version__
    assert f"## [{darkroom.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

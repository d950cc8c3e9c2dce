"""A training run taken in, rendered again and compared; what goes wrong, what explains it, what is accepted."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zipfile import ZipFile

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tests.examples.job_folder import DATA, KLEIN, write_checkpoint
from tests.machine.waiting import PATIENCE
from tests.workflow.project import Project
from tests.workflow.trained_job import PLAIN, QUANTISED, is_exact, write_trained_job

from darkroom.previews import previews_file, read_previews
from darkroom.review.regress.comparison import Comparison, read_comparisons

LORA = "000000100"
Rows = dict[tuple[str, int], Comparison]  # by step and index: "first", 0


def darkroom(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "darkroom", *arguments]
    return subprocess.run(command, cwd=project.folder, capture_output=True, text=True, timeout=PATIENCE, check=False)


def import_job(project: Project, name: str, *more: str) -> str:
    options = ["--text-encoder", str(KLEIN / "qwen3"), "--root", str(DATA)]
    done = darkroom(project, "import", "aitk", f"output/{name}", *options, *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def regress(project: Project, name: str, *overrides: str) -> subprocess.CompletedProcess[str]:
    changes = [f"set={list(overrides)}"] if overrides else []
    return project.snakemake("regress", "--config", f"experiment={name}", *changes)


def compared(project: Project, name: str) -> Rows:
    rows, _ = read_comparisons(project.folder / f"results/{name}/compare.parquet")
    return {("first" if row.prompts.endswith("_first") else LORA, row.index): row for row in rows}


def verdicts(project: Project, name: str) -> set[str]:
    return {row.verdict for row in compared(project, name).values()}


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two jobs, imported and rendered, with not one key typed by hand."""
    project = Project(tmp_path_factory.mktemp("regress") / "project")
    for name, job, image_format in (("png", PLAIN, "png"), ("quantised", QUANTISED, "jpg")):
        write_trained_job(project, name, job, image_format)
        assert "4 previews: 4 reproducible, 0 not" in import_job(project, name)
        done = regress(project, name)
        assert done.returncode == 0, done.stderr
    return project


@pytest.fixture
def project(imported: Project, tmp_path: Path) -> Project:
    """A copy to spoil, times and all."""
    subprocess.run(["cp", "-a", str(imported.folder), str(tmp_path / "project")], check=True)
    return Project(tmp_path / "project")


@pytest.mark.parametrize(
    ("name", "verdict"),
    [("png", "identical"), ("quantised", "identical before encoding")],
)
def test_what_the_trainer_previewed_comes_out_again(imported: Project, name: str, verdict: str) -> None:
    assert len(compared(imported, name)) == 4
    assert verdicts(imported, name) <= ({verdict} if is_exact() else {verdict, "within floor"})


def test_adapters_are_applied_as_the_trainer_did(imported: Project) -> None:
    regimes = {name: {row["lora_merge"] for row in imported.rows(name)} for name in ("png", "quantised")}
    assert regimes == {"png": {None, "merged"}, "quantised": {None, "live"}}
    assert not any(row["not_comparable"] for name in regimes for row in imported.rows(name))


def test_the_page_and_the_files_for_ci_are_there(imported: Project) -> None:
    folder = imported.folder / "results/png"
    page = (folder / "regress.html").read_text(encoding="utf-8")
    assert "4 previews: 4 " in page
    assert not re.search(r'(src|href)="https?://', page)
    assert (folder / "verdicts.js").read_text(encoding="utf-8").count('"sha256": "') == 4, "for the contact sheet"
    suite = ElementTree.parse(folder / "junit.xml").getroot()
    cases = [case.get("classname") for case in suite.iter("testcase")]
    assert len(cases) - cases.count("whole set") == 4
    assert cases.count("whole set") == ("within floor" in verdicts(imported, "png"))
    assert not list(suite.iter("failure"))
    assert (folder / "summary.md").read_text(encoding="utf-8").startswith("### png: passed\n")


def test_snakemakes_report_carries_sheet_pairs_and_summary(imported: Project) -> None:
    config = ("--config", "experiment=png")
    assert imported.snakemake("all", *config).returncode == 0
    done = imported.snakemake("all", "regress", "--report", "report.zip", *config)
    assert done.returncode == 0, done.stderr
    with ZipFile(imported.folder / "report.zip") as report:
        carried = {Path(name).name for name in report.namelist() if "/data/raw/" in name}
        index = report.read("report/report.html").decode()
    assert carried == {"report.html", "regress.html", "summary.md"}
    assert "All pictures of the experiment <strong>png</strong>" in index


def test_a_second_import_and_a_second_run_change_nothing(imported: Project) -> None:
    files = [*imported.folder.glob("conf/**/*.yaml"), imported.folder / previews_file("png")]
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}
    import_job(imported, "png")
    assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files} == before
    again = imported.snakemake("results/png/compare.parquet", "--config", "experiment=png")
    assert "Nothing to be done" in again.stdout + again.stderr


def test_a_page_that_somebody_has_deleted_is_made_again(imported: Project) -> None:
    page = imported.folder / "results/png/regress.html"
    aside = page.rename(page.with_suffix(".aside"))
    planned = imported.snakemake("regress", "--dry-run", "--config", "experiment=png")
    aside.rename(page)
    assert re.search(r"^compare +1$", planned.stdout + planned.stderr, re.MULTILINE)


def test_planted_faults_are_caught_and_explained_and_may_be_accepted(project: Project) -> None:
    # 1. Another checkpoint, a seed off by one, a lost preview, a truncated one
    other = project.folder / "output/quantised/quantised_000000050.safetensors"
    write_checkpoint(other, DATA / "adapters/lora_bf16_alpha.safetensors", 50)
    project.write(f"conf/lora/quantised_{LORA}.yaml", f"loras: [{other}]\n")
    edit(project, "conf/prompts/quantised_first.yaml", lambda conf: conf["prompts"][0].update(seed=43))
    lost, cut = sorted((project.folder / "output/quantised/samples").glob("*__000000000_[12].jpg"))
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:600])
    done = regress(project, "quantised")
    # 2. Caught
    assert done.returncode == 1
    rows = compared(project, "quantised")
    assert {place: row.verdict for place, row in rows.items()} == {
        (LORA, 0): "drifted",
        ("first", 0): "drifted",
        ("first", 1): "missing preview",
        ("first", 2): "missing preview",
    }
    assert [fact.name for fact in rows[LORA, 0].differs] == ["loras"]
    seed = rows["first", 0]
    assert [(fact.name, fact.then, fact.now) for fact in seed.differs] == [("seed", "42", "43")]
    assert "no such file" in str(rows["first", 1].reason)
    assert "cut off" in str(rows["first", 2].reason)
    # 3. Explained: the seed is named, and the picture with it is the preview
    explained = darkroom(project, "explain", "--try", str(seed.image_path))
    assert explained.returncode == 0, explained.stderr
    assert "Closest: seed: 42 (as recorded)" in explained.stdout
    # 4. Accepted: from now on this is right
    asked = darkroom(project, "accept", "quantised")
    assert (asked.returncode, "--yes agrees" in asked.stdout) == (1, True)
    accepted = darkroom(project, "accept", "quantised", "--yes")
    assert "4 renders to become previews of quantised" in accepted.stdout, accepted.stderr
    assert regress(project, "quantised").returncode == 0
    assert verdicts(project, "quantised") == {"identical"}
    old = {
        preview.index: preview.replaced[0].path
        for preview in read_previews(project.folder / previews_file("quantised"))
    }
    assert old[1] == str(lost.relative_to(project.folder))


def test_a_picture_that_failed_is_not_rendered_for_a_reason_and_keeps_its_preview(project: Project) -> None:
    (lora,) = project.folder.glob("output/png/*.safetensors")
    with safe_open(lora, "pt") as file:
        header = file.metadata()
    save_file({name: tensor * torch.nan for name, tensor in load_file(lora).items()}, lora, header)

    done = regress(project, "png")

    assert done.returncode == 1
    assert "4 previews: " in done.stdout + done.stderr
    assert "1 not rendered" in done.stdout + done.stderr
    failed = compared(project, "png")[LORA, 0]
    assert (failed.verdict, failed.image_path) == ("not rendered", None)
    assert "holds NaN or infinity" in str(failed.reason)
    others = verdicts(project, "png") - {"not rendered"}
    assert others <= ({"identical"} if is_exact() else {"identical", "within floor"})
    before = read_previews(project.folder / previews_file("png"))
    assert darkroom(project, "accept", "png", "--verdict", "not rendered", "--yes").returncode == 0
    assert read_previews(project.folder / previews_file("png")) == before


def test_fast_pictures_are_neither_compared_nor_accepted(project: Project) -> None:
    done = regress(project, "png", "model.numerics=fast")
    assert (done.returncode, verdicts(project, "png")) == (1, {"not reproducible"})
    assert "numerics: exact then, fast now" in str(compared(project, "png")[LORA, 0].reason)
    refused = darkroom(project, "accept", "png", "--yes")
    assert refused.returncode == 1
    assert "numerics" in refused.stderr


def test_without_previews_it_is_said_what_makes_them(project: Project) -> None:
    previews = project.folder / previews_file("png")
    previews.unlink()
    done = regress(project, "png")
    assert done.returncode == 1
    assert "previews/png/previews.parquet: there are no stored previews" in done.stderr
    assert darkroom(project, "accept", "png", "--yes").returncode == 0
    assert regress(project, "png").returncode == 0


def edit(project: Project, path: str, change: Callable[[Any], None]) -> None:
    """A person's change to a file of conf/."""
    file = project.folder / path
    content = yaml.safe_load(file.read_text())
    change(content)
    file.write_text(yaml.safe_dump(content))

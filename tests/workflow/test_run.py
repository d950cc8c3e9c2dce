"""One run, the next run, and what a change makes Snakemake do: read from real runs."""

import os
import re
import shutil
from pathlib import Path

import pytest
from tests.workflow.project import CATS, DEMO, REPOSITORY, Project

from darkroom.plan.trials.as_conf import as_conf
from darkroom.record.embedded import read_embedded_record
from darkroom.scoring.table import read_scores


def test_a_run_renders_everything_and_the_next_run_nothing(finished: Project) -> None:
    rows = finished.rows()
    assert len(rows) == 12  # 2 loras × (2 + 1 prompts) × 2 seeds
    assert {row["reused"] for row in rows} == {False}
    assert len({row["base_load_id"] for row in rows}) == 1, "one base model is loaded once"
    assert len({row["worker_pid"] for row in rows}) == 1
    assert [row["image_path"] for row in rows][:2] == [
        "results/small/images/demo/demo_lora/cats/000_1.png",
        "results/small/images/demo/demo_lora/cats/000_2.png",
    ]
    assert (finished.folder / "results/small/report.html").stat().st_size > 10_000
    assert not finished.has_live_page()

    again = finished.snakemake()
    assert again.returncode == 0
    assert "Nothing to be done" in again.stderr + again.stdout


def test_each_picture_carries_the_record_of_its_row(finished: Project) -> None:
    for row in finished.rows():
        record = read_embedded_record(finished.folder / row["image_path"]).embedded_row()
        assert record == {key: row[key] for key in record}
        assert record["request_id"] == row["request_id"]


def test_editing_one_prompt_renders_that_prompt_only(finished: Project) -> None:
    before = finished.pictures()
    finished.write("conf/prompts/cats.yaml", CATS.replace("two cats", "three cats"))

    result = finished.snakemake()

    assert result.returncode == 0, result.stderr
    rendered = [row for row in finished.rows() if not row["reused"] and row["started_at"] is not None]
    assert {row["prompt"] for row in rendered if row["prompts"] == "cats"} == {"three cats"}
    assert "dogs" not in result.stderr.replace("conf/prompts/dogs", ""), "the other prompt set has no job"
    changed = {name for name, data in finished.pictures().items() if data != before[name]}
    assert changed == {f"demo/{lora}/cats/001_{seed}.png" for lora in ("none", "demo_lora") for seed in (1, 2)}


def test_editing_a_comment_renders_nothing(finished: Project) -> None:
    finished.write("conf/prompts/cats.yaml", "# only a comment\n" + CATS)
    result = finished.snakemake()
    assert "Nothing to be done" in result.stderr + result.stdout


def test_a_lora_replaced_by_an_older_file_is_noticed(project: Project) -> None:
    lora = project.folder / "mine.safetensors"
    shutil.copy(DEMO / "demo_lora.safetensors", lora)
    project.write("conf/lora/mine.yaml", "loras: [{path: mine.safetensors}]\n")
    project.write("conf/experiment/small.yaml", "matrix: {model: [demo], lora: [mine, none], prompts: [dogs]}\n")
    assert project.snakemake().returncode == 0
    before = project.rows()

    shutil.copy(DEMO / "demo_lokr.safetensors", lora)
    os.utime(lora, (1, 1))  # as `cp -p` and `mv` leave it: older than the last run
    assert project.snakemake().returncode == 0

    after = project.rows()
    assert [row["loras"][0]["format"] for row in (before[0], after[0])] == ["lora", "lokr"]
    assert before[0]["image_sha256"] != after[0]["image_sha256"]
    assert before[1] == after[1], "the combination without it has no job"


def test_the_demos_files_are_watched_where_darkroom_lies_and_nothing_is_written_there(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "darkroom"
    for name in ("conf", "demo", "profiles", "rules", "src"):
        shutil.copytree(REPOSITORY / name, own / name)
    shutil.copy(REPOSITORY / "Snakefile", own)
    before = {path: path.stat().st_mtime_ns for path in (own / "demo").rglob("*")}
    monkeypatch.setenv("PYTHONPATH", str(own / "src"))
    matrix = "matrix: {model: [demo], lora: [demo_lora, none], prompts: [dogs]}\nscore: [change]\n"
    project.write("conf/experiment/small.yaml", matrix)
    assert project.snakemake("-s", str(own / "Snakefile")).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in (own / "demo").rglob("*")} == before
    with_lora, without = project.rows()
    (change,) = read_scores(project.folder / "results/small/scores/change.parquet")
    assert change.values[without["request_id"]] == 0 < change.values[with_lora["request_id"]]
    assert with_lora["loras"][0]["path"] == f"{own}/demo/demo_lora.safetensors"

    shutil.copy(own / "demo/demo_lokr.safetensors", own / "demo/demo_lora.safetensors")
    planned = project.snakemake("-s", str(own / "Snakefile"), "-n", "--quiet", "host")
    planned_again = re.findall(r"output: results/small/requests/demo/(\w+)/", planned.stdout)
    assert planned_again == ["demo_lora"], "the combination without it has no job"


def test_as_conf_is_the_same_picture_again(finished: Project) -> None:
    (row,) = [row for row in finished.rows() if row["image_path"].endswith("demo_lora/cats/001_2.png")]
    conf = as_conf(finished.folder / row["image_path"])
    finished.write("conf/prompts/again.yaml", conf)
    lines = [line.removeprefix("#").strip() for line in conf.splitlines() if line.startswith("#        ")]
    finished.write("conf/experiment/again.yaml", "\n".join(lines) + "\n")
    done = finished.darkroom("run", "again")
    assert done.stdout.endswith(": 0 rendered, 1 kept\nresults/again/report.html\n"), done.stdout + done.stderr
    assert [again["request_id"] for again in finished.rows("again")] == [row["request_id"]]


def test_every_file_of_a_rule_is_where_the_store_says(finished: Project) -> None:
    results = finished.folder / "results"
    for kind in ("drafts", "requests"):
        assert (results / "small" / kind / "demo/none/cats.json").is_file()
    leftovers = [path for path in results.rglob(".*") if path.suffix == ".tmp"]
    assert leftovers == []
    assert Path(finished.rows()[0]["image_path"]).parts[:2] == ("results", "small")

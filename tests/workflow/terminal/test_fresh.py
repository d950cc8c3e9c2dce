"""`darkroom regress X --fresh`: everything is computed again, and what others share stays as it is."""

import subprocess
import sys
from pathlib import Path

from tests.machine.waiting import PATIENCE
from tests.workflow.project import Project


def darkroom(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "darkroom", *arguments]
    return subprocess.run(command, cwd=project.folder, capture_output=True, text=True, timeout=PATIENCE)


def identities(project: Project) -> dict[Path, tuple[int, int]]:
    files = (path for path in (project.folder / "results/store").rglob("*.*") if path.is_file())
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in files}


def test_a_fresh_run_computes_every_picture_again_and_leaves_the_store_to_the_others(finished: Project) -> None:
    assert darkroom(finished, "accept", "small", "--yes").returncode == 0
    rendered_before = max(row["started_at"] for row in finished.rows())
    lost_picture, kept_picture = finished.stored()[0], finished.stored()[1]
    lost_picture.unlink()
    (lost_embedding, *_) = sorted((finished.folder / "results/store/embeddings").rglob("*.safetensors"))
    lost_embedding.unlink()
    before = identities(finished)

    fresh = darkroom(finished, "regress", "small", "--fresh")

    assert fresh.returncode == 0, fresh.stdout + fresh.stderr
    assert fresh.stderr.startswith("small: 12 pictures; 4 combinations, 1 model\n")
    assert "12 rendered, 0 kept\n12 previews: 12 identical\nresults/small/regress.html\n" in fresh.stdout
    rows = finished.rows()
    assert {row["reused"] for row in rows} == {False}
    assert min(row["started_at"] for row in rows) > rendered_before
    after = identities(finished)
    assert {path: after[path] for path in before} == before, "what the store had is the same file"
    assert after.keys() - before.keys() == {lost_picture, lost_embedding}, "what it lacked it has"
    shown = finished.folder / next(row["image_path"] for row in rows if row["request_id"] == kept_picture.stem)
    assert not shown.samefile(kept_picture), "shown is what was rendered now"
    assert not (finished.folder / "results/small/fresh").exists()

    again = darkroom(finished, "run", "small")
    assert again.stdout == "nothing to do; results/small/report.html\n"

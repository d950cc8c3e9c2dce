"""A whole run in a folder, weights and all, whose file system refuses what some do."""

import subprocess

from tests.machine.preloading import refusing
from tests.machine.waiting import PATIENCE
from tests.workflow.project import DEMO, Project

from darkroom.files.images.opened import COMMON, opened


def test_without_locks_links_and_mappings_the_pictures_are_the_same(project: Project, finished_once: Project) -> None:
    subprocess.run(["cp", "-r", str(DEMO), str(project.folder / "demo")], check=True)
    for name in ("conf/model/demo.yaml", "conf/lora/demo_lora.yaml"):
        project.write(name, (DEMO.parent / name).read_text().replace("${darkroom.folder}/", ""))
    command = project.command("--config", "experiment=small", 'set=["matrix.prompts=[dogs]"]')
    environment = refusing(project.folder, "flock", "link", "mmap")  # without modes, Snakemake itself has no .snakemake

    run = subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True, timeout=PATIENCE)

    assert run.returncode == 0, run.stderr
    said = "results/small: its file system has no locks (Function not implemented); .lock.owner with host and process"
    assert run.stderr.count(said) == 1
    assert pixels(project) == {name: data for name, data in pixels(finished_once).items() if "/dogs/" in name}
    assert not [file for file in (project.folder / "results").rglob("*.png") if file.stat().st_nlink > 1]


def pixels(project: Project) -> dict[str, bytes]:
    images = project.folder / "results/small/images"
    found = {}
    for path in images.rglob("*.png"):
        with opened(path, COMMON) as image:
            found[str(path.relative_to(images))] = image.tobytes()
    return found

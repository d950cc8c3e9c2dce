"""What is put right before Snakemake looks at an experiment, which goes by times and names alone; what a run leaves."""

import os
import time
from pathlib import Path

import pytest

from darkroom.files.atomic import write_json
from darkroom.names import Names
from darkroom.plan.workflow import Workflow

HOUR = 3600 * 10**9
NAMES = Names("m", "l", "p")


@pytest.fixture
def workflow(project):
    return Workflow(project.load())


def test_times_that_have_not_come_are_just_gone_in_the_order_that_they_had(workflow):
    folder, now = workflow.folder, time.time_ns()
    times = {
        folder.checkpoint("m"): now - HOUR,
        folder.requests(NAMES): now + HOUR,
        folder.records(NAMES): now + 3 * HOUR,
        folder.embeddings("m"): now + 2 * HOUR,
        folder.root / "finished": now + 3 * HOUR,
        folder.image(NAMES, "000_1", "png"): now + HOUR,
    }
    for path, when in times.items():
        write_json(path, {"embeddings": {}})
        os.utime(path, ns=(when, when))

    workflow.put_right()

    checkpoint, requests, records, embeddings, finished, image = (path.stat().st_mtime_ns for path in times)
    assert now - HOUR == checkpoint < requests < embeddings < records == finished < time.time_ns()
    assert image == now + HOUR, "of pictures no time is compared"


def test_what_was_cut_off_goes_so_that_it_is_made_again(workflow):
    folder, whole = workflow.folder, b"PAR1 and the rest PAR1"
    cut = {
        folder.manifest: whole[:-1],
        folder.comparison: bytes(len(whole)),
        folder.requests(NAMES): b'{"asked": "x", ',
        folder.checkpoint("m"): b"",
    }
    for path, content in cut.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    write_json(folder.embeddings("m"), {"embeddings": {}})

    workflow.put_right()

    assert [path.name for path in cut if path.exists()] == []
    assert folder.embeddings("m").exists()
    folder.manifest.write_bytes(whole)
    workflow.put_right()
    assert folder.manifest.exists()


def test_embeddings_that_are_gone_are_encoded_again(workflow):
    folder = workflow.folder
    write_json(folder.embeddings("m"), {"embeddings": {"a cat": "ab" * 32}})
    workflow.put_right()
    assert not folder.embeddings("m").exists()


def test_files_of_a_person_are_no_inputs_and_every_change_of_them_is_seen(project):
    """Snakemake ends a run of which an input is from the future."""
    before = Workflow(project.load()).trigger(*NAMES)
    seen = Path("sks.safetensors").stat()
    os.utime("sks.safetensors", ns=(seen.st_atime_ns, seen.st_mtime_ns + 100 * HOUR))
    ahead = Workflow(project.load()).trigger(*NAMES)
    project.write_weights("other.safetensors")
    Path("other.safetensors").replace("sks.safetensors")
    os.utime("sks.safetensors", ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert len({before, ahead, Workflow(project.load()).trigger(*NAMES)}) == 3


def test_a_run_that_has_every_picture_and_no_manifest_of_them_has_something_left(project, workflow):
    folder, (combination,) = workflow.folder, project.load().combinations
    assert combination.names == NAMES
    asked = workflow.trigger(*NAMES)
    assert workflow.take_stock(), "pictures"
    write_json(folder.checkpoint("m"), {})
    write_json(folder.requests(NAMES), {"asked": asked, "lost": ""})
    for request in combination.requests:
        write_json(folder.image(NAMES, request.title.image_name, "png"), {})
    folder.records(NAMES).parent.mkdir(parents=True)
    folder.records(NAMES).write_bytes(b"PAR1 and the rest PAR1")
    assert workflow.take_stock(), "the manifest"
    folder.finished.touch()
    assert not workflow.take_stock()

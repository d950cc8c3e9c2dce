"""Paths by content id, digests of weight files, the store of a run that renders everything anew."""

import json
from pathlib import Path

from darkroom.files.content import read_content, write_content
from darkroom.store import ExperimentFolder, Store, begin_afresh, format_of, settle


def test_where_things_lie(tmp_path: Path) -> None:
    store = Store(Path("results/store"))
    assert store.image("abcd", "png", 95) == Path("results/store/images/ab/abcd.png")
    assert store.image("abcd", "jpeg", 90) == Path("results/store/images/ab/abcd.q90.jpg")
    assert store.latents("abcd") == Path("results/store/images/ab/abcd.safetensors")
    assert store.embedding("ef01") == Path("results/store/embeddings/ef/ef01.safetensors")


def test_a_format_is_told_by_any_ending_of_it() -> None:
    names = ("a.png", "a.jpg", "a.jpeg", "a.JPG", "a.webp", "a.tiff", "a")
    assert [format_of(Path(name)) for name in names] == ["png", "jpeg", "jpeg", "jpeg", "webp", "tiff", ""]


def test_a_weight_file_is_hashed_again_only_when_it_changed(tmp_path: Path) -> None:
    store, file = Store(tmp_path / "store"), tmp_path / "w"
    file.write_text("one")
    first = store.sha256(file)
    (note,) = (tmp_path / "store" / "digests").iterdir()
    note.write_text(json.dumps({"sha256": "kept"}))
    assert store.sha256(file) == "kept"
    file.write_text("three")
    assert store.sha256(file) not in ("kept", first)


def test_the_store_of_a_fresh_run_ends_in_the_store_where_that_lacks_something(tmp_path):
    folder, store = ExperimentFolder(tmp_path / "results/demo"), tmp_path / "results/store"
    for name, content in (("digests/ab/x.json", "{}"), ("images/ab/kept.png", "before")):
        (store / name).parent.mkdir(parents=True)
        (store / name).write_text(content)
    (folder.root / "records").mkdir(parents=True)

    begin_afresh(folder, store)

    assert not (folder.root / "records").exists()
    assert [path.name for path in folder.fresh_store.rglob("*.*")] == ["x.json"]
    (folder.fresh_store / "images/ab").mkdir(parents=True)
    for name in ("kept.png", "new.png", ".half.png.tmp"):
        (folder.fresh_store / "images/ab" / name).write_text("now")

    settle(folder, store)

    assert not folder.fresh_store.exists()
    found = {path.name: path.read_text() for path in (store / "images").rglob("*") if path.is_file()}
    assert found == {"kept.png": "before", "new.png": "now"}


def test_what_was_damaged_in_the_store_is_replaced_by_what_a_fresh_run_has_rendered(tmp_path):
    folder, store = ExperimentFolder(tmp_path / "results/demo"), tmp_path / "results/store"
    for root, name in ((store, "whole.png"), (store, "damaged.png"), (folder.fresh_store, "damaged.png")):
        write_content(root / "images/ab" / name, f"{root.name} {name}".encode())
    (store / "images/ab/damaged.png").write_bytes(bytes(17))

    settle(folder, store)

    assert read_content(store / "images/ab/damaged.png") == b"fresh damaged.png"
    assert read_content(store / "images/ab/whole.png") == b"store whole.png"

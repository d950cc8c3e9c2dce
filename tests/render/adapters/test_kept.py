"""Adapter files that a worker keeps: as many as there is memory for, those used last."""

from collections.abc import Hashable
from pathlib import Path

import torch

from darkroom.lora_files.naming import Place
from darkroom.render.adapters.file import Adapter, Delta
from darkroom.render.adapters.kept import AdapterFile, KeptAdapters

MB = 10**6


def _adapter(name: str, megabytes: int = 100) -> Adapter:
    factor = torch.empty(megabytes * MB, dtype=torch.uint8)
    deltas = {layer: (Delta("lora", {"lora_A.weight": factor}, Place(layer)),) for layer in ("one", "two")}
    return Adapter(name, "lora", deltas, 1, "the trainer")


class _Files:
    """Files that are read when they are wanted; `read`: which, in order."""

    def __init__(self, folder: Path, megabytes: int = 100) -> None:
        self.read: list[str] = []
        self._folder, self._megabytes = folder, megabytes

    def of(self, *names: str) -> dict[Hashable, AdapterFile]:
        return {name: self._file(name) for name in names}

    def _file(self, name: str) -> AdapterFile:
        path = self._folder / name
        with path.open("wb") as file:
            file.truncate(self._megabytes * MB)  # takes no room on the disk
        return AdapterFile(path, lambda: self._open(name))

    def _open(self, name: str) -> Adapter:
        self.read.append(name)
        return _adapter(name, self._megabytes)


def test_a_tensor_that_layers_share_counts_once() -> None:
    assert _adapter("shared", 3).bytes == 3 * MB


def test_what_is_kept_is_not_read_again(tmp_path: Path) -> None:
    files, kept = _Files(tmp_path), KeptAdapters(lambda: 10_000 * MB)
    first = kept.take(files.of("a", "b"))
    assert kept.take(files.of("b", "a")) == first[::-1]
    assert files.read == ["a", "b"]


def test_the_one_used_longest_ago_goes_when_the_bound_is_reached(tmp_path: Path) -> None:
    """Of 900 MB that would be free without them a quarter holds two."""
    files, kept = _Files(tmp_path), KeptAdapters(lambda: 900 * MB - kept.bytes)
    for name in ("a", "b", "a", "c"):
        kept.take(files.of(name))
    assert kept.bytes == 200 * MB
    kept.take(files.of("a", "c"))
    assert files.read == ["a", "b", "c"]
    kept.take(files.of("b"))
    assert files.read == ["a", "b", "c", "b"]


def test_a_large_file_takes_the_place_of_many_small_ones(tmp_path: Path) -> None:
    small, large, kept = _Files(tmp_path, 10), _Files(tmp_path, 180), KeptAdapters(lambda: 800 * MB - kept.bytes)
    kept.take(small.of(*"abcdefghijklmnopqrst"))
    assert kept.bytes == 200 * MB
    kept.take(large.of("large"))
    assert kept.bytes == 200 * MB
    kept.take(small.of("t", "s", "r"))
    assert small.read[20:] == ["r"]


def test_a_computer_of_any_size_keeps_4_gb_at_most(tmp_path: Path) -> None:
    """Tensors that nobody has written to take no memory."""
    files, kept = _Files(tmp_path, 1500), KeptAdapters(lambda: 10**12)
    kept.take(files.of("a", "b"))
    kept.take(files.of("c"))
    assert kept.bytes == 3000 * MB


def test_those_that_a_picture_asks_for_are_read_whatever_they_take(tmp_path: Path) -> None:
    files, kept = _Files(tmp_path), KeptAdapters(lambda: 0)
    assert [adapter.path for adapter in kept.take(files.of("a", "b", "c"))] == ["a", "b", "c"]
    kept.take(files.of("d"))
    assert kept.bytes == 100 * MB


def test_room_is_made_before_a_file_is_read(tmp_path: Path) -> None:
    """Of 900 MB that would be free without them a quarter holds two."""
    kept, held = KeptAdapters(lambda: 900 * MB - kept.bytes), []
    kept.take(_Files(tmp_path).of("a", "b"))
    (file,) = _Files(tmp_path).of("c").values()

    def read() -> Adapter:
        held.append(kept.bytes)
        return file.read()

    kept.take({"c": AdapterFile(file.path, read)})
    assert (held, kept.bytes) == ([100 * MB], 200 * MB)


def test_a_file_that_takes_more_than_it_is_long_counts_as_what_it_takes(tmp_path: Path) -> None:
    kept = KeptAdapters(lambda: 900 * MB - kept.bytes)
    kept.take(_Files(tmp_path).of("a", "b"))
    kept.take({"gone": AdapterFile(tmp_path / "gone", lambda: _adapter("gone", 200))})
    assert kept.bytes == 200 * MB

"""The store knows what was written into it: whatever became of a file's bytes, it is not taken for whole."""

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save

from darkroom.errors import StoreError
from darkroom.files.content import (
    check_planned,
    fault_of,
    is_intact,
    note_digest,
    read_content,
    sha256_in,
    write_content,
)

LATENTS = save({"latents": torch.ones(1, 16, 4, 4)})


def picture(folder: Path, name: str) -> bytes:
    Image.effect_noise((64, 64), 50).convert("RGB").save(folder / name, quality=90)
    return (folder / name).read_bytes()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.safetensors"])
@pytest.mark.parametrize("damage", ["a zeroed block", "a zeroed tail", "cut short", "one bit"])
def test_what_was_damaged_since_it_was_written_is_not_whole(tmp_path: Path, name: str, damage: str) -> None:
    content = LATENTS if name.endswith("safetensors") else picture(tmp_path, name)
    path, middle = tmp_path / "store/ab" / name, len(content) // 2
    write_content(path, content)
    assert read_content(path) == content
    damaged = {
        "a zeroed block": content[:middle] + bytes(64) + content[middle + 64 :],
        "a zeroed tail": content[:-64] + bytes(64),
        "cut short": content[:-9],
        "one bit": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
    }[damage]
    path.write_bytes(damaged)
    assert fault_of(path) == "damaged: not what was written"
    with pytest.raises(StoreError, match=r"ab/a\.\w+: damaged: not what was written"):
        read_content(path)


def test_what_is_written_again_is_whole_and_so_is_what_it_was_before(tmp_path: Path) -> None:
    """A run that is killed between the line and the file leaves the earlier one."""
    path = tmp_path / "x.safetensors"
    write_content(path, LATENTS)
    note_digest(path, sha256_in(b"was never written"))
    assert is_intact(path)
    path.write_bytes(b"was never written")
    assert is_intact(path)


def test_of_an_older_version_a_file_is_whole_where_its_format_shows_no_damage(tmp_path: Path) -> None:
    write_content(tmp_path / "another.safetensors", LATENTS)
    (tmp_path / "old.safetensors").write_bytes(LATENTS)
    assert is_intact(tmp_path / "old.safetensors")
    (tmp_path / "old.safetensors").write_bytes(LATENTS[:-4])
    assert "truncated" in (fault_of(tmp_path / "old.safetensors") or "")
    (tmp_path / "old.jpg").write_bytes(picture(tmp_path, "a.jpg")[:-200])
    assert "cut off" in (fault_of(tmp_path / "old.jpg") or "")
    assert fault_of(tmp_path / "gone.png") is not None


def test_a_line_that_was_cut_off_counts_for_nothing_and_spoils_no_other(tmp_path: Path) -> None:
    path, sums = tmp_path / "x.png", tmp_path / "SHA256SUMS"
    sums.write_text("0123456789abc")
    write_content(path, b"content")
    assert is_intact(path)
    path.write_bytes(b"Content")
    assert not is_intact(path)


def test_several_write_at_once_and_sha256sum_reads_what_they_noted(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number:064x}.png" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda path: write_content(path, path.name.encode()), paths))
    assert all(map(is_intact, paths))
    checked = subprocess.run(["sha256sum", "-c", "--strict", "--quiet", "SHA256SUMS"], cwd=tmp_path, check=False)
    assert checked.returncode == 0


def test_what_a_plan_names_has_to_be_what_it_was(tmp_path: Path) -> None:
    check_planned(b"one", "x.safetensors", sha256_in(b"one"))
    check_planned(b"two", "x.safetensors", None)
    with pytest.raises(StoreError, match=r"x\.safetensors: changed after the plan was made"):
        check_planned(b"two", "x.safetensors", sha256_in(b"one"))

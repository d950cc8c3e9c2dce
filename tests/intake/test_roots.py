"""Where the files may lie that a stranger's file names."""

from pathlib import Path

import pytest

from darkroom.errors import ConfigError
from darkroom.intake.roots import Roots


def test_paths_stay_inside_their_roots(tmp_path, monkeypatch):
    for name in ("here/loras/a.safetensors", "elsewhere/b.safetensors", "secret/key"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path / "here")
    Path("link").symlink_to(tmp_path / "secret")
    Path("current.safetensors").symlink_to("loras/a.safetensors")
    roots = Roots([Path(), tmp_path / "elsewhere"])
    assert roots.inside("loras/a.safetensors", "r.json: loras[0].path") == Path("loras/a.safetensors")
    assert roots.inside("loras/../loras/a.safetensors", "…") == Path("loras/a.safetensors")
    assert roots.inside(str(tmp_path / "here/loras"), "…") == Path("loras")
    assert roots.inside("current.safetensors", "…") == Path("current.safetensors")
    assert roots.inside("b.safetensors", "…") == tmp_path / "elsewhere/b.safetensors"
    assert roots.inside("missing.safetensors", "…") == Path("missing.safetensors")
    for path in ("../secret/key", str(tmp_path / "secret/key"), "link/key", "/etc/passwd"):
        with pytest.raises(ConfigError) as caught:
            roots.inside(path, "r.json: loras[0].path")
        assert str(caught.value).startswith(f"r.json: loras[0].path: '{path}' lies outside ., {tmp_path / 'elsewhere'}")
        assert "add --root " in str(caught.value)
    assert Roots([Path("/")]).inside("/etc/passwd", "…") == Path("/etc/passwd")
    for path in ("", "a\0b"):
        with pytest.raises(ConfigError, match="expected a path"):
            roots.inside(path, "…")

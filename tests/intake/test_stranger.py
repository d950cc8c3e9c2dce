"""Files from strangers: values and nothing else, however they were made."""

import os
from datetime import date
from pathlib import Path

import pytest

from darkroom.errors import ConfigError
from darkroom.intake import stranger
from darkroom.intake.roots import Roots
from darkroom.intake.stranger import read_json, read_yaml


def test_plain_values_of_yaml(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(
        "\ufeffjob: extension\nlr: 1e-4\nbig: 1.5e4\nempty: null\nday: 2024-02-01\n"
        "base: &b {seed: 1, walk: true}\nitem: {<<: *b, seed: 2}\nlist: [*b, '1']\n",
        encoding="utf-8",
    )
    base = {"seed": 1, "walk": True}
    assert read_yaml(file) == {
        "job": "extension",
        "lr": 0.0001,
        "big": 15000.0,
        "empty": None,
        "day": date(2024, 2, 1),
        "base": base,
        "item": {"seed": 2, "walk": True},
        "list": [base, "1"],
    }


def _billion_laughs() -> str:
    lines = ['a0: &a0 ["lol", "lol", "lol", "lol", "lol", "lol", "lol", "lol", "lol"]']
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    return "\n".join(lines)


def _staircase() -> str:
    return "a0: &a0 []\n" + "\n".join(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 2000))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: key 'a' is there twice"),
        ("a: !!python/object/apply:os.system [id]\n", "line 1: tag !!python/object/apply:os.system: expected a plain"),
        ("a: !!python/name:os.system\n", "line 1: tag !!python/name:os.system: expected a plain value, without a tag"),
        ("a: 1\nb: !!bool maybe\n", "line 2: tag !!bool: expected a plain value, without a tag"),
        ('a: !!int ""\n', "line 1: tag !!int: "),
        ('a: !!float ""\n', "line 1: tag !!float: "),
        ("a: !!timestamp foo\n", "line 1: tag !!timestamp: "),
        ("a: !!set {b}\n", "line 1: tag !!set: "),
        ("a: &a [*a]\n", "line 1: contains itself by an alias"),
        (_billion_laughs(), "more than 200000 values, with those that aliases repeat"),
        (_staircase(), "more than 100 lists and mappings inside each other, with those that aliases repeat"),
        ("[" * 200_000, "line 1: more than 100 lists and mappings inside each other"),
        ("a: [" + "1," * 500_000 + "1]", "line 1: more than 200000 values"),
        ("a: [1\nb: 2\n", "line 2, column 2: "),
        ("a: 2024-13-45\n", "line 1, column 4: month must be in 1..12"),
        ("a: 1\nb: 1" + "0" * 400, "line 2, column 4: a whole number with more than 300 digits"),
        ("a: 0x" + "f" * 4000, "line 1, column 4: a whole number with more than 300 digits"),
        ("a: 1" + ":59" * 300 + ".5", "line 1, column 4: int too large to convert to float"),
        ("{[1]: 2}", "line 1, column 2: found unhashable key"),
        ("a: \x07\n", "control characters are not allowed"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1: but found another document"),
        ("", "is empty"),
    ],
)
def test_what_is_wrong_with_yaml(text, message, tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_yaml(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1,\n "a": 2}', "key 'a' is there twice in one object"),
        ('{"a": NaN}', "NaN is no number of JSON"),
        ('{"a": 1,\n "b": }', "line 2, column 7: Expecting value"),
        ("[" * 100_000, "more than 100 lists and mappings inside each other"),
        ("[" + "[]," * 300_000 + "1]", "more than 200000 values"),
        ("1" * 301, "a whole number with more than 300 digits"),
        ('{"a": 1,\n "b": "\\\\\\ud800"}', "line 2: \\ud800 is half a character"),
        ('{"\\uDC00": 1}', "\\uDC00 is half a character"),
    ],
)
def test_what_is_wrong_with_json(text, message, tmp_path):
    file = tmp_path / "request.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_json(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert message in str(caught.value)


def test_brackets_and_commas_in_the_texts_of_json_do_not_count(tmp_path):
    file = tmp_path / "request.json"
    file.write_text('{"a": "' + '[{,\\"' * 200_000 + '"}', encoding="utf-8")
    assert read_json(file) == {"a": '[{,"' * 200_000}


def test_texts_that_only_look_like_a_tag_or_half_a_character(tmp_path):
    (tmp_path / "config.yaml").write_text("a: !!str 5\nb: '!!int'\n")
    assert read_yaml(tmp_path / "config.yaml") == {"a": "5", "b": "!!int"}
    (tmp_path / "request.json").write_text('["\\ud83d\\ude00", "\\\\ud800"]')
    assert read_json(tmp_path / "request.json") == ["\U0001f600", "\\ud800"]


def test_what_is_no_text_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "latin").write_bytes("a: 1\nb: é".encode("latin-1"))
    (tmp_path / "large").write_bytes(b"#" * (4 * stranger.MEGABYTE + 1))
    said = {}
    for name in ("pipe", "latin", "large", "lacking", "."):
        with pytest.raises(ConfigError) as caught:
            read_yaml(tmp_path / name)
        said[name] = str(caught.value).removeprefix(f"{tmp_path / name}: ")
    assert said == {
        "pipe": "expected a file, got a folder or a device",
        "latin": "line 2: not UTF-8 text: unexpected end of data; save it as UTF-8",
        "large": "larger than the 4 MB that are read of such a file",
        "lacking": "No such file or directory (paths start at the working directory)",
        ".": "expected a file, got a folder or a device",
    }


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
    for path in ("", "a\0b", "a\ud800"):
        with pytest.raises(ConfigError, match="expected a path"):
            roots.inside(path, "…")

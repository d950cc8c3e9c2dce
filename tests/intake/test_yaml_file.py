"""YAML of strangers: values and nothing else, however it was made."""

import os
from datetime import date

import pytest

from darkroom.errors import ConfigError
from darkroom.files.regular_file import MEGABYTE
from darkroom.intake.yaml_file import read_yaml


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
        ('a: "\\ud800"', "line 1, column 7: found invalid Unicode character escape code"),
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


def test_a_text_that_only_looks_like_a_tag(tmp_path):
    (tmp_path / "config.yaml").write_text("a: !!str 5\nb: '!!int'\n")
    assert read_yaml(tmp_path / "config.yaml") == {"a": "5", "b": "!!int"}


def test_what_is_no_text_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "latin").write_bytes("a: 1\nb: é".encode("latin-1"))
    (tmp_path / "large").write_bytes(b"#" * (4 * MEGABYTE + 1))
    said = {}
    for name in ("pipe", "latin", "large", "lacking", "."):
        with pytest.raises(ConfigError) as caught:
            read_yaml(tmp_path / name)
        said[name] = str(caught.value).removeprefix(f"{tmp_path / name}: ")
    assert said == {
        "pipe": "expected a file, got a FIFO",
        "latin": "line 2: not UTF-8 text: unexpected end of data; save it as UTF-8",
        "large": "4194305 bytes; at most 4194304 are read of such a file",
        "lacking": "no such file",
        ".": "expected a file, got a folder",
    }

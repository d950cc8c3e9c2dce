"""Reads YAML that somebody else wrote, as plain values: nothing in it is run, nothing grows without bounds.

Every failure is a ConfigError that names the file, and the line where there is one.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from darkroom.errors import ConfigError, one_line
from darkroom.files.json_text import MOST_DIGITS, TOO_LONG
from darkroom.files.regular_file import read_text
from darkroom.files.yaml_text import bounded_events, bounded_nodes

_TAG = "tag:yaml.org,2002:"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain values only. 1e-4 is a number, as in the trainer's loader (toolkit/config.py)."""


_Loader.add_implicit_resolver(
    f"{_TAG}float", re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _constructed(kind: str) -> None:
    """Let failures of PyYAML's constructor for `kind` name their line, and whole numbers end at MOST_DIGITS."""
    construct = getattr(yaml.SafeLoader, f"construct_yaml_{kind}")

    def checked(loader: Any, node: yaml.ScalarNode) -> Any:
        try:
            value = construct(loader, node)
        except (ValueError, OverflowError) as error:  # a date that there is none of, a number with thousands of digits
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error
        if isinstance(value, int) and abs(value) >= 10**MOST_DIGITS:
            raise yaml.constructor.ConstructorError(None, None, TOO_LONG, node.start_mark)
        return value

    _Loader.add_constructor(f"{_TAG}{kind}", checked)


for _kind in ("int", "float", "timestamp"):
    _constructed(_kind)


def read_yaml(path: Path) -> Any:
    """One YAML document as plain values. A repeated key, a tag (but !!str) and an alias within itself are errors."""
    text = read_text(path)
    try:
        for event in bounded_events(path, text, _Loader):  # before anything is built: building is recursive
            _check_tag(path, event)
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                raise ConfigError(f"{path}: is empty")
            for node in bounded_nodes(path, root):
                if isinstance(node, yaml.MappingNode):
                    _check_keys(path, node)
            return loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}: line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        said = getattr(error, "problem", None) or one_line(error)
        raise ConfigError(f"{place}: {said}") from error


def _check_tag(path: Path, event: yaml.Event) -> None:
    """A value is what it looks like: for a text that its tag does not fit, PyYAML has errors of all kinds."""
    tag = getattr(event, "tag", None)
    if tag is not None and not (isinstance(event, yaml.ScalarEvent) and tag in ("!", f"{_TAG}str")):
        written = tag.replace(_TAG, "!!")
        raise ConfigError(f"{path}: line {_line(event)}: tag {written}: expected a plain value, without a tag")


def _check_keys(path: Path, node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen and key.tag != f"{_TAG}merge":
                raise ConfigError(f"{path}: line {_line(key)}: key {key.value!r} is there twice")
            seen.add((key.tag, key.value))


def _line(place: yaml.Event | yaml.Node) -> int:
    assert place.start_mark  # what is parsed has one
    return int(place.start_mark.line) + 1

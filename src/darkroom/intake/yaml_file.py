"""Reads YAML that somebody else wrote, as plain values: nothing in it is run, nothing grows without bounds.

Every failure is a ConfigError that names the file, and the line where there is one.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from darkroom.errors import ConfigError
from darkroom.files.json_text import MOST_DEPTH, MOST_DIGITS, MOST_VALUES, TOO_DEEP, TOO_LONG, too_many
from darkroom.files.regular_file import read_text

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
        _check_events(path, text)
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                raise ConfigError(f"{path}: is empty")
            _check_nodes(path, root)
            return loader.construct_document(root)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{path}: line {mark.line + 1}, column {mark.column + 1}" if mark else str(path)
        said = getattr(error, "problem", None) or " ".join(str(error).split())
        raise ConfigError(f"{place}: {said}") from error


def _check_events(path: Path, text: str) -> None:
    """How deep and how many, before anything is built: building is recursive."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        _check_tag(path, event)
        if depth > MOST_DEPTH:
            raise ConfigError(f"{path}: line {_line(event)}: {TOO_DEEP}")
        if count > 2 * MOST_VALUES:  # a mapping or a list is two events
            raise ConfigError(f"{path}: line {_line(event)}: {too_many()}")


def _check_tag(path: Path, event: yaml.Event) -> None:
    """A value is what it looks like: for a text that its tag does not fit, PyYAML has errors of all kinds."""
    tag = getattr(event, "tag", None)
    if tag is not None and not (isinstance(event, yaml.ScalarEvent) and tag in ("!", f"{_TAG}str")):
        written = tag.replace(_TAG, "!!")
        raise ConfigError(f"{path}: line {_line(event)}: tag {written}: expected a plain value, without a tag")


def _check_nodes(path: Path, root: yaml.Node) -> None:
    """No key twice, and neither too many values nor too deep once each alias stands for what it repeats."""
    extents: dict[int, tuple[int, int]] = {}  # values, depth
    building: set[int] = set()

    def extent(node: yaml.Node) -> tuple[int, int]:
        if id(node) in building:
            raise ConfigError(f"{path}: line {_line(node)}: contains itself by an alias")
        if id(node) not in extents:
            building.add(id(node))
            if isinstance(node, yaml.MappingNode):
                _check_keys(path, node)
            inner = [extent(child) for child in _children(node)]
            count, depth = 1 + sum(count for count, _ in inner), 1 + max((depth for _, depth in inner), default=0)
            extents[id(node)] = count, depth
            building.remove(id(node))
            if count > MOST_VALUES or depth > MOST_DEPTH:
                said = too_many() if count > MOST_VALUES else TOO_DEEP
                raise ConfigError(f"{path}: line {_line(node)}: {said}, with those that aliases repeat")
        return extents[id(node)]

    extent(root)


def _check_keys(path: Path, node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen and key.tag != f"{_TAG}merge":
                raise ConfigError(f"{path}: line {_line(key)}: key {key.value!r} is there twice")
            seen.add((key.tag, key.value))


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _line(place: yaml.Event | yaml.Node) -> int:
    assert place.start_mark  # what is parsed has one
    return int(place.start_mark.line) + 1

"""Files that somebody else wrote, as plain values: nothing in them is run, nothing grows without bounds. Knows no keys.

Every failure is a ConfigError that names the file, and the line where there is one.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from darkroom.errors import ConfigError

MEGABYTE = 2**20
_BYTES = 4 * MEGABYTE
_NODES = 200_000  # values, those that aliases repeat included
_DEPTH = 100  # lists and mappings inside each other
_DIGITS = 300  # of a whole number; one with 309 is no float any more
_TOO_MANY = f"more than {_NODES} values"
_TOO_DEEP = f"more than {_DEPTH} lists and mappings inside each other"
_TOO_LONG = f"a whole number with more than {_DIGITS} digits"
_JSON_STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_JSON_ESCAPE = re.compile(  # a pair that makes one character, half of one, or any other
    r"\\(?:u[dD][89abAB].{2}\\u[dD][c-fC-F].{2}|(?P<half>u[dD][89a-fA-F].{2})|.)", re.DOTALL
)
_YAML_TAG = "tag:yaml.org,2002:"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Plain values only. 1e-4 is a number, as in the trainer's loader (toolkit/config.py)."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _constructed(kind: str) -> None:
    """Let failures of PyYAML's constructor for `kind` name their line, and whole numbers end at _DIGITS."""
    construct = getattr(yaml.SafeLoader, f"construct_yaml_{kind}")

    def checked(loader: Any, node: yaml.ScalarNode) -> Any:
        try:
            value = construct(loader, node)
        except (ValueError, OverflowError) as error:  # a date that there is none of, a number with thousands of digits
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error
        if isinstance(value, int) and abs(value) >= 10**_DIGITS:
            raise yaml.constructor.ConstructorError(None, None, _TOO_LONG, node.start_mark)
        return value

    _Loader.add_constructor(f"{_YAML_TAG}{kind}", checked)


for _kind in ("int", "float", "timestamp"):
    _constructed(_kind)


def read_bytes(path: Path, limit: int = _BYTES) -> bytes:
    """What is in a file of at most `limit` bytes; ConfigError where it is larger, or cannot be read."""
    try:
        if path.exists() and not path.is_file():  # a FIFO would be waited for
            raise ConfigError(f"{path}: expected a file, got a folder or a device")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error} (paths start at the working directory)") from error
    if len(content) > limit:
        raise ConfigError(f"{path}: larger than the {limit / MEGABYTE:g} MB that are read of such a file")
    return content


def read_text(path: Path, limit: int = _BYTES) -> str:
    """UTF-8 text, with or without a byte order mark."""
    content = read_bytes(path, limit)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(f"{path}: line {line}: not UTF-8 text: {error.reason}; save it as UTF-8") from error


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


def read_json(path: Path, limit: int = _BYTES) -> Any:
    """One JSON value of at most `limit` bytes. A repeated key, NaN and half a character (\\ud800) are errors."""
    return parse_json(read_text(path, limit), str(path))


def parse_json(text: str, place: str) -> Any:
    """As `read_json`, for a text that was found at `place`."""
    _check_skeleton(place, _JSON_STRING.sub("", text))

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise ConfigError(f"{place}: key {key!r} is there twice in one object")
            found[key] = value
        return found

    def whole_number(digits: str) -> int:
        if len(digits) > _DIGITS:
            raise ConfigError(f"{place}: {_TOO_LONG}")
        return int(digits)

    def no_number(name: str) -> None:
        raise ConfigError(f"{place}: {name} is no number of JSON")

    try:
        value = json.loads(text, object_pairs_hook=once, parse_int=whole_number, parse_constant=no_number)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text else ""
        raise ConfigError(f"{place}: {line}column {error.colno}: {error.msg}") from error
    _check_characters(place, text)
    return value


def _check_events(path: Path, text: str) -> None:
    """How deep and how many, before anything is built: building is recursive."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        _check_tag(path, event)
        if depth > _DEPTH:
            raise ConfigError(f"{path}: line {_line(event)}: {_TOO_DEEP}")
        if count > 2 * _NODES:  # a mapping or a list is two events
            raise ConfigError(f"{path}: line {_line(event)}: {_TOO_MANY}")


def _check_tag(path: Path, event: yaml.Event) -> None:
    """A value is what it looks like: for a text that its tag does not fit, PyYAML has errors of all kinds."""
    tag = getattr(event, "tag", None)
    if tag is not None and not (isinstance(event, yaml.ScalarEvent) and tag in ("!", f"{_YAML_TAG}str")):
        written = tag.replace(_YAML_TAG, "!!")
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
            if count > _NODES or depth > _DEPTH:
                said = _TOO_MANY if count > _NODES else _TOO_DEEP
                raise ConfigError(f"{path}: line {_line(node)}: {said}, with those that aliases repeat")
        return extents[id(node)]

    extent(root)


def _check_keys(path: Path, node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen and key.tag != "tag:yaml.org,2002:merge":
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


def _check_characters(place: str, text: str) -> None:
    """No half of a surrogate pair, which no file can hold. `text` is valid JSON: backslashes are in strings only."""
    for escape in _JSON_ESCAPE.finditer(text):
        if escape["half"]:
            line = f"line {text.count(chr(10), 0, escape.start()) + 1}: " if "\n" in text else ""
            raise ConfigError(f"{place}: {line}{escape[0]} is half a character; expected the pair that makes one")


def _check_skeleton(place: str, skeleton: str) -> None:
    """How deep and how many, from JSON without its strings."""
    if sum(map(skeleton.count, ",[{")) > _NODES:
        raise ConfigError(f"{place}: {_TOO_MANY}")
    depth = 0
    for bracket in re.finditer(r"[\[\]{}]", skeleton):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > _DEPTH:
            raise ConfigError(f"{place}: {_TOO_DEEP}")

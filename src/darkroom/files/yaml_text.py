"""Plain values as YAML that people like to read and edit; and how much YAML is read, whoever wrote it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from darkroom.errors import ConfigError
from darkroom.files.json_text import MOST_DEPTH, MOST_VALUES, TOO_DEEP, too_many

_COLUMNS = 120
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")  # what YAML and OmegaConf take for text without quotes, but for
_YAML_WORDS = {"null", "true", "false", "yes", "no", "on", "off"}
_TEXT_LINE = re.compile(r'(\s*(?:- )?(?:[A-Za-z_]\w*: )?)(".*")')  # `- "text"`, `key: "text"`
_PROSE = ("prompt", "neg")  # keys of texts that are always in quotes: what is written into them may need it
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_NULL = "tag:yaml.org,2002:null"  # of an empty file
_MOST_REPEATED = 5_000  # values; OmegaConf takes ten thousand a second
_JOINER = "\u200d"  # between the parts of an emoji; invisible as all others that are not printable, but wanted


def yaml_text(value: Mapping[str, Any]) -> str:
    """Keys and plain values as YAML that OmegaConf reads back as they are: a line an entry where that is wide enough.

    >>> yaml_text({"trigger_word": "sks", "loras": [{"path": "a.safetensors", "network_multiplier": 1.0}]})
    trigger_word: sks
    loras:
      - {path: a.safetensors, network_multiplier: 1.0}
    """
    return "".join(f"{line}\n" for line in _block(value, ""))


def yaml_line(value: Any) -> str:
    """The same in one line, however long.

    >>> yaml_line({"model": ["demo"], "seed": [1, 2]})
    {model: [demo], seed: [1, 2]}
    """
    return _flow(value)


def _block(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    """One line a key; lists of the outermost level, and what does not fit into a line, on lines of their own."""
    for key, entry in value.items():
        head = f"{indent}{_scalar(key)}:"
        in_line = f"{head} {_flow(entry, key in _PROSE)}"
        nested = isinstance(entry, Mapping | list | tuple) and bool(entry)
        scalars = isinstance(entry, Mapping) and not any(
            isinstance(each, Mapping | list | tuple) for each in entry.values()
        )
        if not nested or (len(in_line) <= _COLUMNS and (bool(indent) or scalars)):
            yield from _folded(in_line, f"{indent}  ")
        elif isinstance(entry, Mapping):
            yield head
            yield from _block(entry, f"{indent}  ")
        else:
            yield head
            for item in entry:
                yield from _item(item, f"{indent}  ")


def _item(value: Any, indent: str) -> Iterator[str]:
    in_line = f"{indent}- {_flow(value, quoted=True)}"
    if len(in_line) <= _COLUMNS or not isinstance(value, Mapping):
        yield from _folded(in_line, f"{indent}  ")
        return
    first, *others = _block(value, f"{indent}  ")
    yield f"{indent}- {first.lstrip()}"
    yield from others


def _flow(value: Any, quoted: bool = False) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(entry, key in _PROSE)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value, quoted)


def _scalar(value: Any, quoted: bool = False) -> str:
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        text = repr(value)
        return text if "." in text or "e" not in text else text.replace("e", ".0e")  # PyYAML takes 1e-05 for text
    if isinstance(value, int):
        return str(value)
    if not quoted and _PLAIN.fullmatch(value) and value.lower() not in _YAML_WORDS:
        return str(value)
    # For OmegaConf ${ would be an interpolation, and a backslash before it an escape.
    literal = re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", value)
    return '"' + "".join(map(_escaped, literal)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable() or character == _JOINER:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _folded(line: str, indent: str) -> Iterable[str]:
    """A long text in quotes over several lines: YAML reads a line break between two words as the space it was."""
    match = _TEXT_LINE.fullmatch(line)
    if len(line) <= _COLUMNS or match is None:
        return [line]
    head, *words = re.split(r"(?<=\S) (?=\S)", match[2])
    lines = [match[1] + head]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > _COLUMNS:
            lines.append(indent + word)
        else:
            lines[-1] += f" {word}"
    return lines


def bounded_events(path: Path, text: str, loader: Any) -> Iterator[yaml.Event]:
    """What a YAML text says, part by part; ConfigError where it is too deep or has too many values."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=loader)):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MOST_DEPTH:
            raise ConfigError(f"{path}: line {_line(event)}: {TOO_DEEP}")
        if count > 2 * MOST_VALUES:  # a mapping or a list is two events
            raise ConfigError(f"{path}: line {_line(event)}: {too_many()}")
        yield event


def bounded_nodes(path: Path, root: yaml.Node, repeated: int = MOST_VALUES) -> Iterator[yaml.Node]:
    """Every node once; ConfigError where they are too many or too deep, each alias standing for what it repeats.

    `repeated`: values that aliases may add.
    """
    extents: dict[int, tuple[int, int]] = {}  # values, depth
    building: set[int] = set()

    def visit(node: yaml.Node) -> Iterator[yaml.Node]:
        if id(node) in building:
            raise ConfigError(f"{path}: line {_line(node)}: contains itself by an alias")
        if id(node) in extents:
            return
        building.add(id(node))
        yield node
        for child in _children(node):
            yield from visit(child)
        inner = [extents[id(child)] for child in _children(node)]
        count, depth = 1 + sum(count for count, _ in inner), 1 + max((depth for _, depth in inner), default=0)
        extents[id(node)] = count, depth
        building.remove(id(node))
        if count > MOST_VALUES or depth > MOST_DEPTH:
            said = too_many() if count > MOST_VALUES else TOO_DEEP
            raise ConfigError(f"{path}: line {_line(node)}: {said}, with those that aliases repeat")
        if count > len(extents) + repeated:
            raise ConfigError(f"{path}: line {_line(node)}: aliases repeat more than {repeated} values")

    yield from visit(root)


def check_keys_and_values(path: Path, text: str) -> None:
    """ConfigError for YAML that is too deep or long, grows by aliases or is one value; all else its reader says."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        for _ in bounded_events(path, text, loader):
            pass
        if (root := yaml.compose(text, Loader=loader)) is not None:
            for _ in bounded_nodes(path, root, repeated=_MOST_REPEATED):
                pass
            if isinstance(root, yaml.ScalarNode) and root.tag != _NULL:
                raise ConfigError(f"{path}: expected keys and values, got {root.value[:40]!r}")
    except yaml.YAMLError:
        return


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

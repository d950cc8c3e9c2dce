"""Files of conf/ that an import writes: readable YAML, and never over what somebody has edited. Knows no importer.

The first line of each holds a digest of the rest: while it fits, the file is as it was imported, and a later import may
replace it.
"""

import difflib
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.display import printable
from darkroom.errors import ConfigError, raise_together
from darkroom.names import name_fault
from darkroom.store import atomic

CONF = Path("conf")  # relative to the working directory
_COLUMNS = 120
# What may be there already where a file is to be written.
_NEW, _SAME, _UNTOUCHED, _ANOTHERS, _EDITED = "new", "same", "untouched", "another's", "edited"
_IN_THE_WAY = (_ANOTHERS, _EDITED)
_ADVICE = {
    _ANOTHERS: "comes from another import, or one with other options, as its first line says; --name writes others, "
    "--force replaces it",
    _EDITED: "edited since it was imported, or not imported at all; --keep-edited leaves it and writes the rest, "
    "--force overwrites it, --name writes others",
}
_FIRST_LINE = re.compile(
    r"# (?P<source>(?:Imported by darkroom from|Written by) .*); yours to edit\. (?P<digest>[0-9a-f]{8})"
)
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")  # what YAML and OmegaConf take for text without quotes, but for
_YAML_WORDS = {"null", "true", "false", "yes", "no", "on", "off"}
_TEXT_LINE = re.compile(r'(\s*(?:- )?(?:[A-Za-z_]\w*: )?)(".*")')  # `- "text"`, `key: "text"`
_PROSE = ("prompt", "neg")  # keys of texts that are always in quotes: what is written into them may need it
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_JOINER = "\u200d"  # between the parts of an emoji; invisible as all others that are not printable, but wanted


@dataclass(frozen=True, kw_only=True)
class ImportOptions:
    """What a person says about an import, besides what is to be imported."""

    name: str | None = None  # of the files to write; None: that of the file to import
    roots: tuple[Path, ...] = (Path(),)  # folders in which files may lie that are named in it
    download: bool = False  # pictures that are named by URL
    force: bool = False  # overwrite what was edited
    keep_edited: bool = False  # leave what was edited, and write the rest
    dry_run: bool = False  # say what would be written


@dataclass(frozen=True)
class ConfFile:
    """A file to write, its first line as `conf_file` makes it."""

    path: Path
    text: str


@dataclass(frozen=True)
class ConfPicture:
    """A picture to write beside the prompts that show it."""

    path: Path
    content: bytes


def conf_file(path: Path, source: str, body: str, how: str = "Imported by darkroom from") -> ConfFile:
    """`body` below the line that says where it is from."""
    return ConfFile(path, f"# {how} {printable(source)}; yours to edit. {_digest(body)}\n{body}")


def import_name(chosen: str | None, found: str, asked_at: str) -> str:
    """The name for the files of an import: `chosen` by --name, or `found` with what no name can have replaced by _."""
    name = chosen if chosen is not None else re.sub(r"[^A-Za-z0-9._-]+|\.\.+", "_", found).strip("._-")
    fault = name_fault(name) or (f"{name!r} means no LoRA in every experiment" if name == "none" else None)
    if fault:
        place = "--name" if chosen is not None else f"{asked_at}: as a name for the imported files"
        raise ConfigError(f"{place}: {fault}; choose one with --name")
    return name


def write_conf_files(
    files: Sequence[ConfFile | ConfPicture], *, force: bool, dry_run: bool, keep_edited: bool = False
) -> list[str]:
    """Write those that are new or different; a line for each says what was done, or would be.

    Problems or ConfigError, before anything is written, where a file was edited, is somebody's own or of another
    import: `force` takes its place, and with `keep_edited` an edited one stays, with a line for each difference. A file
    that is as it should be is left alone.
    """
    states = {file.path: _state(file) for file in files}
    kept = {path for path, state in states.items() if keep_edited and state == _EDITED}
    in_the_way = {path: state for path, state in states.items() if state in _IN_THE_WAY and path not in kept}
    if not force and not dry_run:
        raise_together(ConfigError(f"{path}: {_ADVICE[state]}") for path, state in in_the_way.items())
    said: list[str] = []
    for file in files:
        said += [_said(file.path, states[file.path], force, dry_run, file.path in kept)]
        if file.path in kept:
            said += _lacking(file)
        elif states[file.path] != _SAME and not dry_run:
            with atomic(file.path) as temporary:
                temporary.write_bytes(file.text.encode() if isinstance(file, ConfFile) else file.content)
    return said


def _lacking(file: ConfFile | ConfPicture) -> list[str]:
    """The lines in which an edited file differs from what would be written."""
    if isinstance(file, ConfPicture):
        return []
    there = file.path.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    lines = difflib.unified_diff(there, file.text.splitlines()[1:], lineterm="", n=0)
    return [f"    {printable(line)}" for line in lines if not line.startswith(("---", "+++", "@@"))]


def yaml_text(value: Mapping[str, Any]) -> str:
    """Keys and plain values as YAML that OmegaConf reads back as they are: a line an entry where that is wide enough.

    >>> yaml_text({"trigger_word": "sks", "loras": [{"path": "a.safetensors", "network_multiplier": 1.0}]})
    trigger_word: sks
    loras:
      - {path: a.safetensors, network_multiplier: 1.0}
    """
    return "".join(f"{line}\n" for line in _block(value, ""))


def _state(file: ConfFile | ConfPicture) -> str:
    """What is there already. Another picture may be somebody's own."""
    try:
        if isinstance(file, ConfPicture):
            return _SAME if file.path.read_bytes() == file.content else _EDITED
        there = file.path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return _NEW
    except (OSError, UnicodeDecodeError):  # a folder, or nothing that we wrote
        return _EDITED
    if there == file.text:
        return _SAME
    first, _, rest = there.partition("\n")
    written, own = _FIRST_LINE.fullmatch(first), _FIRST_LINE.fullmatch(file.text.partition("\n")[0])
    if written is None or written["digest"] != _digest(rest):
        return _EDITED
    return _UNTOUCHED if own and own["source"] == written["source"] else _ANOTHERS


def _said(path: Path, state: str, force: bool, dry_run: bool, is_kept: bool) -> str:
    if state == _SAME:
        return f"{path}: as it is"
    if is_kept:
        return f"{path}: edited, so it stays as it is; an import would have changed:"
    if state in _IN_THE_WAY and not force:
        return f"{path}: would be left, and stop the import: {_ADVICE[state]}"
    done = "written" if state == _NEW else "written anew" if state == _UNTOUCHED else "overwritten"
    return f"{path}: would be {done}" if dry_run else f"{path}: {done}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:8]


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

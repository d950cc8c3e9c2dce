"""Files of conf/ that an import writes: readable YAML, and never over what somebody has edited. Knows no importer.

The first line of each holds a digest of the rest: while it fits, the file is as it was imported, and a later import may
replace it.
"""

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom.display import printable
from darkroom.errors import ConfigError, raise_together
from darkroom.files.atomic import atomic
from darkroom.files.regular_file import is_there
from darkroom.names import as_name, name_fault

CONF = Path("conf")  # relative to the working directory
# What may be there already where a file is to be written.
_NEW, _SAME, _UNTOUCHED, _ANOTHERS, _EDITED = "new", "same", "untouched", "another's", "edited"
_BARRED = "barred"
_ADVICE = {
    _ANOTHERS: "comes from another import, or one with other options, as its first line says; --name writes others, "
    "--force replaces it",
    _EDITED: "edited since it was imported, or not imported at all; --keep-edited leaves it and writes the rest, "
    "--force overwrites it, --name writes others",
    _BARRED: "no file can be written there: a folder or the like has its name, or a file that of a folder above it; "
    "move that away",
}
_FIRST_LINE = re.compile(
    r"# (?P<source>(?:Imported by darkroom from|Written by) .*); yours to edit\. (?P<digest>[0-9a-f]{8})"
)


@dataclass(frozen=True, kw_only=True)
class Writing:
    """What is to be done where a file is there already."""

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
    name = chosen if chosen is not None else as_name(found)
    fault = name_fault(name) or (f"{name!r} means no LoRA in every experiment" if name == "none" else None)
    if fault:
        place = "--name" if chosen is not None else f"{asked_at}: as a name for the imported files"
        raise ConfigError(f"{place}: {fault}; choose one with --name")
    return name


def is_as_imported(path: Path, source: str) -> bool:
    """True for a file that an import from the same source wrote, and nobody has edited."""
    return _state(conf_file(path, source, "")) == _UNTOUCHED


def write_conf_files(files: Sequence[ConfFile | ConfPicture], writing: Writing) -> list[str]:
    """Write those that are new or different; a line for each says what was done, or would be.

    Problems or ConfigError, before anything is written, where a file was edited, is somebody's own or of another
    import: `force` takes its place, and with `keep_edited` an edited one stays, with a line for each difference. Where
    no file can be, neither helps. A file that is as it should be is left alone.
    """
    states = {file.path: _state(file) for file in files}
    kept = _kept(states, writing)
    if not writing.dry_run:
        check_places(files, writing)
    said: list[str] = []
    for file in files:
        said += [_said(file.path, states[file.path], writing, file.path in kept)]
        if file.path in kept:
            said += _lacking(file)
        elif states[file.path] != _SAME and not writing.dry_run:
            with atomic(file.path) as temporary:
                temporary.write_bytes(file.text.encode() if isinstance(file, ConfFile) else file.content)
    return said


def check_places(files: Sequence[ConfFile | ConfPicture], writing: Writing) -> None:
    """What `write_conf_files` raises before it writes anything: for who has other files to write too."""
    states = {file.path: _state(file) for file in files}
    kept = _kept(states, writing)
    in_the_way = {path: state for path, state in states.items() if _stops(state, writing) and path not in kept}
    raise_together(ConfigError(f"{path}: {_ADVICE[state]}") for path, state in in_the_way.items())


def _stops(state: str, writing: Writing) -> bool:
    return state == _BARRED or (state in (_ANOTHERS, _EDITED) and not writing.force)


def _kept(states: Mapping[Path, str], writing: Writing) -> set[Path]:
    return {path for path, state in states.items() if writing.keep_edited and state == _EDITED}


def _lacking(file: ConfFile | ConfPicture) -> list[str]:
    """The lines in which an edited file differs from what would be written."""
    if isinstance(file, ConfPicture):
        return []
    there = file.path.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    lines = difflib.unified_diff(there, file.text.splitlines()[1:], lineterm="", n=0)
    return [f"    {printable(line)}" for line in lines if not line.startswith(("---", "+++", "@@"))]


def _state(file: ConfFile | ConfPicture) -> str:
    """What is there already. Another picture may be somebody's own."""
    if _is_barred(file.path):
        return _BARRED
    try:
        if isinstance(file, ConfPicture):
            return _SAME if file.path.read_bytes() == file.content else _EDITED
        there = file.path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return _NEW
    except (OSError, UnicodeDecodeError):  # nothing that we wrote
        return _EDITED
    if there == file.text:
        return _SAME
    first, _, rest = there.partition("\n")
    written, own = _FIRST_LINE.fullmatch(first), _FIRST_LINE.fullmatch(file.text.partition("\n")[0])
    if written is None or written["digest"] != _digest(rest):
        return _EDITED
    return _UNTOUCHED if own and own["source"] == written["source"] else _ANOTHERS


def _is_barred(path: Path) -> bool:
    """True where no file can be written: something else has its name, or what should be a folder is none."""
    nearest = next((each for each in (path, *path.parents) if is_there(each)), Path())
    return not (nearest.is_file() if nearest == path else nearest.is_dir())


def _said(path: Path, state: str, writing: Writing, is_kept: bool) -> str:
    if state == _SAME:
        return f"{path}: as it is"
    if is_kept:
        return f"{path}: edited, so it stays as it is; an import would have changed:"
    if _stops(state, writing):
        return f"{path}: would be left, and stop the import: {_ADVICE[state]}"
    done = "written" if state == _NEW else "written anew" if state == _UNTOUCHED else "overwritten"
    return f"{path}: would be {done}" if writing.dry_run else f"{path}: {done}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:8]

"""`darkroom import prompts`: a list of prompts as text, CSV or JSON lines → conf/prompts. Knows no model and no LoRA.

.txt           a prompt a line, with flags such as --w 512 and comments, as plan/prompt_text/lines.py reads it
.csv .tsv      a row of keys as in conf/prompts (prompt, neg, width, seed, …), then a prompt a row; empty: unset
.jsonl .ndjson a JSON object with those keys a line, or a text in quotes
"""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from darkroom.display import printable
from darkroom.errors import ConfigError, Reading, collected, value_of
from darkroom.files.regular_file import MEGABYTE, read_text
from darkroom.files.yaml_text import yaml_text
from darkroom.intake.json_file import parse_json
from darkroom.intake.numbers_as_text import with_numbers
from darkroom.intake.options import ImportOptions
from darkroom.intake.roots import Roots
from darkroom.plan.conf.families import REFERENCE_KEYS
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.other_tools import answer
from darkroom.plan.conf.owned_files import CONF, conf_file, import_name, write_conf_files
from darkroom.plan.conf.prompt_set import read_sheet
from darkroom.plan.conf.schema import Prompt
from darkroom.plan.prompt_text.lines import PromptLine, read_lines

_BYTES = 64 * MEGABYTE
_KEYS = tuple(field.name for field in fields(Prompt))
_PATHS = (*REFERENCE_KEYS, "prompt_embeds")
_DELIMITERS = (",", ";", "\t")
_FEW = 5  # line numbers in a note


@dataclass(frozen=True)
class _Lines(Origin):
    """Says the line of the imported file where a prompt stands, in place of its number in the list."""

    lines: Sequence[int] = ()

    def at(self, key: str) -> str:
        number = re.match(r"prompts\[(\d+)\]", key)
        if number is None:
            return super().at(key)
        return f"{self.file}: line {self.lines[int(number[1])]}{key[number.end() :]}"


def import_prompts(path: Path, options: ImportOptions) -> list[str]:
    """Write conf/prompts/<name>.yaml; lines that say what was done, and what to know of it.

    Raises ConfigError, or Problems with everything that is wrong with the file, before anything is written.
    """
    if path.suffix.lower() not in _READERS:
        raise ConfigError(f"{path}: expected a file that ends in {', '.join(_READERS)}")
    name = import_name(options.name, path.stem, str(path))
    lines = value_of(_lines(path, Roots.around(path.parent, options.roots)))
    prompts = [line.keys["prompt"] if line.keys.keys() == {"prompt"} else line.keys for line in lines]
    comment = f"# {_counted(len(prompts), 'prompt')}; an experiment renders them with matrix.prompts: [{name}]\n"
    file = conf_file(CONF / "prompts" / f"{name}.yaml", path.name, comment + yaml_text({"prompts": prompts}))
    return [*write_conf_files([file], options), *_notes(path, lines)]


def _lines(path: Path, roots: Roots) -> Reading[list[PromptLine]]:
    """Values as conf/ allows them, and paths to where the files are."""
    read, faults = collected(_READERS[path.suffix.lower()](path, read_text(path, _BYTES)))
    yield from faults
    lines = []
    for line in read:
        keys = dict(line.keys)
        for key in keys.keys() & set(_PATHS):
            if isinstance(keys[key], str):
                try:
                    keys[key] = str(roots.inside(keys[key], f"{path}: line {line.number}.{key}"))
                except ConfigError as error:
                    yield error
        lines.append(replace(line, keys=keys))
    if lines or not faults:
        origin = _Lines(str(path), (), [line.number for line in lines])
        yield from read_sheet({"prompts": [line.keys for line in lines]}, origin)
    return lines


def _from_text(path: Path, text: str) -> Reading[list[PromptLine]]:
    return (yield from read_lines(text, str(path)))


def _from_csv(path: Path, text: str) -> Reading[list[PromptLine]]:
    (line, header), *rows = (yield from _rows(path, text)) or [(1, [])]
    header = [cell.strip() for cell in header]
    if not set(header) & set(_KEYS):
        found = printable(", ".join(header))[:80]
        raise ConfigError(f"{path}: line {line}: expected a row of keys, such as prompt,neg,seed; got {found}")
    for column in header:
        if column not in _KEYS:
            yield ConfigError(f"{path}: line {line}: unknown column {column!r}; {answer(column, _KEYS)}")
        elif header.count(column) > 1:
            yield ConfigError(f"{path}: line {line}: column {column!r} is there twice")
    entries = []
    for line, row in rows:
        if len(row) != len(header):
            said = f"{_counted(len(row), 'cell')} where the first row has {len(header)}; a text with a delimiter or a "
            yield ConfigError(f"{path}: line {line}: {said}line break in it goes in quotes")
        elif any(cell.strip() for cell in row):
            cells = zip(header, row, strict=True)
            filled = {column: cell for column, cell in cells if column in _KEYS and cell.strip()}
            entries.append(PromptLine(line, with_numbers(Prompt, filled)))
    return entries


def _rows(path: Path, text: str) -> Reading[list[tuple[int, list[str]]]]:
    """Each row that is not empty, and the line where it begins."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), skipinitialspace=True, strict=True)
    rows: list[tuple[int, list[str]]] = []
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader, None)
        except csv.Error as error:  # what follows cannot be told apart any more
            yield ConfigError(f"{path}: line {line}: {error}")
            return rows
        if row is None:
            return rows
        if row:
            rows.append((line, row))


def _delimiter(text: str) -> str:
    """The one that makes most keys of the first row."""
    first = text.lstrip().partition("\n")[0]
    return max(_DELIMITERS, key=lambda each: sum(cell.strip(' "\r') in _KEYS for cell in first.split(each)))


def _from_json_lines(path: Path, text: str) -> Reading[list[PromptLine]]:
    entries = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                entries.append(PromptLine(number, _json_entry(line.strip(), f"{path}: line {number}")))
            except ConfigError as error:
                yield error
    return entries


def _json_entry(line: str, place: str) -> dict[str, Any]:
    value = parse_json(line, place)
    if isinstance(value, str):
        return {"prompt": value}
    if not isinstance(value, dict):
        raise ConfigError(f"{place}: expected an object or a text, got {line[:40]!r}")
    return {key: entry for key, entry in value.items() if entry is not None}


def _notes(path: Path, lines: Sequence[PromptLine]) -> list[str]:
    """What had no effect, each sentence once."""
    noted: dict[str, list[int]] = {}
    for line in lines:
        for note in line.notes:
            noted.setdefault(note, []).append(line.number)
    return [printable(f"{path}: {_line_numbers(numbers)}: {note}") for note, numbers in noted.items()]


def _line_numbers(lines: Sequence[int]) -> str:
    more = f" and {len(lines) - _FEW} more" if len(lines) > _FEW else ""
    return f"line{'s' if len(lines) > 1 else ''} {', '.join(map(str, lines[:_FEW]))}{more}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


_READERS: Mapping[str, Callable[[Path, str], Reading[list[PromptLine]]]] = {
    ".txt": _from_text,
    ".csv": _from_csv,
    ".tsv": _from_csv,
    ".jsonl": _from_json_lines,
    ".ndjson": _from_json_lines,
}

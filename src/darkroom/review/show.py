"""`darkroom show`: a picture's record as text for people."""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkroom.display import printable
from darkroom.embedded_record import read_record_of
from darkroom.files.columns import groups_of
from darkroom.record import EmbeddedRecord

_NAME = 24  # characters of the column of names; the longest is text_encoder_digest
_WIDTH = 110  # characters of a line


def show(path: Path) -> str:
    """The record in a picture, grouped and aligned, one value a line; errors as for `read_record_of`."""
    record = read_record_of(path).embedded_row()
    lines = [printable(str(path))]
    for heading, names in groups_of(EmbeddedRecord).items():
        lines += ["", f"{heading}:", *(line for name in names for line in _entry(name, record[name]))]
    return "\n".join(lines) + "\n"


def _entry(name: str, value: Any) -> list[str]:
    """`  name:   value`, long values wrapped under their beginning."""
    lines = [line for part in _readable(name, value) for line in _wrapped(part)]
    return [f"  {f'{name}:' if number == 0 else '':{_NAME}}{line}".rstrip() for number, line in enumerate(lines)]


def _readable(name: str, value: Any) -> list[str]:
    if value is None or value == [] or value == "":
        return ["none" if value != "" else '""']
    if name == "loras":
        return [line for lora in value for line in _lora_lines(lora)]
    if name == "ctrl_images":
        return [f"{image['path']} (sha256 {image['sha256']})" for image in value]
    if name == "axes":
        return [f"{axis['name']} = {axis['value']}" for axis in value]
    if name == "sigmas":
        return [" ".join(f"{sigma:.6g}" for sigma in value)]
    if isinstance(value, list):
        return [str(item) for item in value]
    return [str(value).lower() if isinstance(value, bool) else str(value)]


def _lora_lines(lora: Mapping[str, Any]) -> list[str]:
    return [
        f"{lora['path']} at {lora['network_multiplier']}",
        f"({lora['format']}, {lora['matched_keys']} keys, sha256 {lora['sha256']})",
    ]


def _wrapped(text: str) -> list[str]:
    pieces = [
        textwrap.wrap(line, _WIDTH - _NAME, break_long_words=False, break_on_hyphens=False) or [""]
        for line in text.splitlines()
    ]
    return [printable(piece) for lines in pieces for piece in lines] or [""]

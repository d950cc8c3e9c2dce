"""What a text file of prompts is instead, if it is something else: a table, JSON, the webui's own records of pictures.

Taken line by line it would be rendered as if its commas, brackets and settings were prompts.
"""

import json
import re
from collections.abc import Iterator
from pathlib import PurePath

_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".yaml", ".yml", ".toml", ".xlsx", ".docx", ".odt", ".rtf")
_IMPORTED = "`darkroom import prompts FILE` reads tables (.csv, .tsv) and a JSON object a line (.jsonl)"
_BINARY = re.compile(r"[\0-\x08\x0e-\x1a\x7f]")  # no text has one; ESC is of what a terminal showed
_DELIMITERS = (",", ";", "\t")
_PROMPT = {"prompt", "prompts", "text", "caption", "positive", "positive_prompt"}  # headings of columns
_OTHER = {
    *("neg", "negative", "negative_prompt", "seed", "width", "height", "steps", "sample_steps", "num_inference_steps"),
    *("cfg", "cfg_scale", "guidance", "guidance_scale", "network_multiplier", "strength", "sampler", "model", "lora"),
    *("id", "name", "number", "nr"),
}
_RECORD = re.compile(r"\s*(Negative prompt:|Steps: \d+, \w)")
_RULE = re.compile(r"\s*[-=*_~]{3,}\s*")


def other_format(text: str, file: str) -> Iterator[str]:
    """A sentence without the file's name for each thing that shows it; none for a text with a prompt a line."""
    if (ending := PurePath(file).suffix.lower()) in _ENDINGS:
        yield f"ends in {ending}; expected a text file with a prompt a line: {_IMPORTED}"
        return
    if found := _BINARY.search(text):
        number = text.count("\n", 0, found.start()) + 1
        code = f"U+{ord(found[0]):04X}"
        yield f"line {number}: holds {code}, which no text does; save it as plain text, UTF-8, with a prompt a line"
        return
    first = next((line for line in text.split("\n") if line.strip()), "")
    if _is_json(text) or _is_json(first):
        yield f"is JSON; expected a prompt a line: {_IMPORTED}"
    elif _is_heading(first):
        yield f"begins with the heading of a table, {first.strip()[:60]!r}; expected a prompt a line: {_IMPORTED}"
    for number, line in enumerate(text.split("\n"), 1):
        if _RECORD.match(line):
            yield (
                f"line {number}: {line.strip()[:40]!r} is of a picture's record, as the webui writes it; write the "
                "settings behind the prompt, in its line: a cat --n blurry --s 20 --l 4 --d 42"
            )
        elif _RULE.fullmatch(line):
            yield f"line {number}: {line.strip()[:20]!r} is no prompt; take the line out"


def _is_json(text: str) -> bool:
    """Of a list or of keys and values; a text in quotes is a prompt in quotes."""
    if not text.lstrip().startswith(("[", "{")):
        return False
    try:
        return isinstance(json.loads(text), list | dict)
    except (ValueError, RecursionError):
        return False


def _is_heading(line: str) -> bool:
    """True for names of settings alone, the prompt's among them, whatever tool calls them so."""
    for delimiter in _DELIMITERS:
        cells = {cell.strip(" \"'\r").lower().replace(" ", "_") for cell in line.split(delimiter)}
        if cells & _PROMPT and cells & _OTHER and cells <= _PROMPT | _OTHER:
            return True
    return False

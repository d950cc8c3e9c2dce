"""JSON that anybody may have written, as plain values: not deep, not endless, nothing that only Python would read."""

import json
from collections.abc import Iterator
from typing import Any

# What strangers' values are held to, in YAML too.
MOST_VALUES = 200_000
MOST_DEPTH = 100  # lists and mappings inside each other
MOST_DIGITS = 300  # of a whole number; one with 309 is no float any more
TOO_DEEP = f"more than {MOST_DEPTH} lists and mappings inside each other"
TOO_LONG = f"a whole number with more than {MOST_DIGITS} digits"


def too_many(most: int = MOST_VALUES) -> str:
    """What to say of more values."""
    return f"more than {most} values"


def parse_json(text: str, most: int = MOST_VALUES) -> Any:
    """One JSON value of at most `most` values. ValueError says what is wrong with it, and where, if it is known.

    A key twice in one object, NaN and half a character (\\ud800) are wrong too.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_int=_whole_number, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text else ""
        raise ValueError(f"{line}column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise ValueError(TOO_DEEP) from error
    _check(value, most)
    return value


def json_object(text: str | None) -> dict[str, Any]:
    """An object that a file may have in its metadata; empty for anything else."""
    try:
        value = parse_json(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"key {next(key for key in keys if keys.count(key) > 1)!r} is there twice in one object")
    return found


def _whole_number(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(TOO_LONG)
    return int(digits)


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")


def _check(value: Any, most: int) -> None:
    """Level by level: how deep and how many; and each text on the way."""
    level, depth, count = [value], 0, 0
    while level:
        count += len(level)
        for text in level:
            if isinstance(text, str):
                _check_text(text)
        outer = [each for each in level if isinstance(each, dict | list)]
        level, depth = [inner for each in outer for inner in _inside(each)], depth + bool(outer)
        if depth > MOST_DEPTH or count > most:
            raise ValueError(TOO_DEEP if depth > MOST_DEPTH else too_many(most))


def _inside(value: dict[str, Any] | list[Any]) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value
        yield from value.values()
    else:
        yield from value


def _check_text(text: str) -> None:
    """Half of a surrogate pair is a text to Python, and no file can hold it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        shown = text[max(0, error.start - 20) : error.start + 1]
        raise ValueError(f"{shown!r} ends in half a character; expected the pair that makes one") from error

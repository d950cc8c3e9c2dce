"""Plain values into the dataclasses of schema.py, every key accounted for.

Strict: no unknown key, no conversion but int to float, no value outside what the schema allows. Every error is
yielded, so that one run shows all of them.
"""

import json
import re
import types
import typing
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

from darkroom.display import suggestion
from darkroom.errors import ConfigError, Reading, collected, if_sound
from darkroom.files import unquoted
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.other_tools import instead, our_key

T = TypeVar("T")


class _UnknownKey(ConfigError):
    """A key that a class does not have. `said`: the same for all keys of this name in a list."""

    def __init__(self, where: str, key: str, said: str) -> None:
        super().__init__(f"{where}: {said}")
        self.where, self.key, self.said = where, key, said


_SEVERAL = re.compile(r"\d+ ?-+ ?\d+|\d+([.;]? ?\d+){2,}")  # 1-4, 1,2,3
_FLOAT32_MAX = 3.4028234663852886e38
_KEYS = "keys and values"
_EXPECTED = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def read(cls: type[T], content: Any, origin: Origin, path: str = "") -> Reading[T | None]:
    """An instance of `cls`; None where anything is wrong. A string stands for {cls.bare: string}."""
    values = yield from if_sound(_values(cls, content, origin, path))
    return None if values is None else cls(**values)


def read_setting(cls: type[Any], key: str, raw: Any, origin: Origin, path: str) -> Reading[Any]:
    """One value, checked as the key `key` of `cls`; None where it is wrong."""
    return (yield from _value(*_fields(typing.cast(Any, cls))[key], raw, origin, path))


def entries_of(raw: Any, key: str) -> list[tuple[str, Any]]:
    """What is written at a key, a list or one value alone, each under its key."""
    return [(f"{key}[{n}]", each) for n, each in enumerate(raw)] if isinstance(raw, list) else [(key, raw)]


def _values(cls: type[Any], content: Any, origin: Origin, path: str) -> Reading[dict[str, Any]]:
    bare = getattr(cls, "bare", None)
    if isinstance(content, str) and bare:
        content = {bare: content}
    if not isinstance(content, Mapping):
        expected, cure = ("text, or keys and values", f"; {_in_quotes(origin, path)}") if bare else (_KEYS, "")
        yield ConfigError(f"{origin.at(path)}: expected {expected}, got {content!r}{cure}")
        return {}
    known = _fields(typing.cast(Any, cls))
    values = {}
    for key, raw in content.items():
        here = f"{path}.{key}" if path else str(key)
        if key in known:
            values[key] = yield from _value(*known[key], raw, origin, here)
        else:
            yield _no_key(cls, str(key), raw, origin, path, is_text=bare is not None and bare not in content)
    for key, (_, field) in known.items():
        if key not in values and field.default is MISSING:
            yield ConfigError(f"{origin.at(path)}: {key} is missing")
    return values


def _no_key(cls: type[Any], key: str, raw: Any, origin: Origin, path: str, *, is_text: bool) -> ConfigError:
    """The error for a key that a class does not have. `is_text`: what it stands in may have been meant as a text."""
    where = origin.at(f"{path}.{key}" if path else key)
    if raw is None and key.strip().isdecimal():  # {network_multiplier: 0,8}
        return ConfigError(f"{where}: is no key; a decimal point is a dot, and a comma begins the next key")
    known = _fields(typing.cast(Any, cls))
    said = _instead(cls, key, where.removesuffix(key).rpartition(" ")[2])
    # `- close-up: a woman`; `{prompt: a cat, sitting}`
    if getattr(cls, "bare", None) and (raw is None or (isinstance(raw, str) and is_text)):
        cure = _in_quotes(origin, path)
        if said is None:
            said = cure
        elif " " in str(raw):
            said = f"{said}; if it is a text, {cure}"
    return _UnknownKey(where, key, f"unknown key; {said or suggestion(key, known)}")


def _instead(cls: type[Any], key: str, prefix: str) -> str | None:
    """What to write for a key that a class does not have, also where a value inside it has such a key, if anything.

    `prefix`: what the file that it was written in has before it, `model.` in an experiment's.
    """
    known = _fields(typing.cast(Any, cls))
    if our_key(key, known) is None:
        for name, (hint, _) in known.items():
            is_list = typing.get_origin(hint) is tuple
            inner: Any = typing.get_args(hint)[0] if is_list else hint
            keys: Mapping[str, Any] = _fields(typing.cast(Any, inner)) if is_dataclass(inner) else {}
            if ours := our_key(key, keys):
                return f"here it is {prefix}{name}{'[…]' if is_list else ''}.{ours}"
    return instead(key, known)


@cache
def _fields(cls: Any) -> dict[str, tuple[Any, Field[Any]]]:
    hints = typing.get_type_hints(cls)
    return {field.name: (hints[field.name], field) for field in fields(cls)}


def _value(hint: Any, field: Field[Any], raw: Any, origin: Origin, path: str) -> Reading[Any]:
    optional = isinstance(hint, types.UnionType)
    if optional:
        (hint,) = (part for part in typing.get_args(hint) if part is not type(None))
        if raw is None:
            return None
    if raw == "???":  # OmegaConf's mark
        yield ConfigError(f"{origin.at(path)}: a value is needed in place of ???")
        return None
    if is_dataclass(hint):
        return (yield from read(typing.cast(type[Any], hint), raw, origin, path))
    if typing.get_origin(hint) is tuple:
        return (yield from _items(typing.get_args(hint)[0], raw, origin, path))
    raw = field.metadata.get("aliases", {}).get(raw, raw) if isinstance(raw, int) else raw
    if fault := _wrong_type(hint, raw) or _not_allowed(field.metadata, raw):
        is_unquoted = hint is str and isinstance(raw, list | Mapping)
        yield ConfigError(f"{origin.at(path)}: {fault}{f'; {_in_quotes(origin, path)}' if is_unquoted else ''}")
        return None
    return float(raw) if hint is float else raw


def _items(cls: type[Any], raw: Any, origin: Origin, path: str) -> Reading[tuple[Any, ...]]:
    if not isinstance(raw, list):
        cure = (
            f"; write {path.rpartition('.')[2]}: [{json.dumps(raw, ensure_ascii=False)}]"
            if isinstance(raw, str)
            else ""
        )
        yield ConfigError(f"{origin.at(path)}: expected a list, got {raw!r}{cure}")
        return ()
    items, errors = collected(_each(cls, raw, origin, path))
    yield from _each_key_once(errors)
    return tuple(items)


def _each(cls: type[Any], raw: list[Any], origin: Origin, path: str) -> Reading[list[Any]]:
    items = []
    for number, item in enumerate(raw):
        items.append((yield from read(cls, item, origin, f"{path}[{number}]")))
    return items


def _each_key_once(errors: Iterable[ConfigError]) -> Iterator[ConfigError]:
    """The errors of a list; of a key that many of its items should not have the first, and their number."""
    errors = list(errors)
    counts = Counter((error.key, error.said) for error in errors if isinstance(error, _UnknownKey))
    for error in errors:
        if not isinstance(error, _UnknownKey):
            yield error
        elif count := counts.pop((error.key, error.said), 0):
            more = f" (and in {count - 1} more)" if count > 1 else ""
            yield ConfigError(f"{error.where}: {error.said}{more}")


def _in_quotes(origin: Origin, path: str) -> str:
    """The advice for a text that YAML took for something else; with its line, if a file says it."""
    here, there = origin.at(path), f"{origin.file}: {path}"
    return unquoted.advice_at(origin.file, path) if here == there else unquoted.ADVICE


def _wrong_type(expected: type[Any], raw: Any) -> str | None:
    # bool is an int to Python, never to a reader of YAML.
    if isinstance(raw, str) and any("\ud800" <= character <= "\udfff" for character in raw):
        return f"expected text that UTF-8 can hold, got {raw!r}"
    if type(raw) is expected or (expected is float and type(raw) is int):
        return None
    hint = "; put it in quotes" if expected is str and isinstance(raw, bool | int | float) else ""
    return f"expected {_EXPECTED[expected]}, got {raw!r}{hint or _as_number(expected, raw)}"


def _as_number(expected: type[Any], raw: Any) -> str:
    """How the number is written that somebody meant; "" where none can be told."""
    if expected not in (int, float) or isinstance(raw, bool):
        return ""
    if isinstance(raw, list):
        return "; several values are an axis of the matrix" if raw else ""
    text = str(raw).strip().replace(",", ".")
    share = text.endswith("%")
    try:
        number = float(text.removesuffix("%").removesuffix("px")) / (100 if share else 1)
    except ValueError:
        return "; several values are a list, [1, 2], or a range, 1..4" if _SEVERAL.fullmatch(text) else ""
    if expected is int and not number.is_integer():
        return ""
    return f"; write {int(number) if expected is int else repr(number)}"


def _not_allowed(allowed: Mapping[str, Any], raw: Any) -> str | None:
    choices = allowed.get("one_of")
    if choices and raw not in choices:
        return f"{raw!r} is not one of: {', '.join(map(str, choices))}"
    if "range" in allowed:
        low, high = allowed["range"]
        if not low <= raw <= high:
            return f"{raw!r} is out of range: {low} to {high}"
    if allowed.get("finite") and not is_finite(raw):
        return f"{str(raw)[:40]} is out of range: expected a finite number, as float32 has them"
    return None


def is_finite(number: float) -> bool:
    """In float32, in which weights are multiplied."""
    return abs(number) <= _FLOAT32_MAX  # NaN is not


def numbers_of(cls: type[Any], key: str) -> type[int] | type[float] | None:
    """Which numbers a key takes; None for one that takes others."""
    hint, _ = _fields(typing.cast(Any, cls))[key]
    taken = typing.get_args(hint) or (hint,)
    return int if int in taken else float if float in taken else None

"""Numbers as other programs write them: `"25"` and `25.0` where conf/ takes 25 alone."""

import contextlib
import typing
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any


def with_numbers(cls: type[Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """The same keys; "25" and 25.0 as 25 where the key is a whole number, "4" as 4.0 where it is a number.

    What is no such number stays as it is, for `read` to name.
    """
    types = _types(typing.cast(Any, cls))
    return {key: _converted(types.get(key, ()), value) for key, value in content.items()}


@cache
def _types(cls: Any) -> dict[str, tuple[type[Any], ...]]:
    hints = typing.get_type_hints(cls)
    return {field.name: typing.get_args(hints[field.name]) or (hints[field.name],) for field in fields(cls)}


def _converted(types: tuple[type[Any], ...], value: Any) -> Any:
    if int in types:
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                return int(value)
            value = _as_float(value)
        return int(value) if isinstance(value, float) and value.is_integer() else value
    return _as_float(value) if float in types and isinstance(value, str) else value


def _as_float(text: str) -> Any:
    with contextlib.suppress(ValueError):
        return float(text)
    return text

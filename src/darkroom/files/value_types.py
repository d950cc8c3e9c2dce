"""How a value of one type is stored in a table: its Arrow type, the plain value that is written, and reading it back.

Reading takes plain values that anybody may have written: ValueError says what was expected. pyarrow is imported by the
functions that need it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from darkroom.files.json_text import parse_json

if TYPE_CHECKING:
    import pyarrow as pa

FIRST = 1  # the version of a table whose columns need not say it; a file that says none is older


@dataclass(frozen=True)
class ValueType:
    """One type of value. `version`: that in which its newest part came."""

    arrow: Callable[[], pa.DataType]
    read: Callable[[Any], Any]
    write: Callable[[Any], Any]
    version: int = FIRST


def list_of(item: ValueType) -> ValueType:
    """A tuple of values of one type."""

    def read(values: Any) -> tuple[Any, ...]:
        return tuple(item.read(each) for each in _as_list(values))

    def write(values: tuple[Any, ...]) -> list[Any]:
        return [item.write(each) for each in values]

    return ValueType(partial(_list, item.arrow), read, write, item.version)


def as_keys(value: Any) -> Mapping[str, Any]:
    """ValueError for what has no keys."""
    if not isinstance(value, Mapping):
        raise ValueError(f"expected keys and values, got {_shown(value)}")
    return value


def _as_list(values: Any) -> list[Any]:
    if not isinstance(values, list):
        raise ValueError(f"expected a list, got {_shown(values)}")
    return values


def _as(cls: type[Any], name: str, value: Any) -> Any:
    if type(value) is cls:
        return value
    if cls is float and type(value) is int:
        return float(value)
    raise ValueError(f"expected {name}, got {_shown(value)}")


def _same(value: Any) -> Any:
    return value


def _arrow(name: str) -> pa.DataType:
    import pyarrow as pa

    return pa.type_for_alias(name)


def _list(item: Callable[[], pa.DataType]) -> pa.DataType:
    import pyarrow as pa

    return pa.list_(item())


def _pair() -> pa.DataType:
    import pyarrow as pa

    return pa.struct([pa.field(name, pa.string(), nullable=False) for name in ("name", "value")])


def _from_json(text: Any) -> Any:
    try:
        return parse_json(_as(str, "text", text))
    except ValueError as error:
        raise ValueError(f"expected JSON: {error}") from error


def _to_json(value: Any, *, sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=sort_keys)


def _read_pair(pair: Any) -> tuple[str, Any]:
    if as_keys(pair).keys() != {"name", "value"}:
        raise ValueError(f"expected name and value, got {_shown(pair)}")
    return _as(str, "text", pair["name"]), _from_json(pair["value"])


def _write_pair(pair: tuple[str, Any]) -> dict[str, str]:
    return {"name": pair[0], "value": _to_json(pair[1])}


def _shown(value: Any) -> str:
    text = "null" if value is None else value if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


VALUE_TYPES = {
    str: ValueType(partial(_arrow, "string"), partial(_as, str, "text"), _same),
    int: ValueType(partial(_arrow, "int64"), partial(_as, int, "a whole number"), _same),
    float: ValueType(partial(_arrow, "float64"), partial(_as, float, "a number"), _same),
    bool: ValueType(partial(_arrow, "bool"), partial(_as, bool, "true or false"), _same),
    Mapping[str, Any]: ValueType(
        partial(_arrow, "string"), lambda text: as_keys(_from_json(text)), partial(_to_json, sort_keys=True)
    ),
    tuple[tuple[str, Any], ...]: list_of(ValueType(_pair, _read_pair, _write_pair)),
}

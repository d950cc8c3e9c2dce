"""Columns of a table, derived from a frozen dataclass: their names and types, rows from values, and values from rows.

    str, int, float, bool           one column; `| None` lets it be null
    tuple[X, ...]                   a list; of dataclasses, a list of structs
    tuple[tuple[str, Any], ...]     a list of structs of `name` and `value`, as JSON, since their types differ
    Mapping[str, Any]               text, as JSON
    another dataclass               its columns, here; `| None`: all of them null

A name that is there twice is one column: it stands where the first of them does, and has the type of the last. What a
column is about (`group`) is the name of the field whose dataclass it is in, or what the metadata of its own field say.
A column that was added later says in which version of the table (`since`, in its field's metadata), and has a default
or may be null: that is what it is in older files. Columns that are null in rows of another kind (`may_be_null`, there
too) have a value in each value of the dataclass all the same.
pyarrow is imported by the function that needs it: importing this file is cheap.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

from darkroom.files.value_types import FIRST, VALUE_TYPES, ValueType, as_keys, list_of

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")

SINCE, GROUP, MAY_BE_NULL = "since", "group", "may_be_null"  # keys of a field's metadata


@dataclass(frozen=True)
class Column:
    """One column. `group`: what it is about, "" where nobody says it; `may_lack`: it has a default, or may be null."""

    name: str
    group: str
    type: ValueType
    nullable: bool
    may_lack: bool
    since: int  # the first version of the table that has it


@cache
def columns_of(cls: Any) -> Mapping[str, Column]:
    """Every column of a dataclass by its name, in order."""
    columns: dict[str, Column] = {}
    for field in _fields(cls):
        for column in columns_of(field.inline).values() if field.inline else [_column(field)]:
            group = columns.get(column.name, column).group or (field.name if field.inline else "")
            nullable = column.nullable or field.optional or bool(field.metadata.get(MAY_BE_NULL))
            columns[column.name] = replace(column, nullable=nullable, group=group)
    return types.MappingProxyType(columns)


def groups_of(cls: Any) -> dict[str, list[str]]:
    """The names of all columns by what they are about, in order."""
    groups: dict[str, list[str]] = {}
    for column in columns_of(cls).values():
        groups.setdefault(column.group, []).append(column.name)
    return groups


def version_of(cls: Any) -> int:
    """The version of a table of these columns: that of the newest one, or of the newest part of a struct."""
    return max(max(column.since, column.type.version) for column in columns_of(cls).values())


def schema_of(cls: Any) -> pa.Schema:
    """The columns as Arrow types."""
    import pyarrow as pa

    columns = columns_of(cls).values()
    return pa.schema([pa.field(column.name, column.type.arrow(), nullable=column.nullable) for column in columns])


def row_of(value: Any, cls: Any = None) -> dict[str, Any]:
    """Plain values by column; `cls`: the base class of `value` whose columns are wanted, by default its own."""
    row: dict[str, Any] = {}
    for field in _fields(cls if cls is not None else typing.cast(Any, type(value))):
        part = getattr(value, field.name)
        if field.inline is None:
            row[field.name] = None if part is None else field.type.write(part)
        else:
            row |= dict.fromkeys(columns_of(field.inline)) if part is None else row_of(part, field.inline)
    return row


def value_of(cls: type[T], row: Mapping[str, Any]) -> T:
    """The inverse of `row_of`. What a row lacks is null or has its default, and what it has beside is passed over.

    ValueError, with the column's name, for what it must have, and for a value of another type.
    """
    known = as_keys(row)
    return cls(**{field.name: _value(field, known) for field in _fields(typing.cast(Any, cls))})


def fault(cls: Any, found: Collection[str], version: int) -> str | None:
    """One clause on what is wrong with the columns of a table of this version; None where nothing is."""
    missing = [
        column.name
        for column in columns_of(cls).values()
        if column.name not in found and (column.since <= version or not column.may_lack)
    ]
    unknown = sorted(name for name in found if name not in columns_of(cls))
    return f"missing: {missing}, unknown: {unknown}" if missing or unknown else None


@dataclass(frozen=True)
class _Field:
    """A field of a dataclass. `inline`: the dataclass whose columns it stands for, None where it is a column."""

    name: str
    inline: Any
    type: ValueType
    optional: bool
    default: Any
    metadata: Mapping[str, Any]


@cache
def _fields(cls: Any) -> tuple[_Field, ...]:
    hints = typing.get_type_hints(cls)
    found = []
    for each in fields(cls):
        hint, optional = _without_none(hints[each.name])
        if SINCE in each.metadata and each.default is MISSING and not optional:
            raise TypeError(f"{cls.__name__}.{each.name}: came later, so it needs a default, or may be null")
        inline = hint if is_dataclass(hint) else None
        found.append(_Field(each.name, inline, _type(hint), optional, each.default, each.metadata))
    return tuple(found)


def _column(field: _Field) -> Column:
    may_lack = field.optional or field.default is not MISSING
    return Column(
        field.name,
        group=field.metadata.get(GROUP, ""),
        type=field.type,
        nullable=field.optional,
        may_lack=may_lack,
        since=field.metadata.get(SINCE, FIRST),
    )


def _without_none(hint: Any) -> tuple[Any, bool]:
    if not isinstance(hint, types.UnionType):
        return hint, False
    (known,) = (part for part in typing.get_args(hint) if part is not types.NoneType)
    return known, True


def _value(field: _Field, row: Mapping[str, Any]) -> Any:
    if field.inline is not None:
        is_null = field.optional and all(row.get(name) is None for name in columns_of(field.inline))
        return None if is_null else value_of(field.inline, row)
    if field.name not in row:
        if field.default is MISSING and not field.optional:
            raise ValueError(f"{field.name} is missing")
        return None if field.default is MISSING else field.default
    value = row[field.name]
    try:
        return None if value is None and field.optional else field.type.read(value)
    except ValueError as error:
        raise ValueError(f"{field.name}: {error}") from error


def _type(hint: Any) -> ValueType:
    if hint in VALUE_TYPES:
        return VALUE_TYPES[hint]
    if is_dataclass(hint):
        return ValueType(partial(_struct, hint), partial(value_of, typing.cast(Any, hint)), row_of, version_of(hint))
    return list_of(_type(typing.get_args(hint)[0]))


def _struct(cls: Any) -> pa.DataType:
    import pyarrow as pa

    return pa.struct(list(schema_of(cls)))

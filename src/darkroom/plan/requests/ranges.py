"""The values that are written on an axis of the matrix: a list, one value alone, and ranges of numbers such as 1..8."""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from darkroom.errors import ConfigError, Reading
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.reader import entries_of

_NUMBER = r"([+-]?(?:\d+\.\d+|\d+|\.\d+))"
_RANGE = re.compile(rf"\s*{_NUMBER}\s*\.\.\s*{_NUMBER}\s*(?::\s*{_NUMBER}\s*)?")
_MOST = 10_000  # values of a range


def read_values(
    raw: Any, origin: Origin, key: str, numbers: type[int] | type[float] | None
) -> Reading[list[tuple[str, Any]]]:
    """Each value and the key that it was written under. `numbers`: what a text such as 0.5..1.0:0.1 is a range of."""
    entries = entries_of(raw, key)
    if not entries or raw is None or isinstance(raw, dict):
        yield ConfigError(f"{origin.at(key)}: expected a value or a list of values, got {raw!r}")
        return []
    values: list[tuple[str, Any]] = []
    for here, value in entries:
        match = _RANGE.fullmatch(value) if numbers and isinstance(value, str) else None
        if match is None:
            values.append((here, value))
            continue
        try:
            values += [(here, each) for each in _range(*match.groups(), whole=numbers is int)]
        except ConfigError as error:
            yield ConfigError(f"{origin.at(here)}: {value}: {error}")
    return values


def _range(first: str, last: str, step: str | None, *, whole: bool) -> Iterator[int | float]:
    """Both ends and what lies between, exact in decimals; from the larger to the smaller end by the same steps."""
    start, end, size = Decimal(first), Decimal(last), abs(Decimal(step or "1"))
    if whole and "." in f"{first}{last}{step}":
        raise ConfigError("expected whole numbers")
    if not size:
        raise ConfigError("expected a step above 0")
    count, rest = divmod(abs(end - start), size)
    if rest:
        raise ConfigError(f"steps of {size} from {first} do not end at {last}; first..last:step has both ends in it")
    if count >= _MOST:
        raise ConfigError(f"{count + 1} values; expected {_MOST} at most")
    towards = size if end >= start else -size
    values = [start + number * towards for number in range(int(count) + 1)]
    yield from (int(value) if whole else float(value) for value in values)

"""The recorded facts that a preview and a render do not share."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from darkroom.files.columns import columns_of
from darkroom.record.embedded import EmbeddedRecord

_NO_FACTS = ("title", "remarks")  # groups: what names a picture, what says of it what another column says better
# Where weights lie is no fact where their digest is the same.
_DIGESTS = {"checkpoint": "checkpoint_digest", "text_encoder": "text_encoder_digest"}


@dataclass(frozen=True)
class Difference:
    """A recorded fact that preview and render do not share. `name`: a column of the manifest; values as text."""

    name: str
    then: str
    now: str


def differences(then: Mapping[str, Any], render: EmbeddedRecord) -> tuple[Difference, ...]:
    """In the order of the record's columns; `then`: the columns that are known of a preview."""
    row = render.embedded_row()
    facts = (column.name for column in columns_of(EmbeddedRecord).values() if column.group not in _NO_FACTS)
    return tuple(
        Difference(name, _text(then[name]), _text(row[name]))
        for name in facts
        if name in then and not _same(then[name], row[name])
        if not ((digest := _DIGESTS.get(name)) and then.get(digest) and then[digest] == row[digest])
    )


def _same(then: Any, now: Any) -> bool:
    """Files (LoRAs, control images) are the same by what both records say of them, wherever they lie."""
    if isinstance(then, list) and isinstance(now, list):
        return len(then) == len(now) and all(map(_same, then, now))
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        has_digest = then.get("sha256") and now.get("sha256")  # which is of the trainer that the file names, too
        names = (then.keys() & now.keys()) - ({"path", "trainer"} if has_digest else set())
        return all(_same(then[name], now[name]) for name in names)
    return bool(then == now)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "none"
    if isinstance(value, Mapping):
        return " ".join(_file(value))
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else f"{value:.8g}" if isinstance(value, float) else str(value)


def _file(value: Mapping[str, Any]) -> Iterator[str]:
    """A LoRA or a control image."""
    yield str(value.get("path", "a file"))
    if value.get("network_multiplier") is not None:
        yield f"at {_text(value['network_multiplier'])}"
    if value.get("sha256"):
        yield f"(sha256 {str(value['sha256'])[:12]})"

"""Digests of values, of which ids are made, and the revision that is in all of them."""

import hashlib
import json
from dataclasses import fields
from typing import Any

# Raised by hand when pixels change on purpose: a new revision makes every stored image and embedding stale.
NUMERICS_REVISION = 1


def digest_of(value: Any) -> str:
    """SHA-256 (64 hex digits) of a value's canonical JSON: sorted keys, no spaces, UTF-8, no NaN; files by `in_id`."""
    text = json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
        default=lambda file: file.in_id,
    )
    return hashlib.sha256(text.encode()).hexdigest()


def in_id(part: Any) -> dict[str, Any]:
    """The fields of a part that can change a pixel, as they are in an id."""
    values = {f.metadata.get("id_key", f.name): (f, getattr(part, f.name)) for f in fields(part)}
    return {
        key: value
        for key, (f, value) in values.items()
        if key is not None and not ("since" in f.metadata and value == f.default)
    }

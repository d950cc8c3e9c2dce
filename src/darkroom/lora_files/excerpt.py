"""Copies an adapter file without some of its keys, all others byte for byte; and the command that does it."""

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from darkroom.errors import AdapterError, WeightFileError
from darkroom.files.atomic import atomic
from darkroom.files.regular_file import ANY_SIZE, is_there, read_regular
from darkroom.files.weight_file import header_of


def without_command(path: str, patterns: Iterable[str]) -> str:
    """What a person types to have a file without the keys that fit."""
    options = [word for pattern in patterns for word in ("--without", pattern)]
    return shlex.join(["darkroom", "lora", path, *options, "-o", str(Path(path).with_suffix(".less.safetensors"))])


def pattern_of(key: str) -> str:
    """The keys of one module, in blocks of whatever number: `layers.*.attention.qkv.*` of layers.7.attention.qkv.alpha.

    Of underscores for dots too; a name ends where that of the tensor begins.
    """
    module = re.sub(r"\.(?:lora|lokr|alpha|diff)\b.*|\.lo(?:ra|kr)_.*", "", key)
    return f"{re.sub(r'(?<=[._])[0-9]+(?=[._])', '*', module)}.*"


def write_without(path: Path, patterns: Sequence[str], to: Path) -> list[str]:
    """Write the file without the keys that fit one of `patterns` (fnmatch); those keys.

    AdapterError where that leaves nothing or leaves nothing out, or where there is a file `to`.
    """
    content = read_regular(path, ANY_SIZE, WeightFileError)
    header = header_of(content, path)
    left_out = [key for key in header.shapes if any(fnmatchcase(key, pattern) for pattern in patterns)]
    if len(left_out) in (0, len(header.shapes)):
        found = "every" if left_out else "none"
        example = next(iter(header.shapes), "none")
        raise AdapterError(
            f"{path}: {', '.join(patterns)}: expected what fits some of its {len(header.shapes)} keys, such as "
            f"{example}; it fits {found} of them"
        )
    if is_there(to):
        raise AdapterError(f"{to}: is there already; name a file that is not")
    in_order = sorted(header.starts, key=lambda key: (header.starts[key], key))
    ends = dict(zip(in_order, [*(header.starts[key] for key in in_order[1:]), len(content)], strict=True))
    entries: dict[str, object] = {"__metadata__": header.metadata} if header.metadata else {}
    pieces, end = [], 0
    for key in in_order:
        if key not in left_out:
            piece = content[header.starts[key] : ends[key]]
            offsets = [end, end := end + len(piece)]
            entries[key] = {"dtype": header.dtypes[key], "shape": header.shapes[key], "data_offsets": offsets}
            pieces.append(piece)
    text = json.dumps(entries, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with atomic(to) as temporary:
        temporary.write_bytes(b"".join([len(text).to_bytes(8, "little"), text, *pieces]))
    return left_out

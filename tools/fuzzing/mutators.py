"""Changes to what strangers write: bytes, texts, JSON, YAML and XML. Each makes of a file one that is a little wrong.

All that is drawn comes from the Random that is given, so that an input can be made again.
"""

import json
import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import yaml

Mutator = Callable[[bytes, Random], bytes]

# What programs trip over: signs, sizes, and what only some readers take for a number.
NUMBERS = (
    *(0, -1, 1, 2, 255, 65_535, 2**31 - 1, 2**31, -(2**31), 2**32, 2**53, 2**63 - 1, 2**63, 2**64, 10**30, 10**310),
    *(0.0, -0.0, 0.5, 1e-320, 1e308, float("inf"), float("-inf"), float("nan"), True, False),
)
TEXTS = (
    *(
        "",
        " ",
        "\0",
        "\x1b[2J\x1b]0;gone\x07",
        "\n",
        "\r",
        "a\nb",
        "\u202egnp.exe",
        "\u2028",
        "\ufeff",
        "\ud800",
        "\udcff",
    ),
    *("{" * 200, "[" * 200, "a" * 300, "\U0001f408" * 50),
    *[
        "../../../etc/passwd",
        "/dev/zero",
        "/",
        ".",
        "..",
        "~root",
        "${oc.env:HOME}",
        "${x",
        "[trigger]",
        "<lora:a:1>",
        "<x>",
        "{x}",
        "%s%n",
        "null",
        "nan",
    ],
    *["1e999", "٣", "½", "−1", "1_0", "0x10", "F8_E4M3", "F32", "demo", "none", "__import__('os')"],
)
_WIDTHS = ("<B", "<H", ">H", "<I", ">I", "<Q", ">Q")
_LONGEST = 200_000  # bytes of an input


def bytes_changed(data: bytes, random: Random) -> bytes:
    """One to four changes of bits, numbers, and stretches of bytes."""
    for _ in range(random.randint(1, 4)):
        data = random.choice(_OF_BYTES)(data, random)
    return data[:_LONGEST]


def _bit(data: bytes, random: Random) -> bytes:
    if not data:
        return b"\xff"
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :]


def _number(data: bytes, random: Random) -> bytes:
    """An extreme one, where perhaps one stood; more often near the beginning, where sizes are."""
    form = random.choice(_WIDTHS)
    size = struct.calcsize(form)
    extreme = random.choice((0, 1, 2**7, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)) % 2 ** (8 * size)
    at = random.randrange(min(len(data), random.choice((16, 64, 1024, 10**6))) + 1)
    return data[:at] + struct.pack(form, extreme) + data[at + size :]


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _removed(data: bytes, random: Random) -> bytes:
    start, end = _stretch(data, random)
    return data[:start] + data[end:]


def _repeated(data: bytes, random: Random) -> bytes:
    start, end = _stretch(data, random)
    return data[:end] + data[start:end] * random.choice((1, 2, 50)) + data[end:]


def _zeroed(data: bytes, random: Random) -> bytes:
    start, end = _stretch(data, random)
    return data[:start] + bytes(end - start) + data[end:]


def _moved(data: bytes, random: Random) -> bytes:
    (start, end), at = _stretch(data, random), random.randrange(len(data) + 1)
    return data[:at] + data[start:end] + data[at:]


def _inserted(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(TEXTS).encode("utf-8", "surrogatepass") + data[at:]


def _stretch(data: bytes, random: Random) -> tuple[int, int]:
    start = random.randrange(len(data) + 1)
    return start, min(len(data), start + random.choice((1, 4, 16, 100, 1000)))


_OF_BYTES = (_bit, _bit, _number, _number, _cut, _removed, _repeated, _zeroed, _moved, _inserted)


def text_changed(*tokens: str) -> Mutator:
    """Changes to a text of a format with these tokens: lines and words of it elsewhere, texts and tokens in between."""

    def changed(data: bytes, random: Random) -> bytes:
        text = data.decode("utf-8", "replace")
        for _ in range(random.choice((1, 1, 1, 2, 4))):
            text = _text_changed(text, (*tokens, *TEXTS), random)
        content = text.encode("utf-8", "surrogatepass")[:_LONGEST]
        return bytes_changed(content, random) if random.random() < 0.1 else content

    return changed


def yaml_changed(*tokens: str) -> Mutator:
    """The same of YAML, or values somewhere in it; JSON is YAML."""
    as_text = text_changed(*tokens)

    def changed(data: bytes, random: Random) -> bytes:
        if random.random() < 0.5:
            return as_text(data, random)
        value = yaml.safe_load(data)
        for _ in range(random.choice((1, 1, 2))):
            value = value_changed(value, random)
        return json.dumps(value).encode()

    return changed


def _text_changed(text: str, tokens: Sequence[str], random: Random) -> str:
    lines = text.split("\n")
    at, other = random.randrange(len(lines)), random.randrange(len(lines))
    match random.randrange(8):
        case 0:
            lines.insert(at, lines[other])
        case 1:
            del lines[at]
        case 2:
            lines[at] = random.choice(tokens)
        case 3:
            lines[at] = lines[at].replace(random.choice(lines[at].split() or [" "]), random.choice(tokens))
        case 4:
            lines[at] = f"{' ' * random.randrange(9)}{lines[at].strip()}"
        case 5:
            lines[at] = lines[at] * random.choice((2, 20))
        case _:
            place = random.randrange(len(lines[at]) + 1)
            some = random.choice((*tokens, str(random.choice(NUMBERS))[:400])) * random.choice((1, 1, 1, 2, 1000))
            lines[at] = lines[at][:place] + some + lines[at][place:]
    return "\n".join(lines)


def json_changed(data: bytes, random: Random) -> bytes:
    """Changes to values somewhere in JSON, and now and then to its text: deep, with a key twice, with NaN."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return bytes_changed(data, random)
    for _ in range(random.choice((1, 1, 2, 3))):
        value = value_changed(value, random)
    text = json.dumps(value, ensure_ascii=random.random() < 0.5)
    match random.randrange(25):
        case 0:
            at = random.randrange(len(text) + 1)
            text = text[:at] + random.choice("[{") * random.choice((50, 101, 20_000)) + text[at:]
        case 1:
            text = text.replace("{", '{"a": 1, "a": 2, ', 1)
        case 2:
            text = text.replace(
                random.choice("0123456789"), random.choice(("9" * 5000, "1e999", "-Infinity", "0.1e-9")), 1
            )
    content = text.encode("utf-8", "surrogatepass")
    return bytes_changed(content, random) if random.random() < 0.1 else content


def value_changed(value: Any, random: Random) -> Any:
    """One thing otherwise, somewhere in plain values."""
    if isinstance(value, dict) and value and random.random() < 0.85:
        key = random.choice(list(value))
        match random.randrange(8):
            case 0:
                return {each: inner for each, inner in value.items() if each != key}
            case 1:
                return {(random.choice(TEXTS) if each == key else each): inner for each, inner in value.items()}
            case 2:
                return {**value, random.choice(TEXTS): _anything(random)}
            case _:
                return {**value, key: value_changed(value[key], random)}
    if isinstance(value, list) and value and random.random() < 0.85:
        at = random.randrange(len(value))
        match random.randrange(6):
            case 0:
                return value[:at] + value[at + 1 :]
            case 1:
                return [*value, *value[at : at + 1]] * random.choice((1, 1, 30))
            case _:
                return [*value[:at], value_changed(value[at], random), *value[at + 1 :]]
    if isinstance(value, str) and value.startswith(("{", "[")) and random.random() < 0.7:  # JSON in a text
        return json_changed(value.encode(), random).decode("utf-8", "replace")
    return _anything(random)


def _anything(random: Random) -> Any:
    match random.randrange(8):
        case 0:
            return None
        case 1:
            return [_anything(random) for _ in range(random.randrange(3))]
        case 2:
            return {random.choice(TEXTS): _anything(random) for _ in range(random.randrange(3))}
        case 3 | 4:
            return random.choice(TEXTS)
        case _:
            return random.choice(NUMBERS)


xml_changed = text_changed(
    *(f'<?xml version="1.0" encoding="{name}"?>' for name in ("utf-99", "cp037", "utf-16")),
    *(
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        "&b;",
        "&a;",
        "&#0;",
        "&#xD800;",
    ),
    *('<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]>', "&f;"),
    *("<darkroom:record>", "</darkroom:record>", "<![CDATA[", "]]>"),
)

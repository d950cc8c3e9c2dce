"""A text file of prompts, one a line: what each line asks for, whichever program it was written for.

    a red star on white --w 96 --d 7                                      ai-toolkit, kohya's sd-scripts, musubi-tuner
    # a comment
    --prompt "a red star" --negative_prompt "blurry" --steps 20           AUTOMATIC1111's webui
    a red star <lora:star:0.8>

Flags are settings; what has no place in a prompt of conf/ is left out with a note; everything else is text, "--" too
where it begins no word. A word that begins with "--" and is nobody's flag is an error.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from darkroom.errors import ConfigError, Reading
from darkroom.plan.prompt_text.flags import EVERYONES, not_made
from darkroom.plan.prompt_text.other_formats import other_format

_FLAG = re.compile(
    r"""(?<!\S)--(?P<flag>[A-Za-z][\w-]*)(?=[\s=]|$)  # --steps
    (?:[\s=]+(?P<quoted>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')(?!\S))?  # "a cat -- asleep" """,
    re.VERBOSE,
)
# —w 512, -w 512, --w:512: a flag as word processors, other programs and haste have it
_ALMOST = re.compile(r"(?<!\S)([-\u2010-\u2015\u2212\ufe58\uff0d]{1,2})([A-Za-z]\w*)([\s=:]+)([-+]?[\d.]+)(?!\S)")
_DASH_THAT_CLOSES = re.compile(r"\w--(?!\w)|--(?:\s|$)")  # a cat --asleep, maybe-- in the sun
_CHOICE = re.compile(r"\{[^{}]*\|[^{}]*\}|\b__\w+?__\b")  # {red|green}, __colour__
_NETWORK = re.compile(r"[,\s]*(<(?:lora|lyco|hypernet):[^<>]*>)")


@dataclass(frozen=True)
class PromptLine:
    """One prompt. `keys`: as in conf/prompts, their ranges not looked at; `notes`: what of the line had no effect."""

    number: int  # in the file, from 1
    keys: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Given:
    """A flag and its value, as typed."""

    flag: str
    value: str

    def __str__(self) -> str:
        return f"--{self.flag} {self.value}".rstrip()


def read_lines(text: str, file: str) -> Reading[list[PromptLine]]:
    """The prompts of a file, without blank lines and comments; an error for each line that nobody could take."""
    text = text if "\n" in text else text.replace("\r", "\n")  # as old programs end lines
    strange = [ConfigError(f"{file}: {said}") for said in other_format(text, file)]
    yield from strange
    lines: list[PromptLine] = []
    if strange:
        return lines
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: a line separator (U+2028) may stand in a text
        if line.strip() and not is_comment(line):
            try:
                lines.append(_read(line.strip(), number))
            except ConfigError as error:
                yield ConfigError(f"{file}: line {number}: {error}")
    return lines


def is_comment(line: str) -> bool:
    """As sd-scripts takes it."""
    return line.lstrip().startswith("#")


def _read(line: str, number: int) -> PromptLine:
    """ConfigError with what is wrong, without its place."""
    text, given = _split(line)
    keys, notes = _settings(given)
    if almost := next(_almost_flags(text), None):
        raise ConfigError(almost)
    if text and "prompt" in keys:
        raise ConfigError(f"has a text, {text[:40]!r}, and --prompt; one of them is the prompt")
    keys = {"prompt": text, **keys}
    for key in keys.keys() & {"prompt", "neg"}:
        notes += [_network_note(found[1]) for found in _NETWORK.finditer(keys[key])]
        bare, were_there = _NETWORK.subn("", keys[key])
        keys[key] = bare.lstrip(", ") if were_there else keys[key]
    notes += [
        f"{choice} is text here; a choice is one under `templates:`" for choice in _CHOICE.findall(keys["prompt"])
    ]
    if not keys["prompt"]:
        raise ConfigError("holds no prompt; expected a text, then flags such as --w 512")
    return PromptLine(number, keys, tuple(notes))


def _network_note(written: str) -> str:
    return f"{written} is left out of the text; LoRAs are options of conf/lora, strengths network_multiplier"


def _split(line: str) -> tuple[str, list[_Given]]:
    """The text before the first flag, and the flags."""
    found = list(_flags(line))
    begins = [*(match.start() for match in found), len(line)]
    given = [_given(match, line[match.end() : end]) for match, end in zip(found, begins[1:], strict=True)]
    return line[: begins[0]].strip(), given


def _flags(line: str) -> Iterator[re.Match[str]]:
    """Words that are flags; a dash with another one that closes it is none, unless it would be a setting."""
    for match in _FLAG.finditer(line):
        setting, _ = EVERYONES.get(match["flag"].lower(), ("", str))
        if setting or not _DASH_THAT_CLOSES.search(line, match.end()):
            yield match


def _almost_flags(text: str) -> Iterator[str]:
    """What to write for words of a text that are settings but for their dashes."""
    for dashes, flag, between, number in _ALMOST.findall(text):
        setting, make = EVERYONES.get(flag.lower(), ("", str))
        if setting and make is not str and (dashes != "--" or between.strip()):
            written = f"{dashes}{flag}{between}{number}"
            yield f"{written!r}: a flag is --{flag} {number}; a text with it goes in conf/prompts as prompt: '…'"


def _given(match: re.Match[str], rest: str) -> _Given:
    quoted, rest = match["quoted"], rest.strip(" \t=")
    if quoted and not rest:
        return _Given(match["flag"], re.sub(r"\\(.)", r"\1", quoted[1:-1]))
    return _Given(match["flag"], f"{quoted} {rest}" if quoted else rest)


def _settings(given: list[_Given]) -> tuple[dict[str, Any], list[str]]:
    """By the names of conf/, and what has none there. ConfigError for the first flag that cannot be taken."""
    settings: dict[str, Any] = {}
    by: dict[str, _Given] = {}
    notes = []
    for each in _without_no_guidance(given):
        if each.flag.lower() not in EVERYONES:
            raise ConfigError(_unknown(each))
        setting, make = EVERYONES[each.flag.lower()]
        if not setting:
            notes.append(f"{each} has no effect: it is no setting of these models")
            continue
        try:
            made = make(each.value)
        except ValueError:
            raise ConfigError(f"--{each.flag}: {not_made(make, each.value)}") from None
        if isinstance(made, float) and not math.isfinite(made):
            raise ConfigError(f"--{each.flag}: expected a finite number, got {each.value!r}")
        if settings.setdefault(setting, made) != made:
            raise ConfigError(f"{by[setting]} and {each} are both {setting}; give one")
        by.setdefault(setting, each)
    return settings, notes


def _without_no_guidance(given: list[_Given]) -> list[_Given]:
    """sd-scripts' `--l 1` beside `--g 3.5` says that there is no classifier-free guidance beside the embedded one."""
    if not any(each.flag.lower() == "g" for each in given):
        return given
    return [each for each in given if each.flag.lower() != "l" or each.value not in ("1", "1.0")]


def _unknown(given: _Given) -> str:
    known = ", ".join(f"--{flag}" for flag, (setting, _) in sorted(EVERYONES.items()) if setting)
    return f"--{given.flag}: is nobody's flag; known: {known}; a text with it goes in conf/prompts as prompt: '…'"

"""Texts that somebody forgot to put in quotes, as YAML misread them: the advice that a message ends with.

`[trigger] a photo` is a list to YAML, `close-up: a woman` a key and its value, `#1` a comment.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

ADVICE = "put the text in quotes"

_LINE = re.compile(r"(\s*(?:- +)?(?:(?:prompt|neg|trigger_word): +)?)(\S.*)")  # what a text may follow, the text
_BEGINS = tuple("[]{}*&!%@`|>\"'?,#:=")  # what begins something else than a text
_HOLDS = re.compile(r":\s| #|\t")  # what ends a text, or makes a key of it
# `- a cat #1`; nobody writes a comment without a space after its # as often as a hashtag
_CUT = re.compile(r"^\s*- +(?:prompt: +)?([^\s\[\]{}&*!|>'\"%@`#][^#\n]*?)\s+(#[^\s#].*?)\s*$", re.MULTILINE)
_OCTAL = re.compile(r"([-+]?)0([0-7]*[1-7][0-7]*)")
_BASE_60 = re.compile(r"([-+]?\d+):(\d+)(?:[:.]\d*)*")
_MAY_BE_ODD = re.compile(r"(?<![\w.])0[0-7_]*[0-7]|\d:[0-5]?\d")  # either of them
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_SPACES = re.compile(r"[\u00a0\u2000-\u200b\u202f\u3000\ufeff]")  # that look like one, and are none to YAML
_CURES = {  # a part of what the parser says, and what to write
    "unknown escape": "in double quotes a \\ begins an escape: put the text in single quotes",
    "found duplicate key": "give it once",
    "but found another document": "--- begins a second document: take it out, or put the text in quotes",
}
_MAPPING = re.compile(r"\{\s*['\"]?\w+['\"]?\s*:")  # {prompt: …}: some text inside it is meant


def advice(lines: Sequence[str], number: int) -> str | None:
    """For line `number` (from 1) of a YAML file, if a text can be meant by it: how it is written in quotes.

    >>> advice(["prompts:", "  - [trigger] a photo"], 2)
    'put the text in quotes: - "[trigger] a photo" (line 2)'
    """
    line = lines[number - 1].rstrip() if 0 < number <= len(lines) else ""
    match = _LINE.fullmatch(line)
    is_text = match and match[1].strip() and (match[2].startswith(_BEGINS) or _HOLDS.search(match[2]))
    if match is None or not is_text:
        return f"{ADVICE} (line {number})" if "[trigger]" in line else None
    if _MAPPING.match(match[2]):
        return f"{ADVICE} (line {number})"
    return f"{ADVICE}: {match[1].strip()} {_quoted(match[2])} (line {number})"


def advice_on(error: yaml.YAMLError, file: Path) -> str | None:
    """For an error of the parser, if the line where it is, or where it began, looks like a text."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    marks = [getattr(error, name, None) for name in ("problem_mark", "context_mark")]
    if said := _advice_on_spaces([mark.line + 1 for mark in marks if mark], lines):
        return said
    problem = str(getattr(error, "problem", ""))
    if said := next((cure for part, cure in _CURES.items() if part in problem), None):
        return said
    found = [said for mark in marks if mark and (said := advice(lines, mark.line + 1))]
    if not found and "mapping values" in problem:
        return 'put a text that has ": " in it in quotes'
    return found[0] if found else None


def _advice_on_spaces(near: Sequence[int], lines: Sequence[str]) -> str | None:
    """Where a line that the parser names, or the one before it, has a space that is none to YAML, or a tab for one."""
    for number in sorted({each - back for each in near for back in (0, 1)} & set(range(1, len(lines) + 1))):
        line = lines[number - 1]
        if odd := _SPACES.search(line.partition(":")[0]):
            return f"line {number} has U+{ord(odd[0]):04X}, which looks like a space; write a plain one"
        if "\t" in line[: len(line) - len(line.lstrip())] or re.search(r"[:\-]\t", line):
            return f"line {number} has a tab; YAML wants spaces"
    return None


def odd_numbers(text: str, ratios: Collection[str]) -> Iterator[str]:
    """0123 is 83 to YAML, 1:30 is 90, and neither to anybody who writes a seed, a step or a range.

    `ratios`: keys whose 16:9 is one.
    """
    if not _MAY_BE_ODD.search(text):
        return
    for key, node in _scalars(yaml.compose(text, Loader=_LOADER), ""):
        if node.style or node.tag not in _NUMBERS:
            continue
        number, line = node.value, node.start_mark.line + 1
        if found := _OCTAL.fullmatch(number):
            plain = f"{found[1]}{found[2].lstrip('0')}"
            said = f"{int(number, 8)} to YAML, as it begins with 0; write {plain} for the number, or"
            yield f'line {line}: {number} is {said} "{number}" where it is a name'
        elif (found := _BASE_60.fullmatch(number)) and key not in ratios:
            counted = yaml.safe_load(number)
            said = f"{counted} to YAML, which counts in sixties there; a range is {found[1]}..{found[2]}"
            yield f"line {line}: {number} is {said}; {ADVICE}, if it is one (line {line})"


def _scalars(node: yaml.Node | None, key: str) -> Iterator[tuple[str, yaml.ScalarNode]]:
    """Every value that is one, and the key that it, or the list with it, stands under."""
    if isinstance(node, yaml.ScalarNode):
        yield key, node
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _scalars(item, key)
    elif isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            yield from _scalars(value, str(name.value))


def anchored(text: str) -> Iterator[str]:
    """`- &sons a shop` is the text `a shop` to YAML, and &sons its name: said where nothing uses that name."""
    if not re.search(r"[-:,\[{]\s+&\w", text):
        return
    events = list(yaml.parse(text, Loader=_LOADER))
    used = {event.anchor for event in events if isinstance(event, yaml.AliasEvent)}
    lines = text.splitlines()
    for event in events:
        if isinstance(event, yaml.ScalarEvent) and event.anchor and event.anchor not in used:
            assert event.start_mark  # what is parsed has one
            number = event.start_mark.line + 1
            said = advice(lines, number) or f"{ADVICE} (line {number})"
            yield f"line {number}: &{event.anchor} is no part of a text to YAML; {said}"


def cut_off(file: Path) -> dict[str, str]:
    """Of texts in a list that end where a comment such as #1 begins: the text, as YAML has it, and the comment."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    return {match[1]: match[2] for match in _CUT.finditer(text)}


def advice_at(file: str, key: str) -> str:
    """The same for what stands at `prompts[1]` or `prompts[1].neg` of a file; without the line where there is none."""
    try:
        text = Path(file).read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=_LOADER)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return ADVICE
    for step in re.findall(r"[^.\[\]]+", key):
        node = _inside(node, step)
    if node is None or node.start_mark is None:
        return ADVICE
    number = node.start_mark.line + 1
    return advice(text.splitlines(), number) or f"{ADVICE} (line {number})"


def _inside(node: yaml.Node | None, step: str) -> yaml.Node | None:
    if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
        found: yaml.Node = node.value[int(step)]
        return found
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == step), None)
    return None


def _quoted(text: str) -> str:
    """In double quotes, or single ones if it holds those."""
    if '"' in text and "'" not in text:
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

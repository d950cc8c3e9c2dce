"""A template of prompts, "a {red|green} __animal__": the texts that it stands for, every one or some drawn.

    {red|green|{light|dark} blue}     one of them, one within another too; {red|} is red or nothing
    {0.7::red|0.3::green}             how often each is drawn, 1 where nothing is said
    {2$$red|green|blue}               two of them: "red,green", "red,blue", "green,red", …
    {1-2$$ and $$red|green}           one or two of them, with other words between
    __colour__, __animals/cats__      a line of a list that has this name; * stands for any part of it

It is the syntax of dynamicprompts (docs/SYNTAX.md of github.com/adieyal/dynamicprompts), known from the webui. That
library fails at a bare %, and leaves out what follows a #; here both are text. Its variables, wrappers and marks are
refused.
"""

import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from random import Random

from darkroom.errors import ConfigError

MOST = 1000  # texts of one template
_PICKED = 100  # options that one choice may take
_DEEP = 50  # choices and lists inside each other
_COUNTED = 10**15  # texts that are said by their number

Lists = Callable[[str], Sequence[str]]  # the lines of a list by its name; ConfigError where there is none

_TOKEN = re.compile(
    r"\$\$|(?P<open>[$%]?\{)|(?P<bar>\|)|(?P<close>\})|__(?P<name>(?:[^\W_]|\*)(?:(?!__)[^{}|\n])*)__|[^{}|$%_]+|.",
    re.DOTALL,
)
_HEAD = re.compile(
    r"\s*(?:(?P<exactly>\d{1,9})|(?P<least>\d{1,9})?-(?P<most>\d{1,9})?)\$\$(?:(?P<separator>[^$]*)\$\$)?"
)
_WEIGHT = re.compile(r"\s*(\d{1,9}(?:\.\d*)?|\.\d+)::")
_MARKS = {"~": "random", "!": "combinatorial", "@": "cyclic"}


@dataclass(frozen=True)
class _Option:
    """One of the alternatives of a choice, and how often it is drawn beside the others."""

    parts: "_Parts"
    weight: float = 1.0


@dataclass(frozen=True)
class _Choice:
    """From `least` to `most` different ones of some options, in any order, joined."""

    options: tuple[_Option, ...]
    least: int = 1
    most: int = 1
    separator: str = ","


_Parts = tuple[str | _Choice, ...]  # of a template, one after the other


def expanded(prompt: str, neg: str, draws: int | None, seed: int, lists: Lists) -> list[tuple[str, str]]:
    """The different texts of a prompt and its negative prompt: `draws` of them, or every combination for None.

    A larger number of draws begins with those of a smaller one. ConfigError, without its place, for what is no
    template, for more than MOST texts, and for more draws than there are texts.
    """
    both = [_Reader(text, lists).template() for text in (prompt, neg)]
    number = math.prod(map(_count, both))
    if draws is None and number > MOST:
        said = f"{number:,}" if number < _COUNTED else f"over {_COUNTED:,}"
        raise ConfigError(f"stands for {said} texts; expected {MOST} at most: `draws: 100` takes a hundred of them")
    if draws is None:
        return list(dict.fromkeys((text, beside) for text in _texts(both[0]) for beside in _texts(both[1])))
    if draws > number:
        raise ConfigError(f"draws: {draws} of {number} texts; without it there is every one")
    return _drawn(both, draws, Random(seed))


def _drawn(both: Sequence[_Parts], draws: int, random: Random) -> list[tuple[str, str]]:
    found: dict[tuple[str, str], None] = {}
    for _ in range(100 * draws + 1000):  # enough, unless some texts are equal or hardly ever drawn
        prompt, neg = (_draw(parts, random) for parts in both)
        found[prompt, neg] = None
        if len(found) == draws:
            return list(found)
    raise ConfigError(f"draws: {draws}, and no more than {len(found)} different texts come up")


def _count(parts: _Parts) -> int:
    """How many texts there are, equal ones counted."""
    return math.prod(_choices(part) for part in parts if isinstance(part, _Choice))


def _choices(choice: _Choice) -> int:
    """Ways to take `least` to `most` of the options one after the other, each with each text that it has itself."""
    subsets = [1] + [0] * choice.most  # by size: elementary symmetric polynomials
    for option in choice.options:
        own = _count(option.parts)
        for size in range(choice.most, 0, -1):
            subsets[size] += subsets[size - 1] * own
    return sum(math.factorial(size) * subsets[size] for size in range(choice.least, choice.most + 1))


def _texts(parts: _Parts) -> Iterator[str]:
    """Every text; what comes later in the template changes first."""
    for found in product(*([part] if isinstance(part, str) else list(_picked(part)) for part in parts)):
        yield "".join(found)


def _picked(choice: _Choice) -> Iterator[str]:
    for number in range(choice.least, choice.most + 1):
        for options in permutations(choice.options, number):
            for found in product(*(list(_texts(option.parts)) for option in options)):
                yield choice.separator.join(found)


def _draw(parts: _Parts, random: Random) -> str:
    return "".join(part if isinstance(part, str) else _draw_choice(part, random) for part in parts)


def _draw_choice(choice: _Choice, random: Random) -> str:
    number = choice.least + int(random.random() * (choice.most - choice.least + 1))
    left, found = list(choice.options), []
    for _ in range(number):
        option = _weighted(left, random)
        left.remove(option)
        found.append(_draw(option.parts, random))
    return choice.separator.join(found)


def _weighted(options: Sequence[_Option], random: Random) -> _Option:
    """By random() alone, whose numbers no later Python changes."""
    point = random.random() * sum(option.weight for option in options)
    for option in options:
        point -= option.weight
        if point < 0:
            return option
    return options[-1]


class _Reader:
    """Reads one template, and the lists that it names."""

    def __init__(self, text: str, lists: Lists, within: tuple[str, ...] = (), depth: int = 0) -> None:
        self._tokens = deque(_TOKEN.finditer(text))
        self._lists = lists
        self._within = within  # names of the lists that this is a line of
        self._depth = depth  # choices and lists that are open here

    def template(self) -> _Parts:
        return self._parts(in_choice=False)

    def _parts(self, *, in_choice: bool) -> _Parts:
        parts: list[str | _Choice] = []
        while self._tokens and not (in_choice and self._tokens[0].lastgroup in ("bar", "close")):
            token = self._tokens.popleft()
            if token["open"]:
                parts.append(self._choice(token))
            elif token["name"]:
                parts.append(self._list(token["name"].strip()))
            elif parts and isinstance(parts[-1], str):
                parts[-1] += token[0]
            else:
                parts.append(token[0])
        return tuple(parts)

    def _choice(self, opening: re.Match[str]) -> _Choice:
        place = f"{opening[0]} at character {opening.start() + 1}"
        if opening[0] != "{":
            raise ConfigError(f"{place}: variables and wrappers are not taken; write the text in their place")
        found = []
        self._enter()
        while True:
            found.append(self._parts(in_choice=True))
            if not self._tokens:
                raise ConfigError(f"{place}: there is no }} that closes it; a text with braces of its own is a prompt")
            if self._tokens.popleft().lastgroup == "close":
                self._depth -= 1
                return _made(found, place)

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > _DEEP:
            raise ConfigError(f"more than {_DEEP} choices and lists inside each other")

    def _list(self, name: str) -> _Choice:
        if name in self._within:
            raise ConfigError(f"__{name}__ has a line with __{name}__ in it")
        within = (*self._within, name)
        self._enter()
        lines = (_Reader(line, self._lists, within, self._depth).template() for line in self._lists(name))
        choice = _Choice(tuple(map(_Option, lines)))
        self._depth -= 1
        return choice


def _made(found: Sequence[_Parts], place: str) -> _Choice:
    """A choice of what stands between its bars, behind its head if it has one."""
    head, first = _cut(_HEAD, found[0])
    options = tuple(map(_option, (first, *found[1:])))
    if fault := _fault(options):
        raise ConfigError(f"{place}: {fault}")
    match options:
        case (_Option(parts=(_Choice() as listed,)),):
            options = listed.options  # {2$$__colour__}: two of its lines
    if head is None:
        return _Choice(options)
    ends = head["exactly"] or head["least"] or 1, head["exactly"] or head["most"] or len(options)
    least, most = sorted(min(int(end), len(options)) for end in ends)
    if most > _PICKED:
        raise ConfigError(f"{place}: takes up to {most:,} of them; expected {_PICKED} at most, as in {{1-3$$…}}")
    return _Choice(options, least, most, "," if head["separator"] is None else head["separator"])


def _fault(options: Sequence[_Option]) -> str | None:
    begins = next((part[:1] for part in options[0].parts[:1] if isinstance(part, str)), "")
    if begins in _MARKS:
        return f"the mark {begins} ({_MARKS[begins]}) is not taken; `draws` says how texts are chosen"
    if any("$$" in part for option in options for part in option.parts if isinstance(part, str)):
        return "$$ stands behind a number, as in {2$$red|green} or {1-2$$ and $$red|green}"
    return None if any(option.weight for option in options) else "all weights are 0"


def _option(parts: _Parts) -> _Option:
    weight, rest = _cut(_WEIGHT, parts)
    return _Option(_stripped(rest), float(weight[1]) if weight else 1.0)


def _cut(pattern: re.Pattern[str], parts: _Parts) -> tuple[re.Match[str] | None, _Parts]:
    """What the text at the beginning matches, and the parts without it."""
    match = pattern.match(parts[0]) if parts and isinstance(parts[0], str) else None
    return match, (str(parts[0])[match.end() :], *parts[1:]) if match else parts


def _stripped(parts: _Parts) -> _Parts:
    """Without blanks at both ends."""
    ends = list(parts)
    if ends and isinstance(ends[0], str):
        ends[0] = ends[0].lstrip()
    if ends and isinstance(ends[-1], str):
        ends[-1] = ends[-1].rstrip()
    return tuple(part for part in ends if part)

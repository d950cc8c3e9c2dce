"""What `--config` asks for: the experiment's name as it was typed, overrides, and the name of a variant.

Snakemake reads what is typed as a number where it can: 2026_02_14 as 20260214, 007 as 7, 1.10 as 1.1, quotes or not.
The text is looked for on the command line that Snakemake was started with. A job that Snakemake starts elsewhere is
told the number only; the main process has found the experiment by then.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.errors import ConfigError, Reading
from darkroom.names import name_fault
from darkroom.plan.conf.other_tools import instead, our_key
from darkroom.plan.conf.schema import Settings
from darkroom.store import STORE

_KEYS = ("experiment", "fresh", "name", "set")
_BEFORE = ("--config=", "-C", "")  # what may stand before experiment= in one word of the command line
_SETTINGS = tuple(Settings.__dataclass_fields__)


@dataclass(frozen=True)
class Arguments:
    """`experiment`: of conf/experiment/. `name`: of its folder in results/, another one for a variant beside it."""

    experiment: str
    name: str
    overrides: tuple[str, ...]
    fresh: bool = False  # render everything anew, whatever the store has; `darkroom regress --fresh` says so


def read_arguments(
    config: Mapping[str, Any], command_line: Sequence[str] | None, known: Sequence[str]
) -> Reading[Arguments]:
    """`command_line`: None in a job; `known`: the names of all experiments."""
    for key in config:
        if key not in _KEYS:
            expected = 'experiment=NAME, name=NAME or set=["KEY=VALUE", …]'
            yield ConfigError(f"--config {key}: unknown key; expected {expected}{_hint(key)}")
    overrides = config.get("set", [])
    overrides = [overrides] if isinstance(overrides, str) else overrides
    if not isinstance(overrides, list) or not all(isinstance(item, str) for item in overrides):
        yield ConfigError(f'--config set: expected a list of "KEY=VALUE" strings, got {overrides!r}')
        overrides = []
    experiment = yield from _experiment(config.get("experiment", "demo"), command_line, known)
    name = config.get("name", experiment)
    if "name" in config:
        yield from _variant_faults(name, experiment, known)
    if name == STORE:
        key = "name" if "name" in config else "experiment"
        yield ConfigError(f"--config {key}={name}: results/{name} is the store's; name it otherwise")
    if not isinstance(fresh := config.get("fresh", False), bool):
        yield ConfigError(f"--config fresh: expected True or False, got {fresh!r}")
    return Arguments(experiment, name, tuple(overrides), fresh=fresh)


def _variant_faults(name: Any, experiment: str, known: Iterable[str]) -> Iterator[ConfigError]:
    if isinstance(name, int | float):
        yield ConfigError(f"--config name: Snakemake reads it as the number {name!r}: write 'name=!!str 007'")
    elif fault := name_fault(name):
        yield ConfigError(f"--config name: {fault}")
    elif name != experiment and name in known:
        yield ConfigError(f"--config name={name}: results/{name} is experiment {name}'s own; name it otherwise")


def _experiment(value: Any, command_line: Sequence[str] | None, known: Iterable[str]) -> Reading[str]:
    if isinstance(value, str):
        return value
    if command_line is None:
        names = [name for name in known if _is_read_as(name, value)]
    else:
        names = [text for word in command_line if (text := _typed(word)) and _is_read_as(text, value)][-1:]
    if len(names) == 1:
        return names[0]
    if isinstance(value, int | float):
        several = f"the experiments {' and '.join(names)} read alike" if names else "how it was typed cannot be seen"
        cure = "write 'experiment=!!str 007' after --config, \"007\" in quotes in a file"
        yield ConfigError(f"--config experiment: Snakemake reads it as the number {value!r}, and {several}: {cure}")
    else:
        yield ConfigError(f"--config experiment: expected a name, got {value!r}")
    return ""


def _typed(word: str) -> str | None:
    """`007` of the words experiment=007, --config=experiment=007 and experiment='007'."""
    for before in _BEFORE:
        if word.startswith(f"{before}experiment="):
            return word.removeprefix(f"{before}experiment=").strip("'\"")
    return None


def _is_read_as(text: str, value: Any) -> bool:
    """Would Snakemake's --config (parse_config in its cli.py) read a text as this value?"""
    parsers: tuple[Callable[[str], Any], ...] = (int, float, {"True": True, "False": False}.__getitem__)
    for parse in parsers:
        with contextlib.suppress(ValueError, KeyError):
            return repr(parse(text)) == repr(value)
    return False


def _hint(key: str) -> str:
    if ours := our_key(key, _SETTINGS):
        return f'; {key}: set=["matrix.{ours}=VALUE"]'
    said = instead(key, _KEYS)
    return f"; {said}" if said else ""

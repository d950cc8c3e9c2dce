"""A prompt set as written: its prompts, those of its text file, and what cannot stand together in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.errors import ConfigError
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.reader import read
from darkroom.plan.conf.schema import Prompt, PromptSet


@dataclass(frozen=True)
class Entry:
    """One prompt of a set and where it was written."""

    prompt: Prompt
    place: str


@dataclass(frozen=True)
class Sheet:
    """A prompt set with the prompts of its text file."""

    entries: tuple[Entry, ...]
    common: PromptSet


def read_sheet(content: Any, origin: Origin, problems: list[ConfigError]) -> Sheet | None:
    """The prompts of the list, then those of the text file; None after a problem."""
    before = len(problems)
    prompt_set = read(PromptSet, content, origin, problems)
    if prompt_set is None:
        return None
    found = [Entry(prompt, origin.at(f"prompts[{number}]")) for number, prompt in enumerate(prompt_set.prompts)]
    if prompt_set.file is not None:
        found += _lines(prompt_set.file, origin.at("file"), problems)
    if not found and len(problems) == before:
        problems.append(ConfigError(f"{origin.at('prompts')}: the set is empty; it needs prompts or a text file"))
    if prompt_set.trigger_word is not None and prompt_set.defaults.trigger_word is not None:
        problems.append(ConfigError(f"{origin.at('defaults.trigger_word')}: the set itself has a trigger_word already"))
    for entry in found:
        if (entry.prompt.prompt is None) == (entry.prompt.prompt_embeds is None):
            problems.append(ConfigError(f"{entry.place}: expected either prompt or prompt_embeds"))
        elif entry.prompt.prompt_embeds == "":
            problems.append(ConfigError(f"{entry.place}.prompt_embeds: is empty; expected a .safetensors file"))
    levels = [(prompt_set.defaults, origin.at("defaults")), *((entry.prompt, entry.place) for entry in found)]
    for level, place in levels:
        if level.aspect_ratio and (level.width or level.height):
            problems.append(
                ConfigError(f"{place}.aspect_ratio: takes the place of width and height; give one or the other")
            )
    return Sheet(tuple(found), prompt_set) if len(problems) == before else None


def _lines(name: str, place: str, problems: list[ConfigError]) -> list[Entry]:
    """One prompt a line, blank lines skipped."""
    try:
        text = Path(name).read_text(encoding="utf-8-sig")
    except OSError as error:
        problems.append(ConfigError(f"{place}: {name}: {error.strerror} (paths start at the working directory)"))
        return []
    except UnicodeDecodeError as error:
        problems.append(ConfigError(f"{place}: {name}: not UTF-8 text: {error.reason} at byte {error.start}"))
        return []
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    found = [Entry(Prompt(prompt=line), f"{name}, line {number}") for number, line in lines if line]
    if not found:
        problems.append(ConfigError(f"{place}: {name}: no prompt in the file"))
    return found

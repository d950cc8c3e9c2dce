"""A prompt set as written: its prompts, those of its text file and templates, and what cannot stand together in it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from darkroom.errors import ConfigError, Reading, if_sound
from darkroom.files import unquoted
from darkroom.files.regular_file import read_text
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.reader import read
from darkroom.plan.conf.schema import Prompt, PromptSet, Settings
from darkroom.plan.prompt_text.lines import read_lines
from darkroom.plan.prompt_text.templates import MOST, expanded
from darkroom.plan.prompt_text.wildcards import Wildcards


@dataclass(frozen=True)
class Entry:
    """One prompt of a set and where it was written."""

    prompt: Prompt
    where: str
    notes: tuple[str, ...] = ()  # what was written with it and has no effect
    template: str | None = None  # that the text is one of; None: it was written so


@dataclass(frozen=True)
class Sheet:
    """A prompt set with all its prompts, by index.

    Those that are written have 0, 1, …; the texts of the first template 1000, 1001, …, those of the second 2000, …: a
    prompt or a list that grows changes no index, and so no seed and no name, of another template's.
    """

    entries: Mapping[int, Entry]
    common: PromptSet


def read_sheet(content: Any, origin: Origin) -> Reading[Sheet | None]:
    """The prompts of the list, those of the text file, those of the templates; None where anything is wrong."""
    prompt_set = yield from read(PromptSet, content, origin)
    return None if prompt_set is None else (yield from if_sound(_sheet(prompt_set, origin)))


def _sheet(prompt_set: PromptSet, origin: Origin) -> Reading[Sheet]:
    cut = unquoted.cut_off(Path(origin.file)) if origin.file.endswith(".yaml") else {}
    entries = [
        Entry(prompt, origin.at(f"prompts[{number}]"), _cut_note(cut.get(prompt.prompt or "")))
        for number, prompt in enumerate(prompt_set.prompts)
    ]
    if prompt_set.file is not None:
        entries += yield from _lines(prompt_set.file, origin.at("file"))
    elif not (entries or prompt_set.templates):
        yield ConfigError(f"{origin.at('prompts')}: the set is empty; it needs prompts, templates or a text file")
    if prompt_set.templates and len(entries) > MOST:
        advice = "give them a set of their own"
        yield ConfigError(f"{origin.at('templates')}: beside {len(entries)} prompts, expected {MOST} at most; {advice}")
    indexed = dict(enumerate(entries)) | (yield from _of_templates(prompt_set, origin))
    if prompt_set.trigger_word is not None and prompt_set.defaults.trigger_word is not None:
        yield ConfigError(f"{origin.at('defaults.trigger_word')}: the set itself has a trigger_word already")
    for entry in indexed.values():
        if (entry.prompt.prompt is None) == (entry.prompt.prompt_embeds is None):
            yield ConfigError(f"{entry.where}: expected either prompt or prompt_embeds")
        elif entry.prompt.prompt_embeds == "":
            yield ConfigError(f"{entry.where}.prompt_embeds: is empty; expected a .safetensors file")
    levels = [
        (prompt_set.defaults, origin.at("defaults")),
        *((entry.prompt, entry.where) for entry in indexed.values()),
    ]
    for level, where in levels:
        if level.aspect_ratio and (level.width or level.height):
            yield ConfigError(f"{where}.aspect_ratio: takes the place of width and height; give one or the other")
    return Sheet(indexed, prompt_set)


def _of_templates(prompt_set: PromptSet, origin: Origin) -> Reading[dict[int, Entry]]:
    """A prompt for each text that a template stands for, by index."""
    wildcards = Wildcards(Path(prompt_set.wildcards))
    entries = {}
    for number, each in enumerate(prompt_set.templates):
        where = origin.at(f"templates[{number}]")
        settings = {field.name: getattr(each, field.name) for field in fields(Settings)}
        try:
            texts = expanded(each.prompt, each.neg or "", each.draws, each.draw_seed, wildcards.lines)
        except ConfigError as error:
            yield ConfigError(f"{where}: {error}")
            continue
        for index, (prompt, neg) in enumerate(texts, (number + 1) * MOST):
            drawn = Prompt(**settings | {"prompt": prompt, "neg": neg if each.neg else each.neg})
            entries[index] = Entry(drawn, where, template=each.prompt)
    return entries


def _cut_note(comment: str | None) -> tuple[str, ...]:
    if comment is None:
        return ()
    return (f"{comment} is a comment to YAML, and no part of the prompt: if it is text, {unquoted.ADVICE}",)


def _lines(name: str, where: str) -> Reading[list[Entry]]:
    """The prompts of a text file, each with the settings of its flags."""
    try:
        text = read_text(Path(name))
    except ConfigError as error:
        yield ConfigError(f"{where}: {error}")
        return []
    lines = yield from if_sound(read_lines(text, name))
    if lines == []:
        yield ConfigError(f"{where}: {name}: no prompt in the file")
    entries = []
    for line in lines or []:
        place = f"{name}: line {line.number}"
        prompt = yield from read(Prompt, line.keys, Origin(place))
        if prompt:
            entries.append(Entry(prompt, place, line.notes))
    return entries

"""The sample section of an ai-toolkit job → what each preview was asked for.

The trainer's rules, in their order (BaseSDTrainProcess.sample, SampleConfig and GenerateImageConfig): prompts that are
null are dropped, but not their settings; seeds; the trigger word; flags; sizes.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from darkroom.errors import ConfigError, Reading, collected
from darkroom.intake.aitk.section import Section
from darkroom.plan.conf.families import REFERENCE_KEYS
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.reader import read_setting
from darkroom.plan.conf.schema import Settings
from darkroom.plan.prompt_text.flags import parse_flags
from darkroom.request.sizes import floored

DRAWN = -1  # a seed that the trainer drew at random and wrote nowhere
_TRIGGER, _TAGS = "[trigger]", ("[trigger]", "[name]")
_DEFAULTS: Mapping[str, Any] = {  # the trainer's, where a configuration names none
    "width": 512,
    "height": 512,
    "neg": "",  # False there, on which these models fail: jobs with previews name one
    "guidance_scale": 7,
    "sample_steps": 20,
    "network_multiplier": 1,
}
_DIVISORS = (8, 16)  # the trainer floors twice: GenerateImageConfig, then the model
_SHORTEST = 64  # pixels


@dataclass(frozen=True)
class SamplePrompt:
    """One preview as asked for. `index` is the trainer's, as in file names."""

    index: int
    template: str  # with [trigger] where the trigger word takes its place
    text: str
    settings: Mapping[str, Any]  # by the names of conf/, all of _DEFAULTS and seed; images as written


@dataclass(frozen=True)
class SampleSheet:
    """All previews that one section asks for."""

    prompts: tuple[SamplePrompt, ...]
    left_out: Mapping[int, str]  # index → why conf/ cannot ask for it, or why the trainer could not make it
    ignored: tuple[str, ...]  # what the trainer did not understand
    strengths: frozenset[float]  # network_multipliers of all previews, those left out included

    @property
    def count(self) -> int:
        return len(self.prompts) + len(self.left_out)


def sample_sheet(section: Section, trigger_word: str | None) -> SampleSheet:
    """What the section asks for."""
    items = section.sections("samples")
    if "samples" not in section.content:
        items = [
            Section({"prompt": prompt}, section.at(f"prompts[{n}]"))
            for n, prompt in enumerate(section.entries("prompts"))
        ]
    texts = [text for item in items if (text := item.content.get("prompt")) is not None]
    seeds = _seeds(section, items, len(texts))
    prompts, left_out, ignored, strengths = [], {}, [], set()
    for index, text in enumerate(texts):
        strengths.add(_strength(text, items[index], section))
        try:
            prompt, unknown = _prompt(index, text, items[index], section, seeds[index], trigger_word)
        except ConfigError as error:
            left_out[index] = str(error)
            continue
        prompts.append(prompt)
        ignored += [
            f"{section.at('prompts')}: prompt {index}: flag {flag} is unknown to the trainer" for flag in unknown
        ]
    return SampleSheet(tuple(prompts), left_out, tuple(ignored), frozenset(strengths))


def with_texts_of(sheet: SampleSheet, cached: SampleSheet) -> SampleSheet:
    """The sheet of `first_sample` in a job that encodes its texts beforehand: for `sample` alone, and by index."""
    texts = {prompt.index: prompt for prompt in cached.prompts}
    left_out = {
        prompt.index: _without_text(prompt.index, cached) for prompt in sheet.prompts if prompt.index not in texts
    }
    prompts = tuple(
        replace(
            prompt,
            text=texts[prompt.index].text,
            template=texts[prompt.index].template,
            settings={**prompt.settings, "neg": texts[prompt.index].settings["neg"]},
        )
        for prompt in sheet.prompts
        if prompt.index in texts
    )
    return replace(sheet, prompts=prompts, left_out={**left_out, **sheet.left_out})


def _without_text(index: int, cached: SampleSheet) -> str:
    if index in cached.left_out:
        return f"it had the text of sample's prompt {index}, which is left out: {cached.left_out[index]}"
    return "the trainer had no encoded text for it, as sample has fewer prompts than first_sample"


def _seeds(section: Section, items: Sequence[Section], count: int) -> list[Any]:
    """The seed of each prompt before its flags. Without walk_seed one that an item names goes for all after it."""
    start = section.content.get("seed", 0)
    walks = section.flag("walk_seed") and _is_whole(start)
    current, seeds = start, []
    for index in range(count):
        if walks:
            current = start + index
        own = items[index].content.get("seed")
        current = current if own is None else own
        seeds.append(current)
    return seeds


def _prompt(
    index: int, text: object, item: Section, section: Section, seed: object, trigger_word: str | None
) -> tuple[SamplePrompt, tuple[str, ...]]:
    """The prompt, and its unknown flags; ConfigError with the reason to leave it out."""
    if not isinstance(text, str):
        raise ConfigError(f"the prompt is {text!r}, no text")
    literal = text
    for tag in _TAGS if trigger_word is not None else ():
        literal = literal.replace(tag, trigger_word or "")
    flags = parse_flags(literal)
    if flags.fault:
        raise ConfigError(f"{flags.fault}; the trainer would have failed")
    settings = {key: _setting(key, item, section) for key in _DEFAULTS}
    settings |= {key: image for key in REFERENCE_KEYS if (image := item.content.get(key)) is not None}
    settings |= {"ctrl_idx": item.content.get("ctrl_idx", 0), "seed": seed, **flags.settings}
    if flags.settings.get("seed") == DRAWN:
        # torch.manual_seed(-1) is a seed like any other: only one of the configuration is drawn.
        raise ConfigError("seed -1 of a flag is a seed of its own, which conf/ cannot name")
    return SamplePrompt(index, _template(text, flags.text, trigger_word), flags.text, _checked(settings)), flags.ignored


def _template(text: str, literal: str, trigger_word: str | None) -> str:
    """The text with [trigger] in it, where replacing that gives the text that the trainer encoded."""
    template = parse_flags(text).text
    return template if trigger_word and template.replace(_TRIGGER, trigger_word) == literal else literal


def _setting(key: str, item: Section, section: Section) -> Any:
    value = item.content.get(key, section.content.get(key, _DEFAULTS[key]))
    if key == "neg" and value in (None, False):
        return ""
    if key == "network_multiplier" and isinstance(value, str):
        return _as_number(value)
    return value


def _strength(text: object, item: Section, section: Section) -> float:
    """Infinite for a value that is none, which is one more beside the others."""
    own = parse_flags(text).settings.get("network_multiplier") if isinstance(text, str) else None
    value = _setting("network_multiplier", item, section) if own is None else own
    return float(value) if isinstance(value, int | float) else math.inf


def _as_number(text: str) -> float:
    """The trainer's conversion, which takes 1 for what is no number."""
    try:
        return float(text)
    except ValueError:
        return 1.0


def _checked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as conf/ takes them; ConfigError with everything that it does not."""
    made = dict(settings)
    for side in ("width", "height"):
        if _is_whole(made[side]):
            made[side] = max(_SHORTEST, floored(made[side], made[side], _DIVISORS[0])[0])
            made[side] = floored(made[side], made[side], _DIVISORS[1])[0]
    if isinstance(made["seed"], float) and made["seed"].is_integer():
        made["seed"] = int(made["seed"])
    checked, faults = collected(_read(made))
    if faults:
        raise ConfigError("; ".join(str(fault).removeprefix(": ") for fault in faults))
    return checked


def _read(settings: Mapping[str, Any]) -> Reading[dict[str, Any]]:
    read = {}
    for key, value in settings.items():
        if value is not None:
            read[key] = yield from read_setting(Settings, key, value, Origin(""), key)
        elif key in _DEFAULTS or key == "seed":  # a null is no value: the trainer fails on it where there has to be one
            yield ConfigError(f"{key}: expected a value, got null")
    return read


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)

"""`darkroom again`: a picture once more, or with something changed, as an experiment of its own.

Its files of conf/ lie in results/<name>/conf/, so that nobody's own conf/ is written to; a run finds them by an
override of hydra.searchpath. The prompt, the strengths and how the model computes are the record's; where the model's
files lie, conf/model/ says.
"""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from darkroom.errors import ConfigError, Reading, StoreError, raise_together, value_of
from darkroom.files.atomic import atomic
from darkroom.files.yaml_text import yaml_text
from darkroom.named_picture import read_render
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.other_tools import answer
from darkroom.plan.conf.overrides import searching
from darkroom.plan.conf.reader import read_setting
from darkroom.plan.conf.schema import Prompt
from darkroom.plan.trials.as_conf import model_settings, prompt_entry
from darkroom.plan.trials.factors import own_strength
from darkroom.planned import PlannedCombination
from darkroom.record.embedded import EmbeddedRecord
from darkroom.request.digest import digest_of
from darkroom.request.parts import Lora
from darkroom.store import ExperimentFolder, format_of

_PROMPT = tuple(each.name for each in fields(Prompt))
_TEXTS = ("prompt", "prompt_embeds", "trigger_word", "neg", "aspect_ratio")  # and ctrl_img…: as typed, whatever it is
_CHOICES = ("model", "lora")  # options of conf/
_SECTIONS = ("model.", "output.")
_STRENGTH = "network_multiplier."  # of one file of the stack


@dataclass(frozen=True)
class Again:
    """An experiment of one picture. `overrides`: Hydra's, that a run of it needs."""

    name: str
    overrides: tuple[str, ...]
    is_changed: bool


@dataclass
class _Changes:
    """What was typed, by where it goes."""

    prompt: dict[str, Any] = field(default_factory=dict)
    matrix: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)


def write_again(image: Path, words: Sequence[str], results: Path) -> Again:
    """Write the experiment that renders a picture again, with the changes `key=value` of the words.

    ImageError for a file that is no render, ConfigError or Problems for words that say nothing of a picture.
    """
    record, changes = read_render(image), value_of(_changes(words))
    if "lora" not in changes.matrix:
        raise_together(_unplaced(record, image))
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", image.stem)[:40]
    name = f"again_{stem}_{digest_of([record.request_id, sorted(words)])[:8]}"
    conf = results / name / "conf"
    files = {
        "experiment": _experiment(name, image, record, changes, results),
        "prompts": {"prompts": [_prompt(record, changes.prompt)]},
        "lora": _lora(record),
    }
    for group, content in files.items():
        with atomic(conf / group / f"{name}.yaml") as temporary:
            temporary.write_text(
                f"# Written by darkroom again, for {image.name}\n{yaml_text(content)}", encoding="utf-8"
            )
    return Again(name, (searching([conf.absolute()]), *changes.overrides), bool(words))


def forget_unbegun(again: Again, results: Path) -> None:
    """Take back what was written, where its run was refused: nothing but its conf/ is there."""
    folder = results / again.name
    if [path.name for path in folder.iterdir()] == ["conf"]:
        shutil.rmtree(folder)


def _changes(words: Sequence[str]) -> Reading[_Changes]:
    found = _Changes()
    for word in words:
        key, is_assigned, text = word.partition("=")
        if not is_assigned:
            yield ConfigError(f"{word}: expected key=value, such as seed=7")
        elif key in _PROMPT:
            found.prompt[key] = yield from _value(key, key, text)
        elif key in _CHOICES:
            found.matrix[key] = [text]
        elif key.startswith(_STRENGTH):
            value = yield from _value(key, _STRENGTH.rstrip("."), text)
            found.matrix[key] = [value]
        elif key.startswith(_SECTIONS):
            found.overrides.append(word)
        else:
            yield ConfigError(f"{key}: unknown key; {answer(key, [*_PROMPT, *_CHOICES])}, or model.…, output.…")
    return found


def _value(typed: str, key: str, text: str) -> Reading[Any]:
    """What YAML makes of it, as a prompt has that key; a text stays one. `typed`: the key as a person wrote it."""
    if key in _TEXTS or key.startswith("ctrl_img"):
        return text
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        yield ConfigError(f"{typed}: expected a value, got {text!r}")
        return None
    yield from read_setting(Prompt, key, value, Origin("", ((key, typed),)), key)
    return value


def _experiment(name: str, image: Path, record: EmbeddedRecord, changes: _Changes, results: Path) -> Mapping[str, Any]:
    row, title = record.embedded_row(), record.request.title
    matrix = {"model": [title.model], "lora": [name if record.loras else "none"], "prompts": [name]}
    output = {"format": format_of(image), **_quality(record, results)}
    model = {} if "model" in changes.matrix else model_settings(row)
    if "lora" in changes.matrix or any(line.startswith("model.quantize") for line in changes.overrides):
        model.pop("lora_merge", None)  # it follows from them
    return {"matrix": matrix | changes.matrix, "output": output, **({"model": model} if model else {})}


def _quality(record: EmbeddedRecord, results: Path) -> dict[str, Any]:
    """Which no record has: as the picture's experiment was written, while it is there."""
    title = record.request.title
    try:
        planned = PlannedCombination.read(ExperimentFolder(results / title.experiment).requests(title.names))
    except StoreError:
        return {}
    return {"quality": planned.output["quality"]}


def _prompt(record: EmbeddedRecord, changes: Mapping[str, Any]) -> dict[str, Any]:
    entry = prompt_entry(record.embedded_row())
    entry["network_multiplier"] = _strengths(record)[1]
    if record.request.asked.trigger_word:
        entry["trigger_word"] = record.request.asked.trigger_word
    if "prompt" in changes or "prompt_embeds" in changes:  # one takes the place of the other
        entry = {key: value for key, value in entry.items() if key not in ("prompt", "prompt_embeds")}
    if "ctrl_img" in changes and "ctrl_img_1" in entry:
        entry["ctrl_img_1"] = changes["ctrl_img"]
        changes = {key: value for key, value in changes.items() if key != "ctrl_img"}
    return {**entry, **changes}


def _lora(record: EmbeddedRecord) -> Mapping[str, Any]:
    strengths, _ = _strengths(record)
    loras = [
        {"path": use.path, "network_multiplier": strength}
        for use, strength in zip(record.loras, strengths, strict=True)
    ]
    is_foreign = record.request.adapters.allow_foreign_lora
    return {"loras": loras, **({"allow_foreign_lora": True} if is_foreign else {})}


def _unplaced(record: EmbeddedRecord, image: Path) -> Iterator[ConfigError]:
    """Files that a public record knows by their names alone, and that do not lie here."""
    for use in record.loras:
        if Path(use.path).name == use.path and not Path(use.path).exists():
            yield ConfigError(
                f"{image}: its record does not say in which folder {use.path} lies; go there, or lora=NAME takes one "
                "of conf/lora/"
            )


def _strengths(record: EmbeddedRecord) -> tuple[list[float], float]:
    """Each file's own and the prompt's, whose products are exactly those in effect."""
    in_effect, of_prompt = [use.network_multiplier for use in record.loras], record.request.asked.network_multiplier
    if of_prompt == 0:
        return [1.0] * len(in_effect), 0.0
    own = [own_strength(Lora(use.path, use.network_multiplier), of_prompt) for use in record.loras]
    if [strength * of_prompt for strength in own] == in_effect:
        return own, of_prompt
    return in_effect, 1.0

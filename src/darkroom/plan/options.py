"""The options of the axes as schema dataclasses, each read once. Knows not what is done with them.

An option with interpolations depends on what it may see: a LoRA the model, a prompt set the model and the LoRA. It is
read once for each of those; every other option once in all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from darkroom.errors import ConfigError
from darkroom.plan.compose import Conf, Option, Visible
from darkroom.plan.reader import read
from darkroom.plan.schema import AXIS_GROUPS, LoraStack, Model, PromptSet

T = TypeVar("T")
_Seen = tuple[str, tuple[str, ...], Any]  # group, names that its option depends on, its values


class Options:
    """Every method gives None where the option, or one that it may see, has a problem; `problems` holds it then."""

    def __init__(self, conf: Conf, names: Mapping[str, tuple[str, ...]], problems: list[ConfigError]) -> None:
        self._problems = problems
        self._output = Visible("output", conf.root["output"])
        self._read: dict[tuple[str, ...], Any] = {}
        self._visible: dict[tuple[str, ...], Visible] = {}
        self._options: dict[tuple[str, str], Option] = {}
        for group in AXIS_GROUPS:
            for name in names[group]:
                try:
                    self._options[group, name] = conf.option(group, name)
                except ConfigError as error:
                    problems.append(error)

    def model(self, model: str) -> Model | None:
        return self._reading(Model, "model", (model,), [])

    def lora(self, model: str, lora: str) -> LoraStack | None:
        chosen = self.model(model)
        if chosen is None:
            return None
        return self._reading(LoraStack, "lora", (model, lora), [("model", (model,), chosen)])

    def prompts(self, model: str, lora: str, prompts: str) -> PromptSet | None:
        chosen, stack = self.model(model), self.lora(model, lora)
        if chosen is None or stack is None:
            return None
        seen = [("model", (model,), chosen), ("lora", (model, lora), stack)]
        return self._reading(PromptSet, "prompts", (model, lora, prompts), seen)

    def option(self, group: str, name: str) -> Option:
        return self._options[group, name]

    def key(self, group: str, names: tuple[str, ...]) -> tuple[str, ...]:
        """The names that a reading depends on: its own, and those that it may see if it is interpolated."""
        return names if self._options[group, names[-1]].is_interpolated else names[-1:]

    def _reading(self, cls: type[T], group: str, names: tuple[str, ...], seen: Sequence[_Seen]) -> T | None:
        if (group, names[-1]) not in self._options:
            return None
        key = (group, *self.key(group, names))
        if key not in self._read:
            self._read[key] = self._resolved(cls, self._options[group, names[-1]], seen)
        reading: T | None = self._read[key]
        return reading

    def _resolved(self, cls: type[T], option: Option, seen: Sequence[_Seen]) -> T | None:
        try:
            content = option.resolved([self._output, *(self._view(*view) for view in seen)])
        except ConfigError as error:
            self._problems.append(error)
            return None
        return read(cls, content, option.origin, self._problems)

    def _view(self, group: str, names: tuple[str, ...], value: Any) -> Visible:
        key = (group, *self.key(group, names))
        if key not in self._visible:
            values = asdict(value)
            if group == "lora" and values["trigger_word"] is None:
                values["trigger_word"] = ""  # null would come out as the word None inside a prompt
            self._visible[key] = Visible(group, values)
        return self._visible[key]


def mentions_trigger_word(option: Option) -> bool:
    """True for a set that takes the LoRA's trigger word by interpolation instead of [trigger]."""
    return option.is_interpolated and "lora.trigger_word" in str(option.content)

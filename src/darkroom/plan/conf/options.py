"""The options of the axes as schema dataclasses, each read once.

An option with interpolations depends on what it may see: a LoRA the model, a prompt set the model and the LoRA. It is
read once for each of those; every other option once in all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from darkroom.errors import ConfigError, Reading
from darkroom.plan.conf.compose import Conf, Option, Visible
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.prompt_set import Sheet, read_sheet
from darkroom.plan.conf.reader import read
from darkroom.plan.conf.schema import AXIS_GROUPS, LoraStack, Model

_READERS: Mapping[str, Callable[[Any, Origin], Reading[Any]]] = {
    "model": partial(read, Model),
    "lora": partial(read, LoraStack),
    "prompts": read_sheet,
}
_Seen = tuple[str, tuple[str, ...], Any]  # group, names that its option depends on, its values or None


class Options:
    """Each option is read once, and its errors are yielded then; whoever asks for it later gets None.

    `loras`: options of the axis lora that are known already, by name.
    """

    def __init__(self, conf: Conf, loras: Mapping[str, Option]) -> None:
        self._conf = conf
        self._loras = loras
        self._read: dict[tuple[str, ...], Any] = {}
        self._visible: dict[tuple[str, ...], Visible] = {}
        self._options: dict[tuple[str, str], Option] = {}

    def open(self, names: Mapping[str, tuple[str, ...]]) -> Reading[None]:
        """The options that the axes name; what depends on no other one is read at once."""
        for group in AXIS_GROUPS:
            for name in names[group]:
                try:
                    known = self._loras.get(name) if group == "lora" else None
                    option = self._options[group, name] = known or self._conf.option(group, name)
                except ConfigError as error:
                    yield error
                    continue
                if not option.is_interpolated:
                    yield from self._read_once(group, (name,), [])

    def model(self, model: str) -> Reading[Model | None]:
        chosen: Model | None = yield from self._read_once("model", (model,), [])
        return chosen

    def lora(self, model: str, lora: str) -> Reading[LoraStack | None]:
        seen = [("model", (model,), (yield from self.model(model)))]
        stack: LoraStack | None = yield from self._read_once("lora", (model, lora), seen)
        return stack

    def prompts(self, model: str, lora: str, prompts: str) -> Reading[Sheet | None]:
        seen: list[_Seen] = [("model", (model,), (yield from self.model(model)))]
        seen += [("lora", (model, lora), (yield from self.lora(model, lora)))]
        sheet: Sheet | None = yield from self._read_once("prompts", (model, lora, prompts), seen)
        return sheet

    def option(self, group: str, name: str) -> Option:
        return self._options[group, name]

    def key(self, group: str, names: tuple[str, ...]) -> tuple[str, ...]:
        """The names that a reading depends on: its own, and those that it may see if it is interpolated."""
        return names if self._options[group, names[-1]].is_interpolated else names[-1:]

    def _read_once(self, group: str, names: tuple[str, ...], seen: Sequence[_Seen]) -> Reading[Any]:
        option = self._options.get((group, names[-1]))
        if option is None or (option.is_interpolated and any(value is None for _, _, value in seen)):
            return None
        key = (group, *self.key(group, names))
        if key not in self._read:
            self._read[key] = yield from self._resolved(option, seen if option.is_interpolated else [])
        return self._read[key]

    def _resolved(self, option: Option, seen: Sequence[_Seen]) -> Reading[Any]:
        try:
            content = option.resolved([*self._conf.visible, *(self._view(*view) for view in seen)])
        except ConfigError as error:
            yield error
            return None
        return (yield from _READERS[option.group](content, option.origin))

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

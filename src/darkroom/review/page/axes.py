"""The axes of a page: what varies between its pictures, as people call it, and where each lies to begin with.

`axes_of` takes a PicturePlace for each picture, whatever the page shows of it: a render, or a pair with its preview.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from darkroom.lora_files.training.file_name import read_option

ROWS, COLUMNS, SECTIONS = "rows", "columns", "sections"  # values of `placement`; the page has "hidden" too
NO_LORA = "none"  # the name of the base model in the axis lora

_TITLES = {"index": "prompt", "prompts": "prompt set", "guidance_scale": "guidance"}
_STRENGTH = "network_multiplier"
_NAMES, _DOWN = ("model", "lora", "step", "prompts"), ("index", "prompt", "seed")
_LEAST_PREFIX = 3  # words that all prompts begin with, below which they are not said apart


@dataclass(frozen=True, kw_only=True)
class PicturePlace:
    """Which picture of its experiment one is. `prompt`: what that is called; `axes`: further ones of the matrix."""

    model: str
    lora: str
    prompts: str
    index: int
    prompt: str
    step: int | None = None  # of the training; None where at most the name of the LoRA says it
    axes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Axis:
    """One thing that varies. `codes[i]` is the position of picture i's value in `values`, `placement` where it lies.

    `index` is the prompt within its set, so that one prompt with different trigger words stays one value. `prefix`: the
    words that all values begin with, which a page says once.
    """

    name: str
    title: str  # for people
    values: tuple[str, ...]
    codes: tuple[int, ...]
    placement: str = ""
    prefix: str = ""


def axes_of(places: Sequence[PicturePlace]) -> tuple[Axis, ...]:
    """The axes with more than one value: model, lora, step, prompt set, prompt, then the further ones in their order.

    The checkpoints of one training differ by their step alone, and then there is no axis lora. LoRAs with names of
    their own that are all of one step have no axis of it.
    """
    further = list(dict.fromkeys(name for place in places for name in place.axes))
    axes = [
        _axis("model", places, lambda place: place.model),
        _axis("lora", places, _run, lambda place: (place.lora != NO_LORA, _run(place))),
        _axis("step", places, _step, lambda place: -1 if (step := _step_of(place)) is None else step),
        _axis("prompts", places, lambda place: place.prompts),
        _axis("index", places, lambda place: place.prompt, lambda place: (place.prompts, place.index)),
        *(_further_axis(name, places) for name in further),
    ]
    steps = {_step_of(place) for place in places} - {None}
    needless = "lora" if _are_of_one_run(places) else "step" if len(steps) == 1 else None
    return _placed([axis for axis in axes if len(axis.values) > 1 and axis.name != needless])


def _run(place: PicturePlace) -> str:
    """The LoRA's name, without the step that the names of a training's checkpoints end with."""
    run, step = read_option(place.lora)
    return run if step == _step_of(place) else place.lora


def _step_of(place: PicturePlace) -> int | None:
    """None without a LoRA. By its option's name where only a preview is left, which may not say it."""
    if place.lora == NO_LORA:
        return None
    return read_option(place.lora).step if place.step is None else place.step


def _step(place: PicturePlace) -> str:
    step = _step_of(place)
    return str(step) if step is not None else NO_LORA if place.lora == NO_LORA else ""


def _are_of_one_run(places: Sequence[PicturePlace]) -> bool:
    """True where the step alone says which LoRA a picture has, or that it has none; a name of its own says more."""
    if all(_run(place) == place.lora for place in places):
        return False
    runs = {_run(place) for place in places} - {NO_LORA}
    by_step = {(_step_of(place), place.lora) for place in places}
    return len(runs) == 1 and len(by_step) == len({step for step, _ in by_step}) > 1


def prefix_of(texts: Sequence[str]) -> str:
    """The words that all begin with, if they are worth saying once; none of the texts is left empty.

    >>> prefix_of(["a photo of sks, at dawn", "a photo of sks, in a red coat"])
    'a photo of sks, '
    """
    split = [re.findall(r"\S+\s*", text) for text in texts]
    shared = 0
    for words in zip(*(words[:-1] for words in split), strict=False):
        if len(set(words)) > 1:
            break
        shared += 1
    return "".join(split[0][:shared]) if len(texts) > 1 and shared >= _LEAST_PREFIX else ""


def _axis(
    name: str,
    places: Sequence[PicturePlace],
    label: Callable[[PicturePlace], str],
    key: Callable[[PicturePlace], Any] | None = None,
) -> Axis:
    """An axis whose values are the distinct keys (the labels if none), in the order of the keys."""
    keys = [(key or label)(place) for place in places]
    labels = {found: label(place) for found, place in zip(reversed(keys), reversed(places), strict=True)}
    position = {found: number for number, found in enumerate(sorted(labels))}
    values = tuple(labels[found] for found in position)
    prefix = prefix_of(values) if name in ("index", "prompt") else ""
    return Axis(name, title_of(name), values, tuple(position[found] for found in keys), prefix=prefix)


def title_of(name: str) -> str:
    """What people call an axis.

    >>> title_of("network_multiplier.sks")
    'strength of sks'
    """
    whole, _, file = name.partition(".")
    if whole == _STRENGTH:
        return f"strength of {file}" if file else "strength"
    return _TITLES.get(name, name.replace("_", " "))


def _further_axis(name: str, places: Sequence[PicturePlace]) -> Axis:
    """An axis of the matrix: numbers by size before texts; an image without it comes first, unnamed."""

    def value(place: PicturePlace) -> Any:
        return place.axes.get(name)

    def key(place: PicturePlace) -> tuple[int, float, str]:
        found = value(place)
        if isinstance(found, int | float) and not isinstance(found, bool):
            return (1, found, "")
        return (0 if found is None else 2, 0, label(place))

    def label(place: PicturePlace) -> str:
        found = value(place)
        return found if isinstance(found, str) else "" if found is None else json.dumps(found, ensure_ascii=False)

    return _axis(name, places, label, key)


def _is_strength(name: str) -> bool:
    """Of a whole LoRA, or of one file of its stack."""
    return name.split(".")[0] == _STRENGTH


def _placed(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """The layout to begin with: prompts and seeds down, LoRAs, steps and strengths across, the rest in sections.

    Without LoRAs, steps and strengths the first further axis goes across, else the models, else the seeds.
    """
    names = [axis.name for axis in axes]
    further = [name for name in names if name not in (*_NAMES, *_DOWN) and not _is_strength(name)]
    across: list[str] = [name for name in names if name in ("lora", "step") or _is_strength(name)]
    across = across or [name for name in (*further, "model", "seed") if name in names][:1]

    def placement(name: str) -> str:
        return COLUMNS if name in across else ROWS if name in _DOWN else SECTIONS

    return tuple(replace(axis, placement=placement(axis.name)) for axis in axes)

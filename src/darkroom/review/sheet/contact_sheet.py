"""Pictures as a contact sheet: its axes, where each is laid, its columns by code."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.request import Request

_NAMES = ("model", "lora", "prompts")
_SETTINGS: Mapping[str, Callable[[Request], str]] = {  # of a prompt, as people read them
    "neg": lambda request: request.text.neg,
    "guidance_scale": lambda request: f"{request.sampling.guidance_scale:g}",
    "sample_steps": lambda request: str(request.sampling.sample_steps),
    "size": lambda request: f"{request.sampling.width}×{request.sampling.height}",
}


@dataclass(frozen=True)
class Axis:
    """One thing that varies between images. `codes[i]` is image i's position in `values`, `placement` where it lies.

    The axis `index` is the prompt within its set, so that one prompt with different trigger words stays one value.
    """

    name: str
    values: tuple[str, ...]
    codes: tuple[int, ...]
    placement: str = ""  # rows | columns | sections


def axes_of(requests: Sequence[Request]) -> tuple[Axis, ...]:
    """The axes with more than one value: model, lora, prompts, index, then the further ones in the matrix's order."""
    further = list(dict.fromkeys(name for request in requests for name, _ in request.title.axes))
    axes = [
        _axis("model", requests, lambda request: request.title.model),
        _axis("lora", requests, lambda request: request.title.lora, _none_first),
        _axis("prompts", requests, lambda request: request.title.prompts),
        _axis("index", requests, _prompt_label(requests, further), _prompt_of),
        *(_further_axis(name, requests) for name in further),
    ]
    return _placed([axis for axis in axes if len(axis.values) > 1])


def _none_first(request: Request) -> tuple[bool, str]:
    return bool(request.adapters.loras), request.title.lora


def _prompt_of(request: Request) -> tuple[str, int]:
    return request.title.prompts, request.title.index


def _prompt_label(requests: Sequence[Request], axes: Sequence[str]) -> Callable[[Request], str]:
    """What to call a request's prompt: its text or file, its reference images, and what it sets otherwise than most.

    Without these some prompts would read alike. What is one of `axes` is shown as such, and what varies within a
    prompt, as a size does between models, is not the prompt's own.
    """
    read = {name: value for name, value in _SETTINGS.items() if name not in axes and _is_of_prompts(value, requests)}
    usual = {name: Counter(map(value, requests)).most_common(1)[0][0] for name, value in read.items()}

    def label(request: Request) -> str:
        text = request.asked.prompt_template or (request.text.prompt_embeds or "").rpartition("/")[2]
        images = [image.path.rpartition("/")[2] for image in request.sampling.ctrl_images]
        shown = [f"{text} [{', '.join(images)}]" if images else text]
        own = [(name, value(request)) for name, value in read.items() if value(request) != usual[name]]
        return " · ".join([*shown, *(f"{name}: {said or 'none'}" for name, said in own)])

    return label


def _is_of_prompts(value: Callable[[Request], str], requests: Sequence[Request]) -> bool:
    """True for a setting that each prompt has one value of."""
    found = {(*_prompt_of(request), value(request)) for request in requests}
    return len(found) == len({(prompts, index) for prompts, index, _ in found})


def _axis(
    name: str,
    requests: Sequence[Request],
    label: Callable[[Request], str],
    key: Callable[[Request], Any] | None = None,
) -> Axis:
    """An axis whose values are the distinct keys (the labels if none), in the order of the keys."""
    keys = [(key or label)(request) for request in requests]
    labels = {found: label(request) for found, request in zip(reversed(keys), reversed(requests), strict=True)}
    position = {found: number for number, found in enumerate(sorted(labels))}
    return Axis(name, tuple(labels[found] for found in position), tuple(position[found] for found in keys))


def _further_axis(name: str, requests: Sequence[Request]) -> Axis:
    """An axis of the matrix: numbers by size before texts; an image without it comes first, unnamed."""

    def value(request: Request) -> Any:
        return dict(request.title.axes).get(name)

    def key(request: Request) -> tuple[int, float, str]:
        found = value(request)
        if isinstance(found, int | float) and not isinstance(found, bool):
            return (1, found, "")
        return (0 if found is None else 2, 0, label(request))

    def label(request: Request) -> str:
        found = value(request)
        return found if isinstance(found, str) else "" if found is None else json.dumps(found, ensure_ascii=False)

    return _axis(name, requests, label, key)


def _is_strength(name: str) -> bool:
    """Of a whole LoRA, or of one file of its stack."""
    return name.split(".")[0] == "network_multiplier"


def _placed(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """The layout to begin with: prompts and seeds down, LoRAs and strengths across, the rest in sections.

    Without LoRAs and strengths the first further axis goes across, else the models, else the seeds.
    """
    names = [axis.name for axis in axes]
    further = [name for name in names if name not in (*_NAMES, "index", "prompt", "seed") and not _is_strength(name)]
    across: list[str] = [name for name in names if name == "lora" or _is_strength(name)]
    across = across or [name for name in (*further, "model", "seed") if name in names][:1]

    def placement(name: str) -> str:
        return "columns" if name in across else "rows" if name in ("index", "prompt", "seed") else "sections"

    return tuple(Axis(axis.name, axis.values, axis.codes, placement(axis.name)) for axis in axes)


def coded(values: Sequence[Any]) -> dict[str, Any]:
    """A column as its distinct values and a code for each row; without codes where all are equal or all differ."""
    keys = [_key(value) for value in values]
    distinct = dict(zip(reversed(keys), reversed(values), strict=True))
    if len(distinct) == len(values) and len(values) > 1:
        return {"values": list(values)}
    position = {key: number for number, key in enumerate(distinct)}
    column: dict[str, Any] = {"values": list(distinct.values())}
    return column if len(distinct) == 1 else column | {"codes": [position[key] for key in keys]}


def _key(value: Any) -> Any:
    """Equal for equal values of one type only: 1 is not 1.0, and not True."""
    return json.dumps(value, sort_keys=True) if isinstance(value, list | dict) else (type(value), value)

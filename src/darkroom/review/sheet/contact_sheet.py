"""Requests as a contact sheet: where each picture lies, and the columns by code."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from darkroom.request.request import Request
from darkroom.review.page.axes import PicturePlace
from darkroom.review.page.training_step import step_of

_SETTINGS: Mapping[str, Callable[[Request], str]] = {  # of a prompt, as people read them
    "neg": lambda request: request.text.neg,
    "guidance_scale": lambda request: f"{request.sampling.guidance_scale:g}",
    "sample_steps": lambda request: str(request.sampling.sample_steps),
    "size": lambda request: f"{request.sampling.width}×{request.sampling.height}",
}


def places_of(requests: Sequence[Request]) -> list[PicturePlace]:
    """Where each picture lies."""
    further = list(dict.fromkeys(name for request in requests for name, _ in request.title.axes))
    label = _prompt_label(requests, further)
    return [
        PicturePlace(
            model=request.title.model,
            lora=request.title.lora,
            prompts=request.title.prompts,
            index=request.title.index,
            prompt=label(request),
            step=step_of(request),
            axes=dict(request.title.axes),
        )
        for request in requests
    ]


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

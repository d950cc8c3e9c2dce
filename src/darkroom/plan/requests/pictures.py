"""A prompt set on one model: what each picture asks for before a LoRA is known.

Of several levels the first that sets a value counts: axis of the matrix, prompt, defaults of the set, model.defaults.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.errors import ConfigError, Reading
from darkroom.plan.conf.families import REFERENCE_KEYS
from darkroom.plan.conf.prompt_set import Entry, Sheet
from darkroom.plan.conf.schema import Model, PromptSet, Settings
from darkroom.plan.requests.control_inputs import Conditions, ControlInputs
from darkroom.plan.requests.matrix import GridPoint
from darkroom.plan.requests.model_values import guidance_of
from darkroom.request import sizes
from darkroom.request.parts import CFG_ABOVE, Asked, ReferenceImage, Remarks, Sampling, Text

_TEMPLATE = re.compile(r"\{[^{}]*\|[^{}]*\}|(?<!\w)__[\w/*-]+__(?!\w)")  # {red|green}, __colour__


@dataclass(frozen=True)
class Picture:
    """One image of a set, whatever the LoRA: its request as far as model and prompt decide it."""

    index: int
    point: GridPoint
    image_name: str
    sampling: Sampling
    text: Text  # with [trigger] as it was written
    own_trigger_word: str | None  # comes before the LoRA's
    set_trigger_word: str | None  # comes after the LoRA's
    asked: Asked
    remarks: Remarks

    @property
    def strength(self) -> float:
        """Multiplies the strength of each file of the LoRA's stack."""
        return self.asked.network_multiplier


def pictures(
    sheet: Sheet, model: Model, points: Sequence[GridPoint], drawn_for: Sequence[str]
) -> Reading[list[Picture]]:
    """Every prompt at every point, prompt by prompt. `drawn_for`: experiment and set, on which a seed of -1 depends."""
    made, conditions = [], Conditions(model.family)
    for index, entry in sheet.entries.items():
        for point in points:
            try:
                made.append((yield from _picture(index, entry, sheet.common, model, point, drawn_for, conditions)))
            except ConfigError as error:
                yield error
    return made


def _picture(
    index: int,
    entry: Entry,
    common: PromptSet,
    model: Model,
    point: GridPoint,
    drawn_for: Sequence[str],
    conditions: Conditions,
) -> Reading[Picture]:
    levels = (point.settings, entry.prompt, common.defaults)
    requested, size = _size(levels, model, entry.where)
    seed = _seed(_first("seed", levels), model.defaults.seed, index, point.seed_position, drawn_for)
    shown = yield from _shown(levels, point, entry, conditions)
    sampling = _sampling(levels, model, size, seed, shown)
    template = _first("prompt", (point.settings, entry.prompt), "")
    neg = _first("neg", levels, model.defaults.neg)
    return Picture(
        index=index,
        point=point,
        image_name=f"{index:03d}_{seed}{point.label}",
        sampling=sampling,
        text=Text(prompt=template, neg=neg, prompt_embeds=entry.prompt.prompt_embeds),
        own_trigger_word=_first("trigger_word", levels[:2]),
        set_trigger_word=_first("trigger_word", (common.defaults, common)),
        asked=Asked(
            prompt_template=template,
            drawn_from=entry.template if point.settings.prompt is None else None,
            width_requested=requested[0],
            height_requested=requested[1],
            network_multiplier=_first("network_multiplier", levels, 1.0),
        ),
        remarks=Remarks(
            not_comparable=shown.not_comparable,
            warnings=(
                *_overruled(point, entry),
                *_warnings(model, requested, sampling, neg),
                *shown.warnings,
                *entry.notes,
                *(_undrawn(template) if entry.template is None else ()),
            ),
        ),
    )


def _sampling(
    levels: Sequence[Settings], model: Model, size: tuple[int, int], seed: int, shown: ControlInputs
) -> Sampling:
    return Sampling(
        width=size[0],
        height=size[1],
        seed=seed,
        sample_steps=_first("sample_steps", levels, model.defaults.sample_steps),
        guidance_scale=_first("guidance_scale", levels, model.defaults.guidance_scale),
        guidance_rule=model.guidance_rule,
        schedule=model.schedule,
        timestep_rounding=model.timestep_rounding,
        noise_device=model.noise_device,
        ctrl_images=tuple(map(ReferenceImage, shown.images)),
        ctrl_idx=shown.ctrl_idx,
    )


def _shown(
    levels: Sequence[Settings], point: GridPoint, entry: Entry, conditions: Conditions
) -> Reading[ControlInputs]:
    """The reference images in effect."""
    named = _references(levels)
    shown = yield from conditions.references(named, _first("ctrl_idx", levels), lambda key: _where(key, point, entry))
    if entry.prompt.prompt_embeds:
        if point.settings.prompt is not None:
            yield ConfigError(f"matrix.prompt: {entry.where} has prompt_embeds, which no text takes the place of")
        yield from conditions.embeds(entry.prompt.prompt_embeds, f"{entry.where}.prompt_embeds")
    return shown


def _overruled(point: GridPoint, entry: Entry) -> Iterator[str]:
    """What the prompt itself says otherwise than the matrix."""
    for axis, value in point.values:
        own = getattr(entry.prompt, axis, None)
        if axis == "prompt" and own and own != value:
            yield "the text of the prompt is overruled by the matrix"
        elif axis != "prompt" and own is not None and own != value:
            yield f"{axis} {own} of the prompt is overruled by the matrix: {value}"
        if axis in ("width", "height") and entry.prompt.aspect_ratio:
            yield f"aspect_ratio {entry.prompt.aspect_ratio} of the prompt is overruled by the matrix: {axis} {value}"


def _references(levels: Sequence[Settings]) -> dict[str, str | None]:
    """The reference images in effect, by key. ctrl_img and ctrl_img_1 name the same one: one level decides on both."""
    named = {key: _first(key, levels) for key in REFERENCE_KEYS}
    deciding = next((level for level in levels if level.ctrl_img or level.ctrl_img_1), None)
    return {**named, "ctrl_img": deciding.ctrl_img, "ctrl_img_1": deciding.ctrl_img_1} if deciding else named


def _where(key: str, point: GridPoint, entry: Entry) -> str:
    """Which line of conf/ gives a prompt this setting."""
    if getattr(point.settings, key) is not None:
        return f"matrix.{key}"
    return f"{entry.where}.{key}" if getattr(entry.prompt, key) is not None else f"{entry.where} by defaults.{key}"


def _first(key: str, levels: Sequence[Settings | PromptSet], otherwise: Any = None) -> Any:
    return next((value for level in levels if (value := getattr(level, key)) is not None), otherwise)


def _size(levels: Sequence[Settings], model: Model, where: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Requested and effective size. A ratio counts unless a stronger level gives width or height."""
    width, height = _first("width", levels, model.defaults.width), _first("height", levels, model.defaults.height)
    divisor = model.resolution_divisor
    deciding = next((level for level in levels if level.aspect_ratio or level.width or level.height), None)
    if deciding is None or deciding.aspect_ratio is None:
        return (width, height), sizes.floored(width, height, divisor)
    size = sizes.of_aspect_ratio(deciding.aspect_ratio, width * height, divisor)
    if min(size) < sizes.LEAST or max(size) > sizes.MOST:
        fitting = sizes.into_range(size, deciding.aspect_ratio, divisor)
        raise ConfigError(
            f"{where}: aspect_ratio {deciding.aspect_ratio} with the pixels of {width}x{height} makes "
            f"{size[0]}x{size[1]}, out of range: {sizes.LEAST} to {sizes.MOST} in steps of {divisor}; "
            f"write width: {fitting[0]} and height: {fitting[1]} in its place"
        )
    return size, size


def _seed(chosen: int | None, base: int, index: int, position: int | None, drawn_for: Sequence[str]) -> int:
    """The seed chosen, else base + index; for -1 31 bits that depend on nothing but names and positions."""
    seed = chosen if chosen is not None else base
    if seed == -1:
        ticket = "\n".join([*drawn_for, str(index), "-" if position is None else str(position)])
        return int.from_bytes(hashlib.sha256(ticket.encode()).digest()[:4], "big") >> 1
    return seed if chosen is not None else base + index


def _undrawn(template: str) -> Iterator[str]:
    """What other tools would draw a text from."""
    if match := _TEMPLATE.search(template):
        yield f"{match[0]} stays as it is; a prompt that stands for several is one of the set's `templates`"


def _warnings(model: Model, requested: tuple[int, int], sampling: Sampling, neg: str) -> Iterator[str]:
    if requested != (sampling.width, sampling.height):
        yield (
            f"size {requested[0]}x{requested[1]} rendered as {sampling.width}x{sampling.height}: "
            f"sides are floored to a multiple of {model.resolution_divisor}"
        )
    guidance, guidance_scale = guidance_of(model), sampling.guidance_scale
    if neg and guidance == "embedded":
        yield "neg is not used: this model has its guidance embedded, and no negative side"
    elif neg and (guidance_scale <= CFG_ABOVE[model.guidance_rule] or guidance == "none"):
        yield f"neg is not used: it needs classifier-free guidance, got guidance_scale {guidance_scale}"
    elif "[trigger]" in neg:
        yield "[trigger] in neg stays as it is: it is replaced in prompts only"
    if guidance == "none" and guidance_scale != 1:
        yield f"guidance_scale {guidance_scale} has no effect: diffusers ignores it for a distilled model"
    elif model.distilled and guidance_scale > 1:
        yield (
            f"guidance_scale {guidance_scale} on a distilled model, which is made for 1.0: classifier-free guidance "
            "runs, as in the trainer"
        )

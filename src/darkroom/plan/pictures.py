"""A prompt set on one model: what each picture asks for before a LoRA is known. Knows not of LoRAs, Hydra or YAML.

Of several levels the first that sets a value counts: axis of the matrix, prompt, defaults of the set, model.defaults.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.errors import ConfigError, Reading
from darkroom.plan.conf import sizes
from darkroom.plan.conf.families import REFERENCE_KEYS
from darkroom.plan.conf.prompt_set import Entry, Sheet
from darkroom.plan.conf.schema import Model, PromptSet, Settings
from darkroom.plan.control_inputs import Conditions
from darkroom.plan.matrix import Point


@dataclass(frozen=True)
class Picture:
    """One image of a set, whatever the LoRA. `strength` multiplies the strength of each file of the LoRA's stack."""

    index: int
    point: Point
    image_name: str
    template: str  # "" where the prompt comes encoded
    prompt_embeds: str | None
    ctrl_images: tuple[str, ...]
    ctrl_idx: int | None
    own_trigger_word: str | None  # comes before the LoRA's
    set_trigger_word: str | None  # comes after the LoRA's
    neg: str
    size_requested: tuple[int, int]
    size: tuple[int, int]
    seed: int
    sample_steps: int
    guidance_scale: float
    strength: float
    warnings: tuple[str, ...]
    not_comparable: tuple[str, ...]


def pictures(sheet: Sheet, model: Model, points: Sequence[Point], lot: Sequence[str]) -> Reading[list[Picture]]:
    """Every prompt at every point, prompt by prompt. `lot`: what a draw of seeds belongs to, experiment and set."""
    made, conditions = [], Conditions(model.family)
    for index, entry in enumerate(sheet.entries):
        for point in points:
            try:
                made.append((yield from _picture(index, entry, sheet.common, model, point, lot, conditions)))
            except ConfigError as error:
                yield error
    return made


def _picture(
    index: int,
    entry: Entry,
    common: PromptSet,
    model: Model,
    point: Point,
    lot: Sequence[str],
    conditions: Conditions,
) -> Reading[Picture]:
    defaults = model.defaults
    levels = (point.settings, entry.prompt, common.defaults)
    size_requested, size = _size(levels, model, entry.where)
    seed = _seed(_first("seed", levels), defaults.seed, index, point.seed_position, lot)
    neg = _first("neg", levels, defaults.neg)
    guidance_scale = _first("guidance_scale", levels, defaults.guidance_scale)
    named = _references(levels)
    shown = yield from conditions.references(named, _first("ctrl_idx", levels), lambda key: _where(key, point, entry))
    if entry.prompt.prompt_embeds:
        yield from conditions.embeds(entry.prompt.prompt_embeds, f"{entry.where}.prompt_embeds")
    return Picture(
        index=index,
        point=point,
        image_name=f"{index:03d}_{seed}{point.label}",
        template=entry.prompt.prompt or "",
        prompt_embeds=entry.prompt.prompt_embeds,
        ctrl_images=shown.images,
        ctrl_idx=shown.ctrl_idx,
        own_trigger_word=_first("trigger_word", levels[:2]),
        set_trigger_word=_first("trigger_word", (common.defaults, common)),
        neg=neg,
        size_requested=size_requested,
        size=size,
        seed=seed,
        sample_steps=_first("sample_steps", levels, defaults.sample_steps),
        guidance_scale=guidance_scale,
        strength=_first("network_multiplier", levels, 1.0),
        warnings=(*_warnings(model, size_requested, size, neg, guidance_scale), *shown.warnings),
        not_comparable=shown.not_comparable,
    )


def _references(levels: Sequence[Settings]) -> dict[str, str | None]:
    """The reference images in effect, by key. ctrl_img and ctrl_img_1 name the same one: one level decides on both."""
    named = {key: _first(key, levels) for key in REFERENCE_KEYS}
    deciding = next((level for level in levels if level.ctrl_img or level.ctrl_img_1), None)
    return {**named, "ctrl_img": deciding.ctrl_img, "ctrl_img_1": deciding.ctrl_img_1} if deciding else named


def _where(key: str, point: Point, entry: Entry) -> str:
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
    if min(size) < 64 or max(size) > 4096:
        raise ConfigError(
            f"{where}: aspect_ratio {deciding.aspect_ratio} with the pixels of {width}x{height} "
            f"makes {size[0]}x{size[1]}, out of range: 64 to 4096"
        )
    return size, size


def _seed(chosen: int | None, base: int, index: int, position: int | None, lot: Sequence[str]) -> int:
    """The seed chosen, else base + index; for -1 31 bits that depend on nothing but names and positions."""
    seed = chosen if chosen is not None else base
    if seed == -1:
        ticket = "\n".join([*lot, str(index), "-" if position is None else str(position)])
        return int.from_bytes(hashlib.sha256(ticket.encode()).digest()[:4], "big") >> 1
    return seed if chosen is not None else base + index


def _warnings(
    model: Model, requested: tuple[int, int], size: tuple[int, int], neg: str, guidance_scale: float
) -> Iterator[str]:
    if requested != size:
        yield (
            f"size {requested[0]}x{requested[1]} rendered as {size[0]}x{size[1]}: "
            f"sides are floored to a multiple of {model.resolution_divisor}"
        )
    guidance = guidance_in_effect(model)
    if neg and guidance == "embedded":
        yield "neg is not used: this model has its guidance embedded, and no negative side"
    elif neg and (guidance_scale <= 1 or guidance == "none"):
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


def guidance_in_effect(model: Model) -> str:
    """cfg | embedded | none: diffusers runs no classifier-free guidance on a distilled model, the trainer does."""
    is_ignored = model.guidance == "cfg" and model.distilled and model.schedule == "diffusers"
    return "none" if is_ignored else model.guidance

"""Finds the control images of an ai-toolkit job's prompts, and checks by their headers that the model takes them.

A relative path began where the trainer ran, which nobody wrote down; a picture of another machine is known by its name.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PureWindowsPath

from darkroom.display import named
from darkroom.errors import ConfigError, ImageError, Reading
from darkroom.intake.aitk.prompts import SamplePrompt, SampleSheet
from darkroom.intake.roots import Roots
from darkroom.plan.conf.families import FAMILIES, REFERENCE_KEYS, check_image
from darkroom.request.parts import INPAINT


def with_images(sheet: SampleSheet, family: str, roots: Roots, where: str) -> Reading[SampleSheet]:
    """The sheet with paths that lead somewhere; a prompt whose image is missing or unusable is left out.

    `where`: the section, for messages. A path that leads out of the roots is an error.
    """
    prompts, left_out = [], {}
    for prompt in sheet.prompts:
        try:
            prompts.append((yield from _with_images(prompt, family, roots, f"{where}: prompt {prompt.index}")))
        except ImageError as error:
            left_out[prompt.index] = str(error)
    return replace(sheet, prompts=tuple(prompts), left_out={**sheet.left_out, **left_out})


def unused_images(sheet: SampleSheet, family: str, where: str) -> Iterator[str]:
    """A sentence for each image that a prompt names and the trainer does not look at."""
    for prompt in sheet.prompts:
        for key in REFERENCE_KEYS:
            if prompt.settings.get(key) and key not in FAMILIES[family].reference_keys:
                yield f"{where}: prompt {prompt.index}: {key} has no effect in the trainer's {family}"


def _with_images(prompt: SamplePrompt, family: str, roots: Roots, where: str) -> Reading[SamplePrompt]:
    """ImageError, at once, for an image that is missing or that the models cannot see."""
    settings = {key: value for key, value in prompt.settings.items() if key not in (*REFERENCE_KEYS, "ctrl_idx")}
    images = _seen(prompt, family)
    slot = prompt.settings.get("ctrl_idx", INPAINT) if images and FAMILIES[family].has_slots else None
    for key, written in images.items():
        try:
            path = _found(written, roots, f"{where}: {key}")
        except ConfigError as error:
            yield error
            continue
        settings[key] = check_image(str(path), family, slot).path
    if slot is not None:
        settings["ctrl_idx"] = slot
    return replace(prompt, settings=settings)


def _found(written: str, roots: Roots, where: str) -> Path:
    """The image where the job says, or by its name; ConfigError where that is outside, ImageError for none."""
    outside = None
    for spelled in dict.fromkeys((written, PureWindowsPath(written).as_posix())):
        if Path(spelled).is_absolute() and not os.path.exists(spelled):  # noqa: PTH110 no error for a long name
            continue
        try:
            path = roots.inside(spelled, where)
        except ConfigError as error:
            outside = error
            continue
        if os.path.exists(path):  # noqa: PTH110 as above
            return path
    namesakes = roots.namesakes(written)
    if len(namesakes) > 1:
        several = named([str(each) for each in namesakes])
        raise ImageError(f"control image {written}: there are several of its name below --root: {several}; leave one")
    if not namesakes and outside:
        raise outside
    if not namesakes:
        raise ImageError(f"control image {written} is missing; --root FOLDER names one below which its name is found")
    return namesakes[0]


def _seen(prompt: SamplePrompt, family: str) -> dict[str, str]:
    """By key of conf/ the images that the trainer shows the model: ctrl_img, or else ctrl_img_1, then the others."""
    given = {key: prompt.settings[key] for key in FAMILIES[family].reference_keys if prompt.settings.get(key)}
    first = given.pop("ctrl_img_1", None)
    return {"ctrl_img": first, **given} if first and "ctrl_img" not in given else given

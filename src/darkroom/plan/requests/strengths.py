"""The strength of one file of a LoRA's stack as an axis of the matrix: `network_multiplier.NAME`.

NAME is the file's, without folder and ending, or its number in the stack, from 1. A value takes the place of the file's
own network_multiplier; that of the prompt or of the axis `network_multiplier` multiplies it as ever.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from darkroom.errors import ConfigError
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.schema import LoraStack

WHOLE = "network_multiplier"  # the axis of a whole stack's strength
_PREFIX = f"{WHOLE}."

Strengths = tuple[tuple[str, float], ...]  # (NAME, value) of a point of the matrix


def is_of_file(axis: str) -> bool:
    """True for an axis `network_multiplier.NAME`."""
    return axis.startswith(_PREFIX) and axis != _PREFIX


def spelled_out(content: Mapping[str, Any]) -> dict[str, Any]:
    """The axes of a matrix, each by its own name.

    >>> spelled_out({"network_multiplier": {"sks": [0.5, 1]}, "seed": [1]})
    {'network_multiplier.sks': [0.5, 1], 'seed': [1]}
    """
    axes: dict[str, Any] = {}
    for axis, values in content.items():
        if axis == WHOLE and isinstance(values, Mapping) and values:
            axes |= {axis_of(name): each for name, each in values.items()}
        else:
            axes[axis] = values
    return axes


def strengths_of(values: Iterable[tuple[str, Any]]) -> Strengths:
    """Those of a point's values that are a file's strength."""
    return tuple((axis.removeprefix(_PREFIX), value) for axis, value in values if is_of_file(axis))


def axis_of(name: str) -> str:
    """network_multiplier.NAME"""
    return f"{_PREFIX}{name}"


def nowhere(names: Iterable[str], stacks: Sequence[LoraStack], origin: Origin) -> Iterator[ConfigError]:
    """A sentence for each name of a file that none of the stacks has."""
    for name in names:
        if stacks and all(position_of(name, stack) is None for stack in stacks):
            held = dict.fromkeys(f"{file} ({n})" for stack in stacks for n, file in enumerate(file_names(stack), 1))
            known = f"known, with their numbers: {', '.join(held)}" if held else "they have no files"
            yield ConfigError(f"{origin.at(f'matrix.{axis_of(name)}')}: no LoRA of the matrix has this file; {known}")


def stack_at(stack: LoraStack, strengths: Strengths) -> LoraStack:
    """The stack with the strengths that a point gives to its files; names of other stacks' files are passed over."""
    loras = list(stack.loras)
    for name, value in strengths:
        if (position := position_of(name, stack)) is not None:
            loras[position] = replace(loras[position], network_multiplier=value)
    return replace(stack, loras=tuple(loras)) if strengths else stack


def position_of(name: str, stack: LoraStack) -> int | None:
    """Where in the stack the file of a name or a number is; None where there is none, or several of that name."""
    names = file_names(stack)
    if names.count(name) == 1:
        return names.index(name)
    return int(name) - 1 if name.isdecimal() and 0 < int(name) <= len(names) else None


def file_names(stack: LoraStack) -> list[str]:
    """Without folders and endings."""
    return [Path(lora.path).stem for lora in stack.loras]

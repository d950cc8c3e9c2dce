"""The experiment's matrix: which options and which further axes, less what is excluded. Knows not what options hold."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from darkroom.errors import ConfigError
from darkroom.names import name_fault
from darkroom.plan.conf.origin import Origin, suggestion
from darkroom.plan.conf.reader import read_setting
from darkroom.plan.conf.schema import AXIS_GROUPS, Settings

_FURTHER = tuple(field.name for field in fields(Settings))
_SAME_SETTING = {"width", "height"}  # what an axis aspect_ratio would decide as well


@dataclass(frozen=True)
class Point:
    """One value along each further axis, and how it reads in a file name."""

    values: tuple[tuple[str, Any], ...]  # (axis, value), in the matrix's order
    settings: Settings
    seed_position: int | None  # along the axis seed, if there is one
    label: str  # "_0.5_16-9": every axis but the seed; "" if there is none


@dataclass(frozen=True)
class Matrix:
    """The product of all axes: combinations of options, and points inside each."""

    options: Mapping[str, tuple[str, ...]]  # names of model, lora, prompts
    points: tuple[Point, ...]
    exclude: tuple[Mapping[str, Any], ...]

    def combinations(self) -> Iterator[tuple[tuple[str, str, str], tuple[Point, ...]]]:
        """(model, lora, prompts) and its points; combinations without a point are left out."""
        for names in itertools.product(*(self.options[group] for group in AXIS_GROUPS)):
            points = self._points(dict(zip(AXIS_GROUPS, names, strict=True)))
            if points:
                yield (names[0], names[1], names[2]), points

    def _points(self, names: Mapping[str, str]) -> tuple[Point, ...]:
        rules = [
            {axis: value for axis, value in rule.items() if axis not in names}
            for rule in self.exclude
            if all(names[group] == rule[group] for group in AXIS_GROUPS if group in rule)
        ]
        if not rules:
            return self.points
        return tuple(point for point in self.points if not any(_matches(rule, point) for rule in rules))


def read_matrix(
    content: Mapping[str, Any], exclude: Any, choices: Mapping[str, str], origin: Origin, problems: list[ConfigError]
) -> Matrix:
    """The matrix of an experiment; `choices` are the options of the groups it does not list.

    After a problem it has no points, but still the options, so that what is wrong with those can be said too.
    """
    before = len(problems)
    axes = {}
    for axis, values in content.items():
        if axis not in (*AXIS_GROUPS, *_FURTHER):
            known = suggestion(str(axis), (*AXIS_GROUPS, *_FURTHER))
            problems.append(ConfigError(f"{origin.at(f'matrix.{axis}')}: unknown axis; {known}"))
        elif not isinstance(values, list) or not values:
            problems.append(ConfigError(f"{origin.at(f'matrix.{axis}')}: expected a list of values, got {values!r}"))
        else:
            axes[axis] = _axis(axis, values, origin, problems)
    if "aspect_ratio" in axes and _SAME_SETTING & axes.keys():
        problems.append(ConfigError(f"{origin.at('matrix.aspect_ratio')}: cannot be an axis beside width or height"))
    axes = {**{group: (name,) for group, name in choices.items()}, **axes}
    options = {group: tuple(name for name in axes.get(group, ()) if not name_fault(name)) for group in AXIS_GROUPS}
    rules = _rules(exclude, axes, origin, problems) if len(problems) == before else ()
    if len(problems) > before:
        return Matrix(options, (), ())
    further = {axis: values for axis, values in axes.items() if axis not in AXIS_GROUPS}
    matrix = Matrix(options, tuple(_product(further)), rules)
    if next(matrix.combinations(), None) is None:
        problems.append(ConfigError(f"{origin.at('exclude')}: leaves out everything"))
    return matrix


def _axis(axis: str, values: Sequence[Any], origin: Origin, problems: list[ConfigError]) -> tuple[Any, ...]:
    checked = []
    for number, value in enumerate(values):
        place = f"matrix.{axis}[{number}]"
        if axis in AXIS_GROUPS:
            if fault := name_fault(value):
                problems.append(ConfigError(f"{origin.at(place)}: {fault}"))
        else:
            value = read_setting(Settings, axis, value, origin, problems, place)
        # Every seed of -1 is a draw of its own.
        if value is not None and value in checked and not (axis == "seed" and value == -1):
            problems.append(ConfigError(f"{origin.at(place)}: {value!r} is on the axis twice"))
        checked.append(value)
    return tuple(checked)


def _rules(
    exclude: Any, axes: Mapping[str, Sequence[Any]], origin: Origin, problems: list[ConfigError]
) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(exclude, list):
        problems.append(ConfigError(f"{origin.at('exclude')}: expected a list, got {exclude!r}"))
        return ()
    for number, rule in enumerate(exclude):
        place = f"exclude[{number}]"
        if not isinstance(rule, dict) or not rule:
            problems.append(ConfigError(f"{origin.at(place)}: expected axes and values, got {rule!r}"))
            continue
        for axis, value in rule.items():
            here = origin.at(f"{place}.{axis}")
            if axis not in axes:
                problems.append(ConfigError(f"{here}: not an axis of the matrix; {suggestion(str(axis), axes)}"))
            elif value not in axes[axis]:
                known = ", ".join(map(str, axes[axis]))
                problems.append(ConfigError(f"{here}: {value!r} is not on that axis: {known}"))
    return tuple(exclude)


def _product(axes: Mapping[str, Sequence[Any]]) -> Iterator[Point]:
    labels = {axis: _labels(axis, values) for axis, values in axes.items()}
    for positions in itertools.product(*(range(len(values)) for values in axes.values())):
        place = dict(zip(axes, positions, strict=True))
        values = tuple((axis, axes[axis][position]) for axis, position in place.items())
        label = "".join(f"_{labels[axis][position]}" for axis, position in place.items() if axis != "seed")
        yield Point(values, Settings(**dict(values)), place.get("seed"), label)


def _labels(axis: str, values: Sequence[Any]) -> list[str]:
    """Values as parts of file names; where two would read alike, the axis and the position instead."""
    labels = [re.sub(r"[^A-Za-z0-9.-]+", "-", str(value))[:40] for value in values]
    distinct = len({label.casefold() for label in labels}) == len(labels) and all(labels)
    return labels if distinct else [f"{axis.replace('_', '-')}{position}" for position in range(len(values))]


def _matches(rule: Mapping[str, Any], point: Point) -> bool:
    values = dict(point.values)
    return all(values[axis] == value for axis, value in rule.items())

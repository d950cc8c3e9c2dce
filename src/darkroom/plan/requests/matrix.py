"""The experiment's matrix: which options and which further axes, less what is excluded."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from darkroom.errors import ConfigError, Reading, if_sound
from darkroom.names import Names, name_fault
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.other_tools import answer
from darkroom.plan.conf.reader import entries_of, numbers_of, read_setting
from darkroom.plan.conf.schema import AXIS_GROUPS, Prompt, Settings
from darkroom.plan.requests.ranges import read_values
from darkroom.plan.requests.strengths import WHOLE, Strengths, is_of_file, spelled_out, strengths_of

if TYPE_CHECKING:
    from darkroom.plan.weights.lora_axis import LoraSeries

_FURTHER = ("prompt", *(field.name for field in fields(Settings)))
_SAME_SETTING = {"width", "height"}  # what an axis aspect_ratio would decide as well


@dataclass(frozen=True)
class GridPoint:
    """One value along each further axis, and how it reads in a file name."""

    values: tuple[tuple[str, Any], ...]  # (axis, value), in the matrix's order
    settings: Prompt  # what it gives to every prompt
    strengths: Strengths  # and to single files of a LoRA
    seed_position: int | None  # along the axis seed, if there is one
    label: str  # "_0.5_16-9": every axis but the seed; "" if there is none


@dataclass(frozen=True)
class Matrix:
    """The product of all axes: combinations of options, and points inside each."""

    options: Mapping[str, tuple[str, ...]]  # names of model, lora, prompts
    points: tuple[GridPoint, ...]
    exclude: tuple[Mapping[str, Any], ...]

    @property
    def strengths(self) -> tuple[str, ...]:
        """The names of files whose strength is an axis."""
        return tuple(name for name, _ in self.points[0].strengths) if self.points else ()

    def combinations(self) -> Iterator[tuple[Names, tuple[GridPoint, ...]]]:
        """Their names and points; combinations without a point are left out."""
        for names in itertools.product(*(self.options[group] for group in AXIS_GROUPS)):
            points = self._points(dict(zip(AXIS_GROUPS, names, strict=True)))
            if points:
                yield Names(*names), points

    def _points(self, names: Mapping[str, str]) -> tuple[GridPoint, ...]:
        rules = [
            {axis: value for axis, value in rule.items() if axis not in names}
            for rule in self.exclude
            if all(names[group] == rule[group] for group in AXIS_GROUPS if group in rule)
        ]
        if not rules:
            return self.points
        return tuple(point for point in self.points if not any(_matches(rule, point) for rule in rules))


def read_matrix(
    content: Mapping[str, Any], exclude: Any, series: Mapping[str, LoraSeries], origin: Origin
) -> Reading[Matrix]:
    """The matrix of an experiment, every group of options in it; `series`: what stands for several LoRAs, by its key.

    After an error it has no points, but still the options, so that what is wrong with those can be said too.
    """
    content = spelled_out(content)
    options = {group: _names(group, content[group], series) for group in AXIS_GROUPS}
    axes = yield from if_sound(_axes(content, series, origin))
    rules = None if axes is None else (yield from if_sound(_rules(exclude, axes, series, origin)))
    if axes is None or rules is None:
        return Matrix(options, (), ())
    further = {axis: values for axis, values in axes.items() if axis not in AXIS_GROUPS}
    matrix = Matrix(options, tuple(_product(further)), rules)
    if all(options.values()) and next(matrix.combinations(), None) is None:
        yield ConfigError(f"{origin.at('exclude')}: leaves out everything")
    return matrix


def _names(group: str, raw: Any, series: Mapping[str, LoraSeries]) -> tuple[str, ...]:
    """Of what stands on an axis of options, what can be one's name."""
    spread = _spread(entries_of(raw, f"matrix.{group}"), series)
    return tuple(name for _, name in spread if not name_fault(name))


def _spread(entries: Iterable[tuple[str, Any]], series: Mapping[str, LoraSeries]) -> list[tuple[str, Any]]:
    """Entries of an axis, each under its key; in place of a series all its values."""
    return [(key, each) for key, value in entries for each in (series[key].values if key in series else (value,))]


def _axes(
    content: Mapping[str, Any], series: Mapping[str, LoraSeries], origin: Origin
) -> Reading[dict[str, tuple[Any, ...]]]:
    axes = {}
    for axis, values in content.items():
        if axis in (*AXIS_GROUPS, *_FURTHER) or is_of_file(str(axis)):
            axes[axis] = yield from _axis(axis, values, series, origin)
        else:
            said = answer(str(axis), (*AXIS_GROUPS, *_FURTHER))
            yield ConfigError(f"{origin.at(f'matrix.{axis}')}: unknown axis; {said}")
    if "aspect_ratio" in axes and _SAME_SETTING & axes.keys():
        yield ConfigError(f"{origin.at('matrix.aspect_ratio')}: cannot be an axis beside width or height")
    return axes


_INSTEAD_OF_A_NAME = {  # where somebody wrote the thing itself
    "model": "; a path goes into conf/model/NAME.yaml, as checkpoint.repo or checkpoint.transformer",
    "prompts": '; it names files of conf/prompts/: texts are the axis prompt, matrix.prompt: ["a cat"]',
}


def _axis(axis: str, raw: Any, series: Mapping[str, LoraSeries], origin: Origin) -> Reading[tuple[Any, ...]]:
    checked: list[Any] = []
    setting = WHOLE if is_of_file(axis) else axis
    numbers = None if axis in AXIS_GROUPS else numbers_of(Prompt, setting)
    whole = f"matrix.{axis}"
    entries = [(whole, raw)] if whole in series else (yield from read_values(raw, origin, whole, numbers))
    for key, value in _spread(entries, series):
        if axis in AXIS_GROUPS:
            if fault := name_fault(value):
                cure = _INSTEAD_OF_A_NAME.get(axis, "") if isinstance(value, str) else ""
                yield ConfigError(f"{origin.at(key)}: {fault}{cure}")
        else:
            value = yield from read_setting(Prompt, setting, value, origin, key)
        # Every seed of -1 is a draw of its own.
        if value is not None and value in checked and not (axis == "seed" and value == -1):
            yield ConfigError(f"{origin.at(key)}: {value!r} is on the axis twice")
        checked.append(value)
    return tuple(checked)


def _rules(
    exclude: Any, axes: Mapping[str, Sequence[Any]], series: Mapping[str, LoraSeries], origin: Origin
) -> Reading[tuple[Mapping[str, Any], ...]]:
    if not isinstance(exclude, list):
        yield ConfigError(f"{origin.at('exclude')}: expected a list, got {exclude!r}")
        return ()
    rules: list[Mapping[str, Any]] = []
    for number, rule in enumerate(exclude):
        key = f"exclude[{number}]"
        if not isinstance(rule, dict) or not rule:
            yield ConfigError(f"{origin.at(key)}: expected axes and values, got {rule!r}")
            continue
        for axis, value in rule.items():
            here = origin.at(f"{key}.{axis}")
            if axis not in axes:
                yield ConfigError(f"{here}: not an axis of the matrix; {answer(str(axis), axes)}")
            elif value not in axes[axis] and not (axis == "lora" and _series_of(value, series)):
                known = ", ".join(map(str, axes[axis]))
                yield ConfigError(f"{here}: {value!r} is not on that axis: {known}")
        rules += _for_each_lora(rule, axes, series)
    return tuple(rules)


def _series_of(value: Any, series: Mapping[str, LoraSeries]) -> LoraSeries | None:
    """What a rule names as a whole, or names a value of that is not there: gone, or to come."""
    return next((each for each in series.values() if value == each.written or each.may_have(value)), None)


def _for_each_lora(
    rule: Mapping[str, Any], axes: Mapping[str, Sequence[Any]], series: Mapping[str, LoraSeries]
) -> list[Mapping[str, Any]]:
    """The rule; of a series that it names as a whole, one for each value that is there."""
    if "lora" not in rule or rule["lora"] in axes.get("lora", ()):
        return [rule]
    named = _series_of(rule["lora"], series)
    return [{**rule, "lora": value} for value in named.values] if named and rule["lora"] == named.written else []


def _product(axes: Mapping[str, Sequence[Any]]) -> Iterator[GridPoint]:
    labels = {axis: _labels(axis, values) for axis, values in axes.items()}
    for positions in itertools.product(*(range(len(values)) for values in axes.values())):
        position_on = dict(zip(axes, positions, strict=True))
        values = tuple((axis, axes[axis][position]) for axis, position in position_on.items())
        label = "".join(f"_{labels[axis][position]}" for axis, position in position_on.items() if axis != "seed")
        settings = Prompt(**{axis: value for axis, value in values if not is_of_file(axis)})
        yield GridPoint(values, settings, strengths_of(values), position_on.get("seed"), label)


def _labels(axis: str, values: Sequence[Any]) -> list[str]:
    """Values as parts of file names; where two would read alike, the axis and the position instead."""
    labels = [re.sub(r"[^A-Za-z0-9.-]+", "-", str(value))[:40] for value in values]
    distinct = len({label.casefold() for label in labels}) == len(labels) and all(labels)
    return labels if distinct else [f"{axis.replace('_', '-')}{position}" for position in range(len(values))]


def _matches(rule: Mapping[str, Any], point: GridPoint) -> bool:
    values = dict(point.values)
    return all(values[axis] == value for axis, value in rule.items())

"""Rows of a manifest as a contact sheet: its axes, where each is laid, its columns by code."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]

_NAMES = ("model", "lora", "prompts")
_SETTINGS: Mapping[str, Callable[[Row], str]] = {  # of a prompt, as people read them
    "neg": lambda row: row["neg"],
    "guidance_scale": lambda row: f"{row['guidance_scale']:g}",
    "sample_steps": lambda row: str(row["sample_steps"]),
    "size": lambda row: f"{row['width']}×{row['height']}",
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


def axes_of(rows: Sequence[Row]) -> tuple[Axis, ...]:
    """The axes with more than one value: model, lora, prompts, index, then the further ones in the matrix's order."""
    further = list(dict.fromkeys(axis["name"] for row in rows for axis in row["axes"]))
    axes = [
        _axis("model", rows, lambda row: row["model"]),
        _axis("lora", rows, lambda row: row["lora"], lambda row: (bool(row["loras"]), row["lora"])),
        _axis("prompts", rows, lambda row: row["prompts"]),
        _axis("index", rows, _prompt_label(rows, further), lambda row: (row["prompts"], row["index"])),
        *(_further_axis(name, rows) for name in further),
    ]
    return _placed([axis for axis in axes if len(axis.values) > 1])


def _prompt_label(rows: Sequence[Row], axes: Sequence[str]) -> Callable[[Row], str]:
    """What to call a row's prompt: its text or file, its reference images, and what it sets otherwise than most.

    Without these some prompts would read alike. What is one of `axes` is shown as such, and what varies within a
    prompt, as a size does between models, is not the prompt's own.
    """
    read = {name: value for name, value in _SETTINGS.items() if name not in axes and _is_of_prompts(value, rows)}
    usual = {name: Counter(map(value, rows)).most_common(1)[0][0] for name, value in read.items()}

    def label(row: Row) -> str:
        text = row["prompt_template"] or (row["prompt_embeds"] or "").rpartition("/")[2]
        images = [image["path"].rpartition("/")[2] for image in row["ctrl_images"]]
        shown = [f"{text} [{', '.join(images)}]" if images else text]
        own = [(name, value(row)) for name, value in read.items() if value(row) != usual[name]]
        return " · ".join([*shown, *(f"{name}: {said or 'none'}" for name, said in own)])

    return label


def _is_of_prompts(value: Callable[[Row], str], rows: Sequence[Row]) -> bool:
    """True for a setting that each prompt has one value of."""
    found = {(row["prompts"], row["index"], value(row)) for row in rows}
    return len(found) == len({(prompts, index) for prompts, index, _ in found})


def _axis(name: str, rows: Sequence[Row], label: Callable[[Row], str], key: Callable[[Row], Any] | None = None) -> Axis:
    """An axis whose values are the distinct keys (the labels if none), in the order of the keys."""
    keys = [(key or label)(row) for row in rows]
    labels = {found: label(row) for found, row in zip(reversed(keys), reversed(rows), strict=True)}
    position = {found: number for number, found in enumerate(sorted(labels))}
    return Axis(name, tuple(labels[found] for found in position), tuple(position[found] for found in keys))


def _further_axis(name: str, rows: Sequence[Row]) -> Axis:
    """An axis of the matrix: numbers by size before texts; an image without it comes first, unnamed."""

    def value(row: Row) -> Any:
        found = [json.loads(axis["value"]) for axis in row["axes"] if axis["name"] == name]
        return found[0] if found else None

    def key(row: Row) -> tuple[int, float, str]:
        found = value(row)
        if isinstance(found, int | float) and not isinstance(found, bool):
            return (1, found, "")
        return (0 if found is None else 2, 0, label(row))

    def label(row: Row) -> str:
        found = value(row)
        return found if isinstance(found, str) else "" if found is None else json.dumps(found, ensure_ascii=False)

    return _axis(name, rows, label, key)


def _placed(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """The layout to begin with: prompts and seeds down, LoRAs and strengths across, the rest in sections.

    Without LoRAs and strengths the first further axis goes across, else the models, else the seeds.
    """
    names = [axis.name for axis in axes]
    further = [name for name in names if name not in (*_NAMES, "index", "network_multiplier", "seed")]
    across: list[str] = [name for name in ("lora", "network_multiplier") if name in names]
    across = across or [name for name in (*further, "model", "seed") if name in names][:1]

    def placement(name: str) -> str:
        return "columns" if name in across else "rows" if name in ("index", "seed") else "sections"

    return tuple(Axis(axis.name, axis.values, axis.codes, placement(axis.name)) for axis in axes)


def coded(values: Sequence[Any]) -> dict[str, Any]:
    """A column as its distinct values and a code for each row; without codes where all are equal or all differ."""
    keys = [json.dumps(value, sort_keys=True) for value in values]
    distinct = dict(zip(reversed(keys), reversed(values), strict=True))
    if len(distinct) == len(values) and len(values) > 1:
        return {"values": list(values)}
    position = {key: number for number, key in enumerate(distinct)}
    column: dict[str, Any] = {"values": list(distinct.values())}
    return column if len(distinct) == 1 else column | {"codes": [position[key] for key in keys]}

"""The table of docs/memory.md: what each model takes, by mode and quantisation; and what mode one has on this machine.

The same footprints as the planner's, of modules on the meta device.
"""

from collections.abc import Iterator, Mapping, Sequence

import torch

from darkroom.errors import DeviceMemoryError
from darkroom.render.device.environment import memory_budget
from darkroom.render.device.mode import LADDER, TEXT_LADDER, Budget, Footprint, Workload, plan
from darkroom.render.families.flux1 import real_sizes as flux1_sizes
from darkroom.render.families.flux2 import real_sizes as flux2_sizes
from darkroom.render.families.zimage import real_sizes as zimage_sizes

_TEXT_TOKENS = 512
_ROWS = {None: "none", "qfloat8": "qfloat8, qint8", "qint4": "qint4"}  # qint8 takes what qfloat8 takes


def memory_table(width: int = 1024, height: int = 1024) -> str:
    """Markdown: estimated peak in GB (10^9 bytes) for one picture of this size, without references or live adapters.

    `copy` is what comes on top where there is room, once adapters are merged.
    """
    heads = [f"encode, {mode}" for mode in TEXT_LADDER] + [f"render, {mode}" for mode in LADDER] + ["copy"]
    lines = [f"| model | quantised | {' | '.join(heads)} |", f"|---|---|{'---:|' * len(heads)}"]
    picture = Workload(width, height, references=0, text_tokens=_TEXT_TOKENS, live_adapters=())
    for ids, text, base in footprints_of(picture):
        for quantization, label in _ROWS.items():
            peaks = [text[quantization].peak(mode) for mode in TEXT_LADDER]
            peaks += [base[quantization].peak(mode) for mode in LADDER]
            copy = f"{base[quantization].touched / 1e9:.1f}" if quantization is None else ""
            lines.append(f"| {ids} | {label} | {' | '.join(f'{peak / 1e9:.1f}' for peak in peaks)} | {copy} |")
    return "\n".join(lines)


def mode_here(model: str, quantization: str | None, picture: Workload) -> str:
    """In which mode a model of the table would render such a picture on this machine, and why; or why in none.

    `model`: its id in conf/model/.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base = next(base for ids, _, base in footprints_of(picture) if model in ids.split(", "))
    try:
        return plan(base, quantization, memory_budget(device), merges=picture.merges).reason
    except DeviceMemoryError as error:
        return str(error)


def modes_of(model: str, quantization: str | None, picture: Workload) -> str:
    """What a model of the table takes of a GPU in each mode, without margin, for such a picture."""
    base = next(base for ids, _, base in footprints_of(picture) if model in ids.split(", "))[quantization]
    peaks = ", ".join(f"{mode} {base.peak(mode) / 1e9:.1f} GB" for mode in LADDER)
    return f"on a GPU {peaks}; the first that fits is taken"


def modes_here(text_quantization: Mapping[str, str | None]) -> Iterator[tuple[str, str, str]]:
    """Of each model, for a picture of 1024 × 1024: its ids, the mode of its text encoder and its own on this machine.

    `text_quantization`: that of the text encoder, by id. Where no mode fits, what quantised weights would make fit.
    """
    budget = memory_budget(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    for ids, text, base in footprints_of(Workload(1024, 1024, 0, _TEXT_TOKENS, ())):
        quantization = text_quantization.get(ids.split(", ")[0])
        yield ids, _fitting(text, quantization, budget, TEXT_LADDER), _fitting(base, None, budget, LADDER)


def _fitting(
    footprints: Mapping[str | None, Footprint], quantization: str | None, budget: Budget, ladder: Sequence[str]
) -> str:
    modes = ladder[:1] if budget.device == "cpu" else ladder
    for smaller in dict.fromkeys((quantization, "qfloat8", "qint4")):
        for mode in modes:
            if budget.lacks(footprints[smaller], mode) is None:
                return mode if smaller == quantization else f"{mode} if quantised ({smaller}): another picture"
    return "too large"


def footprints_of(
    picture: Workload,
) -> Iterator[tuple[str, dict[str | None, Footprint], dict[str | None, Footprint]]]:
    """As the families' real_sizes.py give them."""
    for family in (flux2_sizes, flux1_sizes, zimage_sizes):
        yield from family.footprints(picture, torch.bfloat16)

"""The table of docs/memory.md: what each model takes, by mode and quantisation. Knows the families, no sizes.

The same footprints as the planner's, of modules on the meta device.
"""

import torch

from darkroom.render.device.mode import LADDER, TEXT_LADDER, Workload
from darkroom.render.families.flux1 import real_sizes as flux1_sizes
from darkroom.render.families.flux2 import real_sizes as flux2_sizes

_TEXT_TOKENS = 512
_ROWS = {None: "none", "qfloat8": "qfloat8, qint8", "qint4": "qint4"}  # qint8 takes what qfloat8 takes


def memory_table(width: int = 1024, height: int = 1024) -> str:
    """Markdown: estimated peak in GB (10^9 bytes) for one picture of this size, without references or live adapters."""
    heads = [f"encode, {mode}" for mode in TEXT_LADDER] + [f"render, {mode}" for mode in LADDER]
    lines = [f"| model | quantised | {' | '.join(heads)} |", f"|---|---|{'---:|' * len(heads)}"]
    picture = Workload(width, height, references=0, text_tokens=_TEXT_TOKENS, live_adapters=())
    for family in (flux2_sizes, flux1_sizes):
        for ids, text, base in family.footprints(picture, torch.bfloat16):
            for quantization, label in _ROWS.items():
                peaks = [text[quantization].peak(mode) for mode in TEXT_LADDER]
                peaks += [base[quantization].peak(mode) for mode in LADDER]
                lines.append(f"| {ids} | {label} | {' | '.join(f'{peak / 1e9:.1f}' for peak in peaks)} |")
    return "\n".join(lines)

"""The facts of adapter files as people read them: a block for one file, a table for several."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from darkroom.display import counted, named, printable, sized, table
from darkroom.lora_files.inspection.facts import LoraFacts
from darkroom.lora_files.inspection.sizes import DeltaSize

_KINDS = {"lora": "LoRA", "lokr": "LoKr", "diff": "full deltas"}
_NOTHING = "–"


def as_block(facts: LoraFacts, *, every_layer: bool = False) -> str:
    """All that is known of one file; the sizes of its deltas by kind of layer, or of every layer."""
    lines = [printable(facts.path), *(f"  {name:12}{printable(value)}" for name, value in _lines(facts))]
    if facts.sizes:
        grouped = {size.name: [size] for size in facts.sizes} if every_layer else _by_kind(facts.sizes)
        lines += ["", *(f"  {line}" for line in table(list(_size_rows(grouped, facts)), right=(1, 2, 3, 4)))]
    return "".join(f"{line}\n" for line in lines)


def as_table(every: Sequence[LoraFacts]) -> str:
    """One line a file."""
    heading = ("file", "tool", "kind", "base", "rank", "alpha", "layers", "step", "trigger", "size", "faults")
    return "".join(f"{line}\n" for line in table([heading, *map(_row, every)], right=(6, 7, 9)))


def _lines(facts: LoraFacts) -> Iterator[tuple[str, str]]:
    training = facts.training
    yield "is", f"{_kinds(facts)}, {', '.join(facts.dtypes)}, {sized(facts.bytes)}, sha256 {facts.sha256[:10]}…"
    yield "named by", facts.tool
    yield "base", _base(facts)
    if facts.refused:
        yield "refused", facts.refused
    else:
        yield "rank", _numbers(rank for size in facts.sizes for rank in size.ranks)
        yield "alpha", _alpha(facts)
        yield "layers", _layers(facts)
        yield "size", f"{facts.norm:.3g} (Frobenius norm of all deltas at strength 1)"
    trainer = training.trainer.told if training.trainer else "unknown"
    yield "trained by", f"{trainer} as {training.run}" if training.run else trainer
    yield "step", "unsaid" if training.step is None else f"{training.step:,}"
    yield "trigger", training.trigger_word or "unsaid"
    if faults := _faults(facts):
        yield "faults", "; ".join(faults)


def _faults(facts: LoraFacts) -> list[str]:
    """What is wrong with values: layers of zeros, of NaN or infinity."""
    faults = []
    if facts.sizes and len(facts.dead) == len(facts.sizes):
        faults.append("it changes nothing: every delta is zero")
    elif facts.dead:
        faults.append(f"{counted(len(facts.dead), 'delta')} of zeros: {named(facts.dead)}")
    if facts.not_finite:
        faults.append(f"NaN or infinity in {counted(len(facts.not_finite), 'layer')}: {named(facts.not_finite)}")
    return faults


def _row(facts: LoraFacts) -> tuple[str, ...]:
    training = facts.training
    cells = (
        facts.path,
        facts.tool.partition(" (")[0],
        _kinds(facts),
        " or ".join(facts.bases) or _NOTHING,
        _numbers(rank for size in facts.sizes for rank in size.ranks),
        _alpha(facts),
        f"{facts.layers}/{facts.layers_of_base}" if facts.layers_of_base else str(facts.layers or _NOTHING),
        _NOTHING if training.step is None else str(training.step),
        training.trigger_word or _NOTHING,
        f"{facts.norm:.3g}" if facts.sizes else _NOTHING,
        facts.refused or "; ".join(_faults(facts)),
    )
    return tuple(printable(cell) for cell in cells)


def _kinds(facts: LoraFacts) -> str:
    return " + ".join(_KINDS[kind] for kind in facts.kinds) or "an adapter"


def _base(facts: LoraFacts) -> str:
    said = f"its header says {facts.said_base}" if facts.said_base else "its header says none"
    fitting = (
        " or ".join(facts.bases) or f"none that is known has its layers, which are named as {facts.family} has them"
    )
    return said if facts.refused else f"{fitting}; {said}"


def _alpha(facts: LoraFacts) -> str:
    """A delta with a rank and without an alpha is scaled by 1, as if alpha were the rank."""
    is_unsaid = any(size.ranks and not size.alphas for size in facts.sizes)
    return "= rank" if is_unsaid else _numbers(alpha for size in facts.sizes for alpha in size.alphas)


def _layers(facts: LoraFacts) -> str:
    of = f" of {facts.layers_of_base} of {facts.bases[0]}" if facts.layers_of_base else ""
    return f"{facts.layers}{of}"


def _numbers(values: Iterator[float]) -> str:
    """`16`, `8 and 16`, `4 to 128`; none where there are none."""
    found = sorted(set(values))
    if len(found) > 2:
        return f"{found[0]:g} to {found[-1]:g}"
    return " and ".join(f"{value:g}" for value in found) or _NOTHING


def _by_kind(sizes: Sequence[DeltaSize]) -> dict[str, list[DeltaSize]]:
    """The layers that have one name but for the number of their block."""
    kinds: dict[str, list[DeltaSize]] = defaultdict(list)
    for size in sizes:
        kinds[re.sub(r"\.\d+\.", ".*.", size.name)].append(size)
    return kinds


def _size_rows(grouped: dict[str, list[DeltaSize]], facts: LoraFacts) -> Iterator[tuple[str, ...]]:
    """A heading, then each group's smallest and largest delta, and its largest beside the base's weights."""
    yield ("layer", "deltas", "smallest", "largest", *(["of the base's"] if facts.base_norms else []))
    for name, sizes in grouped.items():
        norms = [size.norm for size in sizes]
        share = max(size.norm / facts.base_norms[size.name] for size in sizes) if facts.base_norms else 0.0
        cells = (printable(name), str(len(sizes)), f"{min(norms):.3g}", f"{max(norms):.3g}")
        yield (*cells, *([f"{share:.2%}"] if facts.base_norms else []))

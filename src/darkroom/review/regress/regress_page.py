"""results/<experiment>/regress.html: each preview beside its render, on one page that works from file://.

The pictures are carried in the page: equal ones once and small, others as large as their number allows.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from darkroom.record.embedded import EmbeddedRecord
from darkroom.review.page.axes import ROWS, SECTIONS, Axis, PicturePlace, axes_of
from darkroom.review.page.page import distinct, link_from, script_json, write_page
from darkroom.review.pair.measures import MEASURES
from darkroom.review.regress.comparison import Comparison, read_comparisons
from darkroom.review.regress.pair_pictures import Pair, read_pair
from darkroom.review.regress.summary import summary
from darkroom.review.regress.told import measures, names, own_floor, worst_first
from darkroom.review.regress.verdicts import VERDICTS
from darkroom.review.regress.whole_set import FEWEST, WholeSet

PAGE = 40_000_000  # characters of pictures in a page; a browser opens it in a second or two
PAIR, SINGLE = 3_000_000, 40_000  # the most for a pair that differs; for one picture
_SHARE = 0.4  # of a page, the most that pictures without a differing partner take
_THREADS = 4  # FLIP has threads of its own, and takes 100 bytes a pixel

_EFFECTIVE = (
    *("width", "height", "sample_steps", "guidance_scale", "neg", "trigger_word", "network_multiplier"),
    *("lora_merge", "schedule", "numerics", "dtype", "quantize_transformer", "quantize_text_encoder"),
)


def write_regress_page(compare: Path, output: Path) -> None:
    """Write the page of an experiment's comparison: every pair, worst first, with what is known of the difference.

    A picture that cannot be read is named on the page. StoreError when `compare` is missing or damaged.
    """
    comparisons, _ = read_comparisons(compare)
    ordered = worst_first(comparisons)
    pairs = read_pairs(ordered)
    values = {
        "experiment": ordered[0].experiment if ordered else compare.absolute().parent.name,
        "summary": summary(ordered),
        "verdicts": list(reversed(VERDICTS.values())),
        "counts": Counter(comparison.verdict for comparison in ordered),
        "count": len(ordered),
        "thresholds": threshold_rows(ordered),
        "whole_set": WholeSet.of(ordered),
        "fewest": FEWEST,
        "facts": facts(comparisons, [pair.record.embedded_row() for pair in pairs if pair.record]),
        "problems": [[problem] for pair in pairs for problem in pair.problems],
        "scales": scales(pairs),
        "data": script_json(page_data(ordered, pairs, output.parent)),
    }
    write_page(output, "regress/regress.html.j2", values)


def read_pairs(comparisons: Sequence[Comparison], page: int = PAGE, single: int = SINGLE) -> list[Pair]:
    """The pictures of each comparison in at most `page` characters, `single` for one without a differing partner."""
    alone = [_shows_one_picture(each) for each in comparisons]
    least = min(single, int(page * _SHARE / max(1, alone.count(True))))
    most = min(PAIR, (page - alone.count(True) * least) // max(1, alone.count(False)))
    with ThreadPoolExecutor(_THREADS) as threads:
        return list(threads.map(read_pair, comparisons, [least if one else most for one in alone]))


def _shows_one_picture(comparison: Comparison) -> bool:
    verdict = VERDICTS[comparison.verdict]
    return verdict.is_equal or (verdict.lacks is not None and comparison.flip is None)


def page_data(comparisons: Sequence[Comparison], pairs: Sequence[Pair], folder: Path) -> dict[str, Any]:
    """What the page's script needs; links are relative to the page's folder."""
    entries = []
    for comparison, pair, name in zip(comparisons, pairs, names(comparisons), strict=True):
        entry = asdict(comparison)
        del entry["thresholds"], entry["experiment"], entry["repeats"]
        entry |= {
            "name": name,
            "measures": measures(comparison),
            "floor": own_floor(comparison),
            "preview_maker": comparison.preview_maker,
            "effective": _effective(pair.record) if pair.record else {},
            "links": {
                part: link_from(folder, path)
                for part, path in (("preview", comparison.preview_path), ("render", comparison.image_path))
                if path is not None
            },
            "pictures": pair.pictures,
            "scale": pair.scale,
            "lossless": pair.lossless,
        }
        entries.append(entry)
    verdicts = {name: asdict(verdict) for name, verdict in VERDICTS.items()}
    axes = [asdict(axis) for axis in _axes(comparisons)]
    return {"count": len(entries), "axes": axes, "pairs": entries, "verdicts": verdicts}


def _axes(comparisons: Sequence[Comparison]) -> list[Axis]:
    """Those of the heat map, in rows but for LoRAs, steps and strengths; the verdicts, worst first, are sections."""
    found = {comparison.verdict for comparison in comparisons}
    names = tuple(name for name in reversed(VERDICTS) if name in found)
    codes = tuple(names.index(comparison.verdict) for comparison in comparisons)
    places = [
        PicturePlace(
            model=each.model,
            lora=each.lora,
            prompts=each.prompts,
            index=each.index,
            prompt=each.prompt or "",
            step=each.step,
            axes=json.loads(each.axes),
        )
        for each in comparisons
    ]
    others = [replace(axis, placement=ROWS) if axis.placement == SECTIONS else axis for axis in axes_of(places)]
    return [Axis("verdict", "verdict", names, codes, SECTIONS), *others]


def _effective(record: EmbeddedRecord) -> dict[str, Any]:
    row = record.embedded_row()
    return {name: row[name] for name in _EFFECTIVE}


def threshold_rows(comparisons: Sequence[Comparison]) -> list[dict[str, str]]:
    """By model and kind of preview: the thresholds in words, their file, and where a floor was learned."""
    rows = []
    known = {(each.model, each.thresholds): held for each in comparisons if (held := each.held_against)}
    for (model, _), held in sorted(known.items()):
        limits = [
            f"{measure.label} {'≤' if measure.is_distance else '≥'} {held.asked[measure.name]:g}{measure.unit}"
            for measure in MEASURES
            if measure.name in held.asked
        ]
        if held.own_floor is not None:
            limits.insert(0, f"its own floor and {held.own_floor:g} dB")
        learned_with = held.environment.known if held.environment else {}
        rows.append(
            {
                "model": f"{model}, lossy previews" if held.lossy else model,
                "limits": ", ".join(limits),
                "source": held.source,
                "environment": ", ".join(f"{name} {value}" for name, value in learned_with.items()),
            }
        )
    return rows


def facts(comparisons: Sequence[Comparison], records: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What the head says of previews and renders, as (name, value). `records`: as embedded in the renders."""
    makers = Counter(comparison.preview_maker for comparison in comparisons if comparison.preview_maker)
    accepted = Counter(comparison.accepted_by for comparison in comparisons if comparison.accepted_by)
    rows = [asdict(comparison) for comparison in comparisons]
    known = [
        ("previews", ", ".join(f"{count} by {maker}" for maker, count in sorted(makers.items())) or "none"),
        ("accepted by", ", ".join(f"{name} ({count})" for name, count in accepted.most_common())),
        ("models", distinct(rows, "model")),
        ("loras", distinct(rows, "lora")),
        ("prompt sets", distinct(rows, "prompts")),
    ]
    if records:
        parts = ("darkroom", "torch", "diffusers", "transformers")
        known += [
            ("numerics", distinct(records, "numerics")),
            ("rendered on", distinct(records, "device", "gpu_name")),
            ("attention", distinct(records, "attention_backend")),
            ("rendered with", ", ".join(f"{part} {distinct(records, f'{part}_version')}" for part in parts)),
        ]
    return [(name, value) for name, value in known if value]


def scales(pairs: Sequence[Pair]) -> list[str]:
    """In words, how the pictures that differ and the others are carried."""
    groups = {
        "pairs that differ": [pair for pair in pairs if "preview" in pair.pictures and "render" in pair.pictures],
        "single pictures": [pair for pair in pairs if len(pair.pictures) == 1],
    }
    return [f"{name}: {_scale_text(found)}" for name, found in groups.items() if found]


def _scale_text(pairs: Sequence[Pair]) -> str:
    exact = sum(pair.lossless for pair in pairs)
    if exact == len(pairs):
        return "pixel for pixel"
    percent = sorted({round(pair.scale * 100) for pair in pairs if not pair.lossless})
    said = f"at {percent[0]} %" if len(percent) == 1 else f"at {percent[0]} to {percent[-1]} %"
    return f"{exact} pixel for pixel, {len(pairs) - exact} {said} of their size, lossy" if exact else f"{said}, lossy"

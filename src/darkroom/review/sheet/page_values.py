"""What the template of the contact sheet is filled with: the facts of its head, the data that its script lays out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from darkroom.display import counted
from darkroom.files.columns import columns_of, groups_of
from darkroom.record.rows import FAILED, NOT_RENDERED, Failure, Record, Row
from darkroom.request.speedups import numerics_in_full
from darkroom.review.page.axes import Axis, axes_of
from darkroom.review.page.page import distinct, script_json
from darkroom.review.sheet.contact_sheet import coded, places_of
from darkroom.review.sheet.scored import scores_of, told, with_scores
from darkroom.scoring.table import Score

TEMPLATE = "sheet/report.html.j2"

_STEPS = ("load", "switch", "denoise", "decode")  # of a cost; saving happens beside rendering


@dataclass(frozen=True)
class Thumbnails:
    """An address for each distinct picture, `codes[i]` saying which is image i's: -1 for one that is not there.

    None at all where the page shows the pictures' own files.
    """

    uris: tuple[str, ...]  # "" where the picture cannot be read
    codes: tuple[int, ...]
    is_carried: bool  # the addresses hold the thumbnails themselves
    problems: tuple[str, ...]  # sentences


NO_THUMBNAILS = Thumbnails((), (), is_carried=False, problems=())


def page_values(
    rows: Sequence[Row],
    links: Sequence[str | None],
    thumbnails: Thumbnails,
    run_id: str | None = None,
    scores: Sequence[Score] = (),
) -> dict[str, Any]:
    """`links`: of each row's picture, relative to the page's folder; None where it is not there.

    `run_id`: of the run that the page waits for; None where it is over.
    """
    axes = axes_of(places_of([row.request for row in rows]))
    failures = [row for row in rows if isinstance(row, Failure)]
    return {
        "experiment": rows[0].request.title.experiment,
        "run": run_id,
        "count": len(rows),
        "headline": headline(rows),
        "summary": summary(rows),
        "facts": [("images", str(len(rows))), *_asked(rows)] if run_id else facts(rows),
        "failures": Counter(row.error for row in failures if row.status == FAILED).most_common(),
        "labels": Counter(reason for row in rows for reason in row.request.remarks.not_comparable).most_common(),
        "warnings": Counter(warning for row in rows for warning in row.request.remarks.warnings).most_common(),
        "problems": [[problem] for problem in thumbnails.problems],
        "is_carried": thumbnails.is_carried,
        "scores": told(axes, rows, scores),
        "has_scores": bool(scores),
        "data": script_json({"run": run_id, **page_data(rows, links, thumbnails, axes, scores)}),
    }


def page_data(
    rows: Sequence[Row],
    links: Sequence[str | None],
    thumbnails: Thumbnails,
    axes: Sequence[Axis],
    scores: Sequence[Score],
) -> dict[str, Any]:
    """What the page's script needs: columns by code, axes, thumbnails, links."""
    values = [row.row() for row in rows]
    return {
        "count": len(rows),
        "columns": {name: coded([each[name] for each in values]) for name in columns_of(Record)},
        "groups": groups_of(Record),
        "axes": [asdict(axis) for axis in with_scores(axes, rows, scores)],
        "scores": scores_of(rows, scores),
        "links": links,
        "thumbnails": {"uris": thumbnails.uris, "codes": thumbnails.codes},
    }


def summary(rows: Sequence[Row]) -> list[str]:
    """The line of facts below the title: how many pictures, what they took, how they were computed."""
    costs = [row.cost for row in rows if isinstance(row, Record) and row.cost]
    spent = sum(getattr(cost, f"seconds_{step}") for cost in costs for step in _STEPS)
    numerics = list(dict.fromkeys(numerics_in_full(row.request.base) for row in rows))
    return [
        counted(len(rows), "picture"),
        *([_duration(spent)] if costs else []),
        " and ".join(numerics),
    ]


def headline(rows: Sequence[Row]) -> str:
    """How the run ended where it did not end well: "failed: 4 of 56", "stopped at 35 of 56"; else ""."""
    counts = Counter(row.status for row in rows)
    if counts[FAILED]:
        without = f", {counts[NOT_RENDERED]} not rendered" if counts[NOT_RENDERED] else ""
        return f"failed: {counts[FAILED]} of {len(rows)}{without}"
    return f"stopped at {len(rows) - counts[NOT_RENDERED]} of {len(rows)}" if counts[NOT_RENDERED] else ""


def facts(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """What the head of the page says of the whole experiment, as (name, value)."""
    records = [row for row in rows if isinstance(row, Record)]
    costs = [record.cost for record in records if record.cost]
    statuses = Counter(row.status for row in rows)
    lost = {status: statuses[status] for status in (FAILED, NOT_RENDERED) if statuses[status]}
    counts = {"rendered": len(costs), "reused": len(records) - len(costs), **lost}
    made = [record.row() for record in records]
    spent = {step: sum(getattr(cost, f"seconds_{step}") for cost in costs) for step in _STEPS}
    total = sum(spent.values())
    time = [
        ("render time", f"{_duration(total)}, {total / max(1, len(costs)):.2f} s an image"),
        ("of which", ", ".join(f"{step} {_duration(seconds)}" for step, seconds in spent.items())),
    ]
    versions = (
        (name, distinct(made, f"{name}_version")) for name in ("darkroom", "torch", "diffusers", "transformers")
    )
    where = [
        ("device", distinct(made, "device", "gpu_name")),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions)),
    ]
    said = ", ".join(f"{count} {what}" for what, count in counts.items())
    return [
        ("images", f"{len(rows)}: {said}"),
        *(time if costs else []),
        *_asked(rows),
        *(where if records else []),
    ]


def _asked(rows: Sequence[Row]) -> list[tuple[str, str]]:
    asked = [{**row.request.title.names._asdict(), "numerics": numerics_in_full(row.request.base)} for row in rows]
    columns = {"models": "model", "loras": "lora", "prompt sets": "prompts", "numerics": "numerics"}
    return [(name, distinct(asked, column)) for name, column in columns.items()]


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"

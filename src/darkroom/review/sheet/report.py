"""results/<experiment>/report.html: the manifest as one page that works from file://."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from darkroom.errors import ImageError
from darkroom.files.columns import columns_of, groups_of
from darkroom.record import Failure, Record, Row, read_rows
from darkroom.review.page.data_uri import thumbnail
from darkroom.review.page.page import distinct, link_from, script_json, write_page
from darkroom.review.sheet.contact_sheet import axes_of, coded

_SIDES = ((256, 1_500), (128, 6_000))  # long side of a thumbnail in pixels, for at most so many images
_PAGE = 60_000_000  # bytes of thumbnails above which smaller ones are made


@dataclass(frozen=True)
class Thumbnails:
    """One data URI for each distinct picture, `codes[i]` saying which is image i's; none at all if `side` is 0.

    The code of a picture that failed is -1.
    """

    side: int  # pixels
    uris: tuple[str, ...]  # "" where the picture cannot be read
    codes: tuple[int, ...]
    problems: tuple[str, ...]  # sentences


def write_report(manifest: Path, output: Path) -> None:
    """Write the page of an experiment beside its images: a contact sheet with every image's parameters.

    A picture that failed has a frame with the reason, and one that cannot be read is named on the page. StoreError when
    the manifest is damaged.
    """
    rows, _ = read_rows(manifest)
    thumbnails = make_thumbnails(rows)
    values = {
        "experiment": rows[0].request.title.experiment,
        "facts": facts(rows),
        "failures": Counter(row.error for row in rows if isinstance(row, Failure)).most_common(),
        "labels": Counter(reason for row in rows for reason in row.request.remarks.not_comparable).most_common(),
        "warnings": Counter(warning for row in rows for warning in row.request.remarks.warnings).most_common(),
        "problems": thumbnails.problems,
        "side": thumbnails.side,
        "data": script_json(page_data(rows, thumbnails, output.parent)),
    }
    write_page(output, "sheet/report.html.j2", values)


def page_data(rows: Sequence[Row], thumbnails: Thumbnails, folder: Path) -> dict[str, Any]:
    """What the page's script needs: columns by code, axes, thumbnails, links relative to the page's folder."""
    values = [row.row() for row in rows]
    return {
        "count": len(rows),
        "columns": {name: coded([each[name] for each in values]) for name in columns_of(Record)},
        "groups": groups_of(Record),
        "axes": [asdict(axis) for axis in axes_of([row.request for row in rows])],
        "links": [link_from(folder, row.image_path) if isinstance(row, Record) else None for row in rows],
        "thumbnails": {"uris": thumbnails.uris, "codes": thumbnails.codes},
    }


def make_thumbnails(rows: Sequence[Row]) -> Thumbnails:
    """The largest thumbnails that number and size of the pictures allow."""
    first: dict[str, Path] = {}
    for row in rows:
        if isinstance(row, Record):
            first.setdefault(row.image_sha256, Path(row.image_path))
    position = {sha256: number for number, sha256 in enumerate(first)}
    codes = tuple(position[row.image_sha256] if isinstance(row, Record) else -1 for row in rows)
    for side, most in _SIDES:
        if len(rows) > most:
            continue
        with ThreadPoolExecutor() as threads:
            made = list(threads.map(_thumbnail, first.values(), [side] * len(first)))
        uris, problems = tuple(uri for uri, _ in made), tuple(problem for _, problem in made if problem)
        if sum(map(len, uris)) <= _PAGE:
            return Thumbnails(side, uris, codes, problems)
    return Thumbnails(0, (), (), ())


def _thumbnail(path: Path, side: int) -> tuple[str, str]:
    """A data URI and no problem, or none and a problem."""
    try:
        return thumbnail(path, side), ""
    except ImageError as error:
        return "", str(error)


def facts(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """What the head of the page says of the whole experiment, as (name, value)."""
    records = [row for row in rows if isinstance(row, Record)]
    costs = [record.cost for record in records if record.cost]
    counts = {"rendered": len(costs), "reused": len(records) - len(costs), "failed": len(rows) - len(records)}
    asked, made = [row.row() for row in rows], [record.row() for record in records]
    steps = ("load", "switch", "denoise", "decode")  # saving happens beside rendering
    spent = {step: sum(getattr(cost, f"seconds_{step}") for cost in costs) for step in steps}
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
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count or what != "failed")
    return [
        ("images", f"{len(rows)}: {said}"),
        *(time if costs else []),
        ("models", distinct(asked, "model")),
        ("loras", distinct(asked, "lora")),
        ("prompt sets", distinct(asked, "prompts")),
        ("numerics", distinct(asked, "numerics")),
        *(where if records else []),
    ]


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"

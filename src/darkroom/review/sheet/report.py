"""results/<experiment>/report.html: the manifest as one page that works from file://."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from darkroom.errors import ImageError
from darkroom.files.columns import columns_of, groups_of
from darkroom.record import Record, read_records
from darkroom.review.page.data_uri import thumbnail
from darkroom.review.page.page import distinct, link_from, script_json, write_page
from darkroom.review.sheet.contact_sheet import axes_of, coded

_SIDES = ((256, 1_500), (128, 6_000))  # long side of a thumbnail in pixels, for at most so many images
_PAGE = 60_000_000  # bytes of thumbnails above which smaller ones are made


@dataclass(frozen=True)
class Thumbnails:
    """One data URI for each distinct picture, `codes[i]` saying which is image i's; none at all if `side` is 0."""

    side: int  # pixels
    uris: tuple[str, ...]  # "" where the picture cannot be read
    codes: tuple[int, ...]
    problems: tuple[str, ...]  # sentences


def write_report(manifest: Path, output: Path) -> None:
    """Write the page of an experiment beside its images: a contact sheet with every image's parameters.

    A picture that cannot be read is named on the page. StoreError when the manifest is damaged.
    """
    records, _ = read_records(manifest)
    thumbnails = make_thumbnails(records)
    values = {
        "experiment": records[0].request.title.experiment,
        "facts": facts(records),
        "labels": Counter(reason for each in records for reason in each.request.remarks.not_comparable).most_common(),
        "warnings": Counter(warning for each in records for warning in each.request.remarks.warnings).most_common(),
        "problems": thumbnails.problems,
        "side": thumbnails.side,
        "data": script_json(page_data(records, thumbnails, output.parent)),
    }
    write_page(output, "sheet/report.html.j2", values)


def page_data(records: Sequence[Record], thumbnails: Thumbnails, folder: Path) -> dict[str, Any]:
    """What the page's script needs: columns by code, axes, thumbnails, links relative to the page's folder."""
    rows = [record.row() for record in records]
    return {
        "count": len(records),
        "columns": {name: coded([row[name] for row in rows]) for name in columns_of(Record)},
        "groups": groups_of(Record),
        "axes": [asdict(axis) for axis in axes_of([record.request for record in records])],
        "links": [link_from(folder, record.image_path) for record in records],
        "thumbnails": {"uris": thumbnails.uris, "codes": thumbnails.codes},
    }


def make_thumbnails(records: Sequence[Record]) -> Thumbnails:
    """The largest thumbnails that number and size of the pictures allow."""
    first: dict[str, Path] = {}
    for record in records:
        first.setdefault(record.image_sha256, Path(record.image_path))
    position = {sha256: number for number, sha256 in enumerate(first)}
    codes = tuple(position[record.image_sha256] for record in records)
    for side, most in _SIDES:
        if len(records) > most:
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


def facts(records: Sequence[Record]) -> list[tuple[str, str]]:
    """What the head of the page says of the whole experiment, as (name, value)."""
    rows, costs = [record.row() for record in records], [record.cost for record in records if record.cost]
    steps = ("load", "switch", "denoise", "decode")  # saving happens beside rendering
    spent = {step: sum(getattr(cost, f"seconds_{step}") for cost in costs) for step in steps}
    total = sum(spent.values())
    time = [
        ("render time", f"{_duration(total)}, {total / max(1, len(costs)):.2f} s an image"),
        ("of which", ", ".join(f"{step} {_duration(seconds)}" for step, seconds in spent.items())),
    ]
    versions = (
        (name, distinct(rows, f"{name}_version")) for name in ("darkroom", "torch", "diffusers", "transformers")
    )
    return [
        ("images", f"{len(rows)}: {len(costs)} rendered, {len(rows) - len(costs)} reused"),
        *(time if costs else []),
        ("models", distinct(rows, "model")),
        ("loras", distinct(rows, "lora")),
        ("prompt sets", distinct(rows, "prompts")),
        ("numerics", distinct(rows, "numerics")),
        ("device", distinct(rows, "device", "gpu_name")),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions)),
    ]


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"

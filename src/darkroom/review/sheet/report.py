"""results/<experiment>/report.html: the manifest as one page that works from file://."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from darkroom.errors import ImageError
from darkroom.record import COLUMNS, read_records
from darkroom.review.page.data_uri import thumbnail
from darkroom.review.page.page import distinct, link_from, script_json, write_page
from darkroom.review.sheet.contact_sheet import axes_of, coded
from darkroom.review.show import GROUPS

Row = Mapping[str, Any]

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
    rows, _ = read_records(manifest)
    thumbnails = make_thumbnails(rows)
    values = {
        "experiment": rows[0]["experiment"],
        "facts": facts(rows),
        "labels": Counter(reason for row in rows for reason in row["not_comparable"]).most_common(),
        "warnings": Counter(warning for row in rows for warning in row["warnings"]).most_common(),
        "problems": thumbnails.problems,
        "side": thumbnails.side,
        "data": script_json(page_data(rows, thumbnails, output.parent)),
    }
    write_page(output, "sheet/report.html.j2", values)


def page_data(rows: Sequence[Row], thumbnails: Thumbnails, folder: Path) -> dict[str, Any]:
    """What the page's script needs: columns by code, axes, thumbnails, links relative to the page's folder."""
    return {
        "count": len(rows),
        "columns": {name: coded([row[name] for row in rows]) for name in COLUMNS},
        "groups": GROUPS,
        "axes": [asdict(axis) for axis in axes_of(rows)],
        "links": [link_from(folder, row["image_path"]) for row in rows],
        "thumbnails": {"uris": thumbnails.uris, "codes": thumbnails.codes},
    }


def make_thumbnails(rows: Sequence[Row]) -> Thumbnails:
    """The largest thumbnails that number and size of the pictures allow."""
    first: dict[str, Path] = {}
    for row in rows:
        first.setdefault(row["image_sha256"], Path(row["image_path"]))
    position = {sha256: number for number, sha256 in enumerate(first)}
    codes = tuple(position[row["image_sha256"]] for row in rows)
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
    rendered = [row for row in rows if not row["reused"]]
    steps = ("load", "switch", "denoise", "decode", "save")
    spent = {step: sum(row[f"seconds_{step}"] or 0.0 for row in rendered) for step in steps}
    total = sum(seconds for step, seconds in spent.items() if step != "save")  # saving happens beside rendering
    time = [
        ("render time", f"{_duration(total)}, {total / max(1, len(rendered)):.2f} s an image"),
        ("of which", ", ".join(f"{step} {_duration(seconds)}" for step, seconds in spent.items() if step != "save")),
    ]
    versions = (
        (name, distinct(rows, f"{name}_version")) for name in ("darkroom", "torch", "diffusers", "transformers")
    )
    return [
        ("images", f"{len(rows)}: {len(rendered)} rendered, {len(rows) - len(rendered)} reused"),
        *(time if rendered else []),
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

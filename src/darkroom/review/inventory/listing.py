"""`darkroom list`: every experiment of results/ and of conf/, how far it has come, and how it compares."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from darkroom.display import printable, sized, table
from darkroom.errors import DarkroomError
from darkroom.planned import Contents
from darkroom.record import rows
from darkroom.review.inventory.experiments import changed_at, experiment_folders, files_below, is_running, size_of
from darkroom.review.regress.comparison import read_comparisons
from darkroom.review.regress.verdicts import VERDICTS
from darkroom.store import ENDINGS, ExperimentFolder

FINISHED, FAILED, RUNNING, UNFINISHED = "finished", "failed", "running", "unfinished"
UNREADABLE, NEVER_RENDERED = "unreadable", "never rendered"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """An experiment. `state`: one of the six words above."""

    name: str
    state: str
    pictures: int = 0  # that are there
    failed: int = 0  # that came to nothing in the last run
    asked: int | None = None  # in all; None: nobody can tell
    changed_at: str | None = None  # ISO 8601, UTC
    size: int = 0  # bytes in its folder; its pictures are links of the store's
    verdicts: Mapping[str, int] = field(default_factory=dict)  # of the last comparison, the worst first
    problems: tuple[str, ...] = ()  # sentences: what of it cannot be read


def listed(results: Path, described: Iterable[str]) -> list[Listed]:
    """The experiments under results/, the latest first, then those `described` in conf/ that were never rendered."""
    folders = experiment_folders(results)
    rendered = sorted(map(_look, folders), key=lambda each: each.changed_at or "", reverse=True)
    names = {folder.root.name for folder in folders}
    return rendered + [Listed(name=name, state=NEVER_RENDERED) for name in sorted(set(described) - names)]


def as_table(experiments: Sequence[Listed], total: int) -> str:
    """For people. `total`: bytes of results/, what several experiments share counted once."""
    if not experiments:
        return "There are no experiments: neither results/ nor conf/experiment/ has one.\n"
    heads = ("experiment", "state", "pictures", "changed", "size", "verdicts")
    lines = table([heads, *map(_row, experiments)], right=(2, 4))
    for each in experiments:
        lines += [f"{each.name}: {problem}" for problem in each.problems]
    if total:
        lines += ["", f"results/ takes {sized(total)}; what several experiments share counts once in it."]
    return "\n".join(map(printable, lines)) + "\n"


def as_json(experiments: Sequence[Listed]) -> str:
    """For programs: a list with the fields of Listed."""
    return json.dumps([asdict(each) for each in experiments], indent=1, ensure_ascii=False) + "\n"


def _row(each: Listed) -> tuple[str, ...]:
    state = f"{each.failed} failed" if each.state == FAILED else each.state
    if each.state == NEVER_RENDERED:
        return each.name, state, "", "", "", ""
    pictures = str(each.pictures) if each.asked in (None, each.pictures) else f"{each.pictures} of {each.asked}"
    when = datetime.fromisoformat(each.changed_at).astimezone() if each.changed_at else None
    verdicts = ", ".join(f"{count} {name}" for name, count in each.verdicts.items())
    return each.name, state, pictures, f"{when:%Y-%m-%d %H:%M}" if when else "", sized(each.size), verdicts


def _look(folder: ExperimentFolder) -> Listed:
    """Whatever cannot be read of it is told, and the rest is listed."""
    problems: list[str] = []
    pictures, failed, asked, state = _progress(folder, problems)
    return Listed(
        name=folder.root.name,
        state=state,
        pictures=pictures,
        failed=failed,
        asked=asked,
        changed_at=datetime.fromtimestamp(changed_at(folder), UTC).isoformat(timespec="seconds"),
        size=size_of(files_below(folder.root)),
        verdicts=_verdicts(folder, problems),
        problems=tuple(problems),
    )


def _progress(folder: ExperimentFolder, problems: list[str]) -> tuple[int, int, int | None, str]:
    """Pictures there, pictures that failed, pictures asked for, and the state."""
    if is_running(folder) or not folder.manifest.is_file():
        state = RUNNING if is_running(folder) else UNFINISHED
        asked = _asked(folder, problems)
        return _pictures(folder), 0, asked, UNREADABLE if problems else state
    try:
        statuses = rows.read_record_table(folder.manifest).column("status").to_pylist()
    except DarkroomError as error:
        problems.append(str(error))
        return _pictures(folder), 0, None, UNREADABLE
    done, failed = statuses.count(rows.DONE), statuses.count(rows.FAILED)
    state = FINISHED if done == len(statuses) else FAILED if failed else UNFINISHED
    return done, failed, len(statuses), state


def _asked(folder: ExperimentFolder, problems: list[str]) -> int | None:
    try:
        return sum(each.images for each in Contents.read(folder.contents).combinations)
    except DarkroomError as error:
        problems.append(str(error))
        return None


def _pictures(folder: ExperimentFolder) -> int:
    endings = {f".{ending}" for ending in ENDINGS.values()}
    return sum(file.path.suffix in endings for file in files_below(folder.root / "images"))


def _verdicts(folder: ExperimentFolder, problems: list[str]) -> dict[str, int]:
    if not folder.comparison.is_file():
        return {}
    try:
        comparisons, _ = read_comparisons(folder.comparison)
    except DarkroomError as error:
        problems.append(str(error))
        return {}
    counts = Counter(each.verdict for each in comparisons)
    return {name: counts[name] for name in reversed(VERDICTS) if counts[name]}

"""What is said of a file of pictures that was written: how many are in it, and which it lacks."""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from darkroom.display import counted
from darkroom.errors import ImageError
from darkroom.record.rows import Record, Row
from darkroom.review.sharing.picture_shown import picture_shown


def written(output: Path, rows: Sequence[Row], previews: Iterable[Path], said: str) -> tuple[str, ImageError | None]:
    """A line for people, and an error where pictures cannot be read that should be in it.

    `previews`: those above the rows; `said`: what the line goes on with. Each picture is read to its end.
    """
    lost = _unreadable(Path(row.image_path) for row in rows if isinstance(row, Record))
    absent = Counter(row.status for row in rows if not isinstance(row, Record))
    pictures = counted(len(rows) - absent.total() - len(lost), "picture")
    line = "; ".join(
        [f"{output}: {pictures} {said}", *(f"{count:,} not there: {why}" for why, count in absent.items())]
    )
    if not (lost := [*lost, *_unreadable(previews)]):
        return line, None
    return line, ImageError(
        f"{output}: lacks {counted(len(lost), 'picture')} that cannot be read, the first of them {lost[0]}; "
        "`darkroom check` names all, and --mend has the next run make them again"
    )


def _unreadable(paths: Iterable[Path]) -> list[ImageError]:
    with ThreadPoolExecutor() as threads:
        return [error for error in threads.map(_fault, dict.fromkeys(paths)) if error]


def _fault(path: Path) -> ImageError | None:
    shown = picture_shown(path)
    return shown if isinstance(shown, ImageError) else None

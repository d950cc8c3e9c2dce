"""`darkroom diff`: what of two pictures differs, of their pixels and of their records; or of two experiments.

Records are facts of request, files and environment; names and remarks are none.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from darkroom.display import counted, labelled, printable
from darkroom.errors import ConfigError, ImageError
from darkroom.named_picture import read_record_of
from darkroom.previews import floors_file
from darkroom.record.embedded import EmbeddedRecord
from darkroom.record.rows import Row, read_rows
from darkroom.request.picture_key import PictureKey
from darkroom.review.pair.differences import Difference, differences
from darkroom.review.pair.measures import EQUAL, Measures, measure
from darkroom.review.pair.own_floor import read_floors, told
from darkroom.review.pair.picture_file import read_picture
from darkroom.store import ExperimentFolder

_MOST = 20  # pictures that differ, of two experiments


def diff(first: str, second: str, results: Path) -> tuple[str, bool]:
    """Text for people, and whether nothing differs. Both are pictures, or names of experiments in results/.

    ConfigError for a word that is neither, and for one of each.
    """
    manifests = [ExperimentFolder(results / word).manifest for word in (first, second)]
    is_experiment = [manifest.is_file() for manifest in manifests]
    for word, known in zip((first, second), is_experiment, strict=True):
        if not known and not Path(word).is_file():
            raise ConfigError(f"{word}: neither a picture nor an experiment that was rendered; `darkroom list` has all")
    if len(set(is_experiment)) > 1:
        raise ConfigError(f"{first} and {second}: two pictures are compared, or two experiments, not one of each")
    return diff_experiments(*manifests) if all(is_experiment) else diff_pictures(Path(first), Path(second))


def diff_pictures(first: Path, second: Path) -> tuple[str, bool]:
    """Text for people, and whether the pixels are equal; ImageError for a file that is no picture.

    A picture without a record, of whatever program, is compared by its pixels alone.
    """
    pixels = _measures(first, second)
    then, now = _record(first), _record(second)
    lines = [f"- {first}", f"+ {second}", f"pixels: {'identical' if pixels == EQUAL else pixels}"]
    if isinstance(then, EmbeddedRecord) and isinstance(now, EmbeddedRecord):
        lines += _recorded(differences(then.embedded_row(), now))
    lines += [f"no record: {said}" for said in (then, now) if isinstance(said, str)]
    if isinstance(pixels, Measures) and pixels != EQUAL:
        lines += [said for path, record in ((first, then), (second, now)) for said in _floors(path, record)]
    return "\n".join(map(printable, lines)) + "\n", pixels == EQUAL


def diff_experiments(first: Path, second: Path) -> tuple[str, bool]:
    """The same of two manifests: text, and whether they ask for the same pictures. Errors as for `read_rows`.

    Pictures are the same that have the same model, LoRA, prompts, index and further axes.
    """
    then, now = _rows(first), _rows(second)
    both = [key for key in then if key in now]
    unlike = {key: found for key in both if (found := _unlike(then[key], now[key]))}
    lines = [f"- {first}: {counted(len(then), 'picture')}", f"+ {second}: {counted(len(now), 'picture')}"]
    lines += [f"in both: {len(both)}, of which {len(both) - len(unlike)} ask for the same"]
    facts = Counter(each.name for found in unlike.values() for each in found)
    differing = ((name, counted(count, "picture")) for name, count in facts.most_common())
    lines += [f"  {labelled(name, f'differs in {pictures}')}" for name, pictures in differing]
    for sign, keys in (("-", [key for key in then if key not in now]), ("+", [key for key in now if key not in then])):
        lines += [f"{sign} {key}" for key in keys[:_MOST]]
        lines += [f"{sign} and {len(keys) - _MOST} more"] if len(keys) > _MOST else []
    return "\n".join(map(printable, lines)) + "\n", not unlike and then.keys() == now.keys()


def _measures(first: Path, second: Path) -> Measures | str:
    """How far the pixels are apart, or which sizes they have."""
    then, now = read_picture(first), read_picture(second)
    if then.pixels.shape != now.pixels.shape:
        return f"{then.size} and {now.size} cannot be compared"
    return measure(then.pixels, now.pixels)


def _record(path: Path) -> EmbeddedRecord | str:
    """The record in a picture, or why there is none."""
    try:
        return read_record_of(path)
    except ImageError as error:
        return str(error)


def _floors(path: Path, record: EmbeddedRecord | str) -> Iterator[str]:
    """How far rounding alone takes a picture, where its experiment knows."""
    if isinstance(record, EmbeddedRecord):
        known = read_floors(floors_file(record.request.title.experiment)).values()
        own = [
            each
            for each in known
            if each.encoding is None and (each.request_id, each.environment) == (record.request_id, record.environment)
        ]
        yield from (f"own floor of {path}: {told(each.repeats)}" for each in own)


def _recorded(found: tuple[Difference, ...]) -> Iterator[str]:
    yield "recorded otherwise:" if found else "nothing that is recorded differs"
    yield from (f"  {labelled(each.name, f'{each.then} → {each.now}')}" for each in found)


def _rows(manifest: Path) -> Mapping[PictureKey, Row]:
    rows, _ = read_rows(manifest)
    return {row.key: row for row in rows}


def _unlike(then: Row, now: Row) -> tuple[Difference, ...]:
    """What the requests of one picture do not share; how one that failed would have come out, nobody knows."""
    if then.request_id == now.request_id or not isinstance(now, EmbeddedRecord):
        return ()
    return differences({name: value for name, value in then.row().items() if value is not None}, now)

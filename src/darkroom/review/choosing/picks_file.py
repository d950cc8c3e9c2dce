"""A picks file: what people said of an experiment's pictures. The page exports one, `darkroom picks -o` merges several.

    {"format": 1, "experiment": "star_pick", "people": [
      {"who": "Anna",
       "marks": {"<request id>": {"rating": 4, "star": true, "reject": false, "note": "", "at": "<ISO 8601, UTC>"}},
       "votes": [{"winner": "<request id>", "loser": "<request id>", "at": "<ISO 8601, UTC>"}]}]}

Of one person's marks of a picture the latest counts, and a vote that is in several files counts once. Times of other
forms and zones become what the page writes. The page asks the same of a file: page/script/choosing/form.js.j2.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from darkroom.errors import ConfigError, DarkroomError, raise_together
from darkroom.files.atomic import write_json
from darkroom.files.json_text import parse_json
from darkroom.files.regular_file import is_there, read_text
from darkroom.files.table_file import check_version

FORMAT = 1
RATINGS = range(1, 6)
_CURE = "export the picks again from the page"
_LARGEST = 64_000_000  # bytes: a mark has about 200
_MOST_VALUES = 4_000_000
_LONGEST_NAME, _LONGEST_NOTE = 200, 10_000  # characters
_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Mark:
    """What a person said of one picture; `rating` 1 (bad) to 5. One that says nothing took something back."""

    rating: int | None = None
    star: bool = False
    reject: bool = False
    note: str = ""
    at: str = ""  # ISO 8601, UTC

    @property
    def says_something(self) -> bool:
        return self.rating is not None or self.star or self.reject or bool(self.note)


@dataclass(frozen=True, order=True)
class Vote:
    """Of two pictures, which is better, by request id."""

    at: str  # ISO 8601, UTC
    winner: str
    loser: str


@dataclass(frozen=True)
class Person:
    """One person's marks, by request id, and votes in the order of their times."""

    who: str
    marks: Mapping[str, Mark]
    votes: tuple[Vote, ...]

    @property
    def pictures(self) -> tuple[str, ...]:
        """Those that something is said of, each once."""
        marked = [picture for picture, mark in self.marks.items() if mark.says_something]
        return tuple(dict.fromkeys([*marked, *(each for vote in self.votes for each in (vote.winner, vote.loser))]))


@dataclass(frozen=True)
class Picks:
    """Everybody's, of one experiment; nobody is there twice."""

    experiment: str
    people: tuple[Person, ...]

    def to_json(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}


def merged(experiment: str, several: Iterable[Picks]) -> Picks:
    """Everybody's of several files, by name."""
    people: dict[str, Person] = {}
    for person in (person for picks in several for person in picks.people):
        known = people.get(person.who, Person(person.who, {}, ()))
        marks = dict(known.marks)
        for picture, mark in person.marks.items():
            marks[picture] = max(marks.get(picture, mark), mark, key=_rank)
        people[person.who] = Person(person.who, marks, tuple(sorted({*known.votes, *person.votes})))
    return Picks(experiment, tuple(people[who] for who in sorted(people)))


def _rank(mark: Mark) -> tuple[Any, ...]:
    """The latest first of all; of two at one moment any, but the same whichever file comes first."""
    return mark.at, mark.rating or 0, mark.star, mark.reject, mark.note


def write_picks(path: Path, picks: Picks) -> None:
    """Write the file, whole or not at all."""
    write_json(path, picks.to_json())


def check_output(path: Path, read: Sequence[Path]) -> None:
    """ConfigError where no file can be written there, or one is that is not among those `read`: its picks would go."""
    if not path.name or (is_there(path) and path.is_dir()):
        raise ConfigError(f"-o {path}: expected a file to write, got a folder; name a file in it")
    if is_there(path) and path.is_file() and not any(is_there(each) and each.samefile(path) for each in read):
        raise ConfigError(f"-o {path}: there already, and none of the files read; read it too, or name a new one")


def read_all_picks(paths: Sequence[Path], experiment: str) -> dict[Path, Picks]:
    """Each file's. Problems where some of them are no picks of the experiment."""
    found, errors = {}, []
    for path in paths:
        try:
            found[path] = read_picks(path, experiment)
        except DarkroomError as error:
            errors.append(error)
    raise_together(errors)
    return found


def shared_names(files: Mapping[Path, Picks]) -> Iterator[str]:
    """A sentence on each name that several files have, and not the same picks under it: two people may have it."""
    said: dict[str, dict[Path, Person]] = {}
    for path, picks in files.items():
        for person in picks.people:
            said.setdefault(person.who, {})[path] = person
    for who, persons in said.items():
        if any(person != next(iter(persons.values())) for person in persons.values()):
            where = " and ".join(map(str, persons))
            yield f"{who}: in {where}, taken for one person; of a picture the latest mark counts"


def read_picks(path: Path, experiment: str) -> Picks:
    """ConfigError for a file that is damaged, no picks, or another experiment's; VersionError for a newer one."""
    text = read_text(path, _LARGEST)
    try:
        values = parse_json(text, most=_MOST_VALUES)
    except ValueError as error:
        raise ConfigError(f"{path}: damaged, or no JSON ({error}); {_CURE}") from error
    expected = f"{path}: expected a picks file, with format, experiment and people; {_CURE}"
    if not isinstance(values, dict) or "format" not in values:
        raise ConfigError(expected)
    version = values["format"]
    if type(version) is not int or version < 1:
        raise ConfigError(f"{path}: format: expected {FORMAT}, got {_shown(version)}; {_CURE}")
    check_version(path, version, FORMAT, _CURE)
    if values.keys() != {"format", "experiment", "people"}:
        raise ConfigError(expected)
    if values["experiment"] != experiment:
        raise ConfigError(f"{path}: picks of experiment {_shown(values['experiment'])}, not of {experiment!r}")
    raise_together(_faults_in(values["people"], f"{path}: people"))
    return merged(experiment, [Picks(experiment, (_person(each),)) for each in values["people"]])


def _person(said: Mapping[str, Any]) -> Person:
    marks = {picture: Mark(**mark | {"at": _utc(mark["at"])}) for picture, mark in said["marks"].items()}
    votes = tuple(Vote(**vote | {"at": _utc(vote["at"])}) for vote in said["votes"])
    return Person(said["who"].strip(), marks, votes)


def _utc(text: str) -> str:
    """A time as the page writes it, so that the later is the greater; ValueError or OverflowError where it is none."""
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError("no time zone")
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class _Field:
    """What a value has to be, in words and by a question."""

    expected: str
    fits: Callable[[Any], bool]


_BOOL = _Field("true or false", lambda value: isinstance(value, bool))
_TIME = _Field("a time of ISO 8601 with its zone", lambda value: isinstance(value, str) and _is_time(value))
_PICTURE = _Field("a request id of 64 hex digits", lambda value: isinstance(value, str) and bool(_ID.fullmatch(value)))
_PERSON = {
    "who": _Field("a name", lambda value: isinstance(value, str) and 0 < len(value.strip()) <= _LONGEST_NAME),
    "marks": _Field("an object, by request id", lambda value: isinstance(value, dict)),
    "votes": _Field("a list", lambda value: isinstance(value, list)),
}
_MARK = {
    "rating": _Field("a whole number from 1 to 5, or null", lambda value: value is None or _is_rating(value)),
    "star": _BOOL,
    "reject": _BOOL,
    "note": _Field("a text", lambda value: isinstance(value, str) and len(value) <= _LONGEST_NOTE),
    "at": _TIME,
}
_VOTE = {"winner": _PICTURE, "loser": _PICTURE, "at": _TIME}


def _is_rating(value: Any) -> bool:
    return type(value) is int and value in RATINGS


def _is_time(text: str) -> bool:
    try:
        _utc(text)
    except (ValueError, OverflowError):
        return False
    return True


def _faults_in(people: Any, where: str) -> Iterator[ConfigError]:
    """A sentence for each value that is not as this file's head has it."""
    if not isinstance(people, list):
        yield _fault(where, "a list", people)
        return
    for number, person in enumerate(people):
        here = f"{where}[{number}]"
        if faults := list(_faults_of(person, _PERSON, here)):
            yield from faults
            continue
        for picture, mark in person["marks"].items():
            if not _PICTURE.fits(picture):
                yield _fault(f"{here}.marks", _PICTURE.expected, picture)
            yield from _faults_of(mark, _MARK, f"{here}.marks.{picture:.12}")
        for place, vote in enumerate(person["votes"]):
            yield from _faults_of(vote, _VOTE, f"{here}.votes[{place}]")


def _faults_of(found: Any, known: Mapping[str, _Field], where: str) -> Iterator[ConfigError]:
    """Of an object that has to have these keys and no others, each with a value that fits."""
    if not isinstance(found, dict) or found.keys() != known.keys():
        yield _fault(where, f"an object of {', '.join(known)}", list(found) if isinstance(found, dict) else found)
        return
    for key, field in known.items():
        if not field.fits(found[key]):
            yield _fault(f"{where}.{key}", field.expected, found[key])


def _fault(where: str, expected: str, got: Any) -> ConfigError:
    return ConfigError(f"{where}: expected {expected}, got {_shown(got)}; {_CURE}")


def _shown(value: Any) -> str:
    return f"{value!r:.80}"

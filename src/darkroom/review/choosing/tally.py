"""What people's picks come to: for each candidate its ratings, stars and rejects, and how often it won a vote."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from darkroom.display import counted, named
from darkroom.errors import ConfigError
from darkroom.record.rows import Row
from darkroom.review.choosing.candidate import Candidate, candidates_of, scene_of
from darkroom.review.choosing.picks_file import Mark, Picks, Vote
from darkroom.review.choosing.ranking import Ranking, ranked, wilson


@dataclass(frozen=True)
class Tally:
    """Of one candidate. `marks`: everybody's of its pictures."""

    pictures: int
    marks: tuple[Mark, ...]
    won: int
    lost: int

    @property
    def ratings(self) -> list[int]:
        return [mark.rating for mark in self.marks if mark.rating is not None]

    @property
    def mean(self) -> float | None:
        """Of the ratings, 1 to 5; None without any."""
        return sum(self.ratings) / len(self.ratings) if self.ratings else None

    @property
    def stars(self) -> int:
        return sum(mark.star for mark in self.marks)

    @property
    def rejects(self) -> int:
        return sum(mark.reject for mark in self.marks)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's, of the share of votes won."""
        return wilson(self.won, self.won + self.lost)


@dataclass(frozen=True)
class Result:
    """`votes`: (winner, loser); `passed_over`: sentences on what counted for nothing."""

    tallies: Mapping[Candidate, Tally]
    votes: tuple[tuple[Candidate, Candidate], ...]
    passed_over: tuple[str, ...]

    def ranking(self, eligible: Collection[Candidate] | None = None) -> Ranking[Candidate] | None:
        """Who leads, of all or of these; None without votes on them."""
        return ranked(self.votes, list(self.tallies), eligible)

    def together(self, candidates: Collection[Candidate]) -> Tally:
        """Of several candidates as one."""
        own = [self.tallies[each] for each in candidates]
        return Tally(
            pictures=sum(each.pictures for each in own),
            marks=tuple(mark for each in own for mark in each.marks),
            won=sum(each.won for each in own),
            lost=sum(each.lost for each in own),
        )


def tally(rows: Sequence[Row], picks: Picks) -> Result:
    """Count the picks of an experiment's rows. ConfigError where none of the pictures is the experiment's."""
    # 1. Whose pictures they are: a picture may be several candidates', as one at strength 0 is
    candidates = candidates_of(rows)
    whose: dict[str, set[Candidate]] = defaultdict(set)
    scenes: dict[str, set[Any]] = defaultdict(set)  # several, where prompts of a set are equal
    for candidate, own in candidates.items():
        for row in own:
            whose[row.request_id].add(candidate)
            scenes[row.request_id].add(scene_of(row.request))
    passed_over = list(_strangers(picks, whose))
    # 2. The marks
    marks: dict[Candidate, list[Mark]] = defaultdict(list)
    for person in picks.people:
        for picture, mark in person.marks.items():
            for candidate in whose.get(picture, ()) if mark.says_something else ():
                marks[candidate].append(mark)
    # 3. The votes
    known = [vote for person in picks.people for vote in person.votes if {vote.winner, vote.loser} <= whose.keys()]
    fair = [vote for vote in known if scenes[vote.winner] & scenes[vote.loser]]
    if len(fair) < len(known):
        passed_over.append(f"{counted(len(known) - len(fair), 'vote')} between pictures of different prompts or seeds")
    pairs = [pair for vote in fair for pair in _pairs(vote, whose)]
    # 4. Together
    won, lost = (Counter(pair[side] for pair in pairs) for side in (0, 1))
    tallies = {each: Tally(len(own), tuple(marks[each]), won[each], lost[each]) for each, own in candidates.items()}
    return Result(tallies, tuple(pairs), tuple(passed_over))


def _pairs(vote: Vote, whose: Mapping[str, Collection[Candidate]]) -> list[tuple[Candidate, Candidate]]:
    return [(winner, loser) for winner in whose[vote.winner] for loser in whose[vote.loser] if winner != loser]


def _strangers(picks: Picks, known: Collection[str]) -> Iterator[str]:
    """What to say of pictures that the experiment has not; ConfigError where it has none of them."""
    pictures = {picture for person in picks.people for picture in person.pictures}
    if pictures and pictures.isdisjoint(known):
        raise ConfigError(
            f"none of the {len(pictures)} pictures of these picks is in the manifest of {picks.experiment}: "
            "they are of another run; export them again from the page that there is now"
        )
    for person in picks.people:
        if unknown := [picture[:12] for picture in person.pictures if picture not in known]:
            of = f"{len(unknown)} of the {counted(len(person.pictures), 'picture')} of {person.who}"
            yield f"{of}, which the experiment has not, or not any more: {named(unknown)}"

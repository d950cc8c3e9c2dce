"""The tally of an experiment's picks as a table, and what can be said of the best."""

from collections.abc import Iterator

from darkroom.display import counted, named, printable, table
from darkroom.review.choosing.candidate import Candidate
from darkroom.review.choosing.picks_file import Picks
from darkroom.review.choosing.tally import Result, Tally

_HEADS = ("step", "LoRA", "strength", "pictures", "rated", "mean", "stars", "rejects", "won", "95 %")


def told(picks: Picks, result: Result) -> str:
    """For people: a line for each candidate, then the best if the votes allow to say so, then what did not count."""
    people = [person.who for person in picks.people]
    models = {candidate.model for candidate in result.tallies}
    head = f"{picks.experiment}: picks of {named(people, 8)}" if people else f"{picks.experiment}: nobody's picks"
    rows = [_row(candidate, each, len(models) > 1) for candidate, each in result.tallies.items()]
    heads = (*_HEADS, "model") if len(models) > 1 else _HEADS
    lines = [head, "", *table([heads, *rows], right=(0, 2, 3, 4, 5, 6, 7, 8, 9)), "", *_best(result)]
    return "".join(f"{printable(line)}\n" for line in lines) + without_effect(result)


def without_effect(result: Result) -> str:
    """A line for each kind of marks and votes that count for nothing."""
    return "".join(printable(f"Without effect: {what}") + "\n" for what in result.passed_over)


def _row(candidate: Candidate, each: Tally, with_model: bool) -> tuple[str, ...]:
    step = "" if candidate.step is None else str(candidate.step)
    further = "".join(f", {name.partition('.')[2]} {value}" for name, value in candidate.further)
    strength = "" if candidate.strength is None else f"{candidate.strength:g}{further}"
    low, high = (f"{100 * end:.0f}" for end in each.interval)
    votes = each.won + each.lost
    return (
        step,
        candidate.lora,
        strength,
        str(each.pictures),
        str(len(each.ratings) or ""),
        "" if each.mean is None else f"{each.mean:.2f}",
        str(each.stars or ""),
        str(each.rejects or ""),
        f"{each.won} of {votes}" if votes else "",
        f"{low}–{high}" if votes else "",
        *((candidate.model,) if with_model else ()),
    )


def _best(result: Result) -> Iterator[str]:
    ranking = result.ranking()
    if ranking is None:
        yield "Nobody voted, so no best is named: `Compare blind` on the page asks for votes."
        return
    several = len({candidate.model for candidate in result.tallies}) > 1
    leader = _name(ranking.leader, several)
    rivals = [_name(each, several) for each in ranking.rivals]
    votes = len(result.votes)
    others = sum(1 for each in result.tallies.values() if each.won + each.lost) - 1
    if rivals:
        yield f"No best yet: {leader} leads, and by {counted(votes, 'vote')} {named(rivals)} may be as good."
    else:
        yield f"Best: {leader}, ahead of {_all(others)} at 95 %, by {counted(votes, 'vote')}."
    if unseen := [_name(candidate, several) for candidate, each in result.tallies.items() if not each.won + each.lost]:
        yield f"Without a vote: {named(unseen)}."


def _name(candidate: Candidate, with_model: bool) -> str:
    return f"{candidate} on {candidate.model}" if with_model else str(candidate)


def _all(others: int) -> str:
    return "the other" if others == 1 else f"each of the {others} others"

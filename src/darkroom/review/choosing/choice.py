"""The checkpoint that `darkroom pick` copies: which one is meant, its files, at which strength, and its pictures."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from darkroom.display import named
from darkroom.errors import ConfigError
from darkroom.lora_files.training.file_name import read_option
from darkroom.names import as_name
from darkroom.record.rows import Record, Row
from darkroom.request.parts import Lora
from darkroom.review.choosing.candidate import Candidate, candidates_of
from darkroom.review.choosing.tally import Result

_MOST = 12  # values that a sentence lists


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What somebody said of the checkpoint; None where they said nothing."""

    step: int | None = None
    strength: float | None = None
    lora: str | None = None
    model: str | None = None


@dataclass(frozen=True)
class Choice:
    """One LoRA, a file or a stack of them. `files`: each at its own strength times `strength`, as conf/lora/ says it.

    `strength`: that was chosen; None: none was, and the files are as they were trained. `rows`: those of its pictures
    that are there. `candidates`: it at each strength, on each model, that these have.
    """

    candidates: tuple[Candidate, ...]
    strength: float | None
    files: tuple[Lora, ...]
    rows: tuple[Record, ...]

    @property
    def lora(self) -> str:
        """The option's name, as on the sheet."""
        return self.candidates[0].lora

    @property
    def step(self) -> int | None:
        return self.candidates[0].step

    @property
    def name(self) -> str:
        """For its option of conf/lora/: that of its run, and no value's of a folder of checkpoints."""
        return as_name(f"{read_option(self.lora).run}_pick")

    @property
    def trigger_word(self) -> str | None:
        """The one that most of its pictures were rendered with."""
        words = Counter(row.request.asked.trigger_word for row in self.rows)
        return words.most_common(1)[0][0]

    @property
    def allow_foreign_lora(self) -> bool:
        return self.rows[0].request.adapters.allow_foreign_lora

    def content(self, paths: Sequence[str]) -> dict[str, Any]:
        """What conf/lora/ says of it; `paths`: where its files lie."""
        files = zip(self.files, paths, strict=True)
        return {
            **({"trigger_word": self.trigger_word} if self.trigger_word else {}),
            "loras": [{"path": path, "network_multiplier": file.network_multiplier} for file, path in files],
            **({"allow_foreign_lora": True} if self.allow_foreign_lora else {}),
        }

    def __str__(self) -> str:
        return self.lora if self.strength is None else f"{self.lora} at {self.strength:g}"


def choose(experiment: str, rows: Sequence[Row], wish: Wish, result: Result | None = None) -> Choice:
    """The one checkpoint that fits a wish, or of those that fit the best by people's votes.

    ConfigError with what there is, where none fits, or several and nobody's votes tell them apart.
    """
    fitting = _fitting(experiment, [each for each in candidates_of(rows) if each.has_lora], wish)
    if len({(each.lora, each.further) for each in fitting}) > 1:
        best = _best(experiment, fitting, result)
        fitting, wish = [best], replace(wish, strength=best.strength)
    return _choice(fitting, rows, wish.strength)


def _fitting(experiment: str, candidates: Sequence[Candidate], wish: Wish) -> list[Candidate]:
    """Those that fit all that was said; ConfigError names the first of its parts that nothing fits."""
    if not candidates:
        raise ConfigError(f"{experiment}: has no LoRA, only base models, so there is no checkpoint to pick")
    for key, said in vars(wish).items():
        fitting = [each for each in candidates if said is None or each.fits(key, said)]
        if not fitting:
            raise ConfigError(f"--{key} {_plain(said)}: {experiment} has {_values(candidates, key)}")
        candidates = fitting
    return list(candidates)


def _best(experiment: str, fitting: Sequence[Candidate], result: Result | None) -> Candidate:
    if result is None:
        several = len({(each.lora, each.further) for each in fitting})
        raise ConfigError(
            f"{experiment}: {several} LoRAs fit: say which with {_telling(fitting)}, or take the best by votes with "
            "--picks FILE"
        )
    ranking = result.ranking(fitting)
    if ranking is None:
        raise ConfigError(
            f"{experiment}: nobody has voted on those that fit in these picks; say which with {_telling(fitting)}"
        )
    if ranking.rivals:
        rivals = named([str(each) for each in ranking.rivals])
        raise ConfigError(
            f"{experiment}: {ranking.leader} leads, but {rivals} may be as good; more votes tell, or say which with "
            "--step and --strength"
        )
    return ranking.leader


def _telling(fitting: Sequence[Candidate]) -> str:
    """The option that tells their LoRAs apart, with what it can be."""
    stacks = {(each.lora, each.further) for each in fitting}
    by_step = len({each.step for each in fitting} - {None}) == len(stacks)
    return f"--step ({_values(fitting, 'step')})" if by_step else f"--lora ({_values(fitting, 'lora')})"


def _choice(fitting: Sequence[Candidate], rows: Sequence[Row], strength: float | None) -> Choice:
    own = [row for row in rows if Candidate.of(row.request) in set(fitting)]
    there = tuple(row for row in own if isinstance(row, Record))
    if not there:
        raise ConfigError(f"{fitting[0]}: none of its pictures was rendered; render them, then pick")
    return Choice(tuple(fitting), strength, _files(own, strength), there)


def _files(rows: Sequence[Row], strength: float | None) -> tuple[Lora, ...]:
    """The stack at a strength: each row has every file's own strength times that of its picture."""
    request = max((row.request for row in rows), key=lambda request: abs(request.asked.network_multiplier))
    factor = (1.0 if strength is None else strength) / (request.asked.network_multiplier or 1.0)
    return tuple(
        replace(file, network_multiplier=round(file.network_multiplier * factor, 6)) for file in request.adapters.loras
    )


def _values(candidates: Iterable[Candidate], key: str) -> str:
    values = list(dict.fromkeys(getattr(each, key) for each in candidates if getattr(each, key) is not None))
    return named([_plain(value) for value in sorted(values)], _MOST) or "none"


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

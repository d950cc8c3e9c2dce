"""The scorers that an experiment asks for: `score: [change, diversity]`, each a file of conf/score/."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from darkroom.display import named
from darkroom.errors import ConfigError, Reading
from darkroom.files.weight_file import identity
from darkroom.names import name_fault
from darkroom.plan.conf.compose import Conf
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.reader import read
from darkroom.request import digest_of
from darkroom.scoring.scorer import KEYS, Scorer


def read_scorers_of(conf: Conf) -> Reading[dict[str, Scorer]]:
    """By name, in the order in which they are asked for; one that cannot be read is an error."""
    made = {}
    for number, name in enumerate(conf.root["score"]):
        where = conf.origin("").at(f"score[{number}]")
        if not isinstance(name, str) or (fault := name_fault(name)):
            yield ConfigError(f"{where}: {fault if isinstance(name, str) else f'expected a name, got {name!r}'}")
            continue
        try:
            option = conf.scorer(name, where)
            content = option.resolved(conf.visible)
        except ConfigError as error:
            yield error
            continue
        scorer = yield from read(Scorer, content, option.origin)
        if scorer is not None:
            yield from _faults(scorer, option.origin)
            made[name] = scorer
    return made


def digest_of_scorer(scorer: Scorer) -> str:
    """Changes with what conf/ says of it, and with the pictures that it compares with."""
    return digest_of([asdict(scorer), [identity(path) for path in _references(scorer)]])[:16]


def _references(scorer: Scorer) -> list[Path]:
    folder = Path(scorer.references) if scorer.references else None
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder and folder.is_dir() else []


def _faults(scorer: Scorer, origin: Origin) -> Iterator[ConfigError]:
    needed, every = KEYS[scorer.kind], {key for keys in KEYS.values() for key in keys}
    given: dict[str, Any] = {key: getattr(scorer, key) for key in sorted(every)}
    for key in needed:
        if not given[key]:
            yield ConfigError(f"{origin.at(key)}: is missing; kind {scorer.kind} needs {named(needed)}")
    for key in sorted(every - {*needed}):
        if given[key] is not None:
            yield ConfigError(f"{origin.at(key)}: kind {scorer.kind} has no use for it; leave it out")
    if scorer.references and not _references(scorer):
        yield ConfigError(f"{origin.at('references')}: {scorer.references}: expected a folder with pictures in it")

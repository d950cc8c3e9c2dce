"""The scorers that an experiment asks for: `score: [change, diversity]`, each a file of conf/score/."""

import shutil
from collections.abc import Iterator, Sequence, Set
from dataclasses import asdict
from pathlib import Path
from typing import Any

from darkroom.display import named
from darkroom.errors import ConfigError, Reading
from darkroom.files.columns import columns_of
from darkroom.files.weight_file import identity
from darkroom.names import name_fault
from darkroom.plan.conf.compose import Conf
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.reader import read
from darkroom.record.rows import Record
from darkroom.request.digest import digest_of
from darkroom.request.request import Request
from darkroom.scoring.command import words_of
from darkroom.scoring.compared import have_two_seeds, is_of_base
from darkroom.scoring.scorer import CHANGE, DIVERSITY, KEYS, Scorer

_OF_THE_PAGE = ("step", "strength", "guidance", "prompt_set", "verdict", "warning")  # besides the manifest's columns


def read_scorers_of(conf: Conf, requests: Sequence[Request]) -> Reading[dict[str, Scorer]]:
    """By name, in the order in which they are asked for; one that cannot be read, or has nothing to score, is an error.

    `requests`: of all pictures, none where those could not be read.
    """
    made = {}
    taken = {*columns_of(Record), *_OF_THE_PAGE, *(key.split(".")[0].lower() for key in conf.root["matrix"])}
    for number, name in enumerate(conf.root["score"]):
        where = conf.origin("").at(f"score[{number}]")
        if not isinstance(name, str) or (fault := name_fault(name)):
            yield ConfigError(f"{where}: {fault if isinstance(name, str) else f'expected a name, got {name!r}'}")
            continue
        if fault := _clash(name, taken, [each for each in conf.root["score"] if isinstance(each, str)]):
            yield ConfigError(f"{where}: {fault}: give the score another name")
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
            yield from _idle(name, scorer, requests, where) if requests else ()
            made[name] = scorer
    return made


def _clash(name: str, taken: Set[str], scores: Sequence[str]) -> str | None:
    """What else the page finds by this name, in which case is nothing; a score's columns are `score.column`."""
    if (first := name.split(".")[0]).lower() in taken:
        return f"{first} is an axis or a column of the manifest"
    return next((f"{name} is a column of the score {each}" for each in scores if name.startswith(f"{each}.")), None)


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
    if scorer.command and "command" in needed:
        yield from _command_faults(scorer.command, str(origin.at("command")))


def _command_faults(command: str, where: str) -> Iterator[ConfigError]:
    try:
        program = words_of(where, command)[0]
    except ConfigError as error:
        yield error
        return
    if shutil.which(program) is None:
        yield ConfigError(f"{where}: {program}: expected a program, by its path or in PATH; there is none to be run")


def _idle(name: str, scorer: Scorer, requests: Sequence[Request], where: str) -> Iterator[ConfigError]:
    """What would have no picture to compare with."""
    if scorer.kind == CHANGE and not any(map(is_of_base, requests)):
        yield ConfigError(f"{where}: {name}: there is no picture of the base model: add none to matrix.lora")
    if scorer.kind == DIVERSITY and not have_two_seeds(requests):
        yield ConfigError(f"{where}: {name}: no prompt has two seeds: add seed: 1..4 to matrix")

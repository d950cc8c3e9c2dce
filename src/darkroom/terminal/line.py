"""`darkroom run X key=value … --option …` → the one Snakemake line that does it.

Snakemake's own parser says which words are options of its, and their values. Of the rest the word without a `=` is the
experiment, and `key=value` are overrides, wherever they stand.
"""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from darkroom import OWN_FOLDER
from darkroom.errors import ConfigError, Reading
from darkroom.terminal.profile import found

_PROFILE = Path("profiles/default")


@dataclass(frozen=True)
class TypedRun:
    """What a person typed, sorted."""

    experiment: str | None  # None: not named
    overrides: tuple[str, ...]
    options: tuple[str, ...]  # of Snakemake, with their values
    is_dry_run: bool
    names_snakefile: bool
    profiles: tuple[str, ...]  # of --profile, or $SNAKEMAKE_PROFILE
    names_workflow_profile: bool


class _Word(str):
    """A word of the command line, which is the same object wherever the parser puts it."""


def read_words(words: Sequence[str]) -> Reading[TypedRun]:
    """The words after `darkroom run`, but for Darkroom's own options."""
    typed = [_Word(word) for word in words]
    known, unknown = _snakemakes(typed)
    yield from _option_faults(known, [word for word in unknown if word.startswith("-")])
    bare = [word for word in typed if any(word is each for each in (*known.targets, *unknown))]
    bare = [word for word in bare if not word.startswith("-")]
    names = [word for word in bare if not _is_override(word)]
    if len(names) > 1:
        yield ConfigError(f"one experiment at a time: got {' and '.join(names)}; overrides are written key=value")
    return TypedRun(
        experiment=str(names[0]) if names else None,
        overrides=tuple(str(word) for word in bare if _is_override(word)),
        options=tuple(_option(word, known.profile or ()) for word in typed if not any(word is each for each in bare)),
        is_dry_run=known.dryrun,
        names_snakefile=known.snakefile is not None,
        profiles=tuple(map(str, known.profile or ())),
        names_workflow_profile=known.workflow_profile is not None,
    )


def snakemake_line(
    wish: TypedRun, target: str | None = None, name: str | None = None, *, fresh: bool = False
) -> list[str]:
    """The whole line; `name`: of a variant, in results/; `fresh`: everything is rendered anew."""
    assert wish.experiment is not None
    config = [f"experiment={_as_text(wish.experiment)}"]
    config += [] if name is None else [f"name={_as_text(name)}"]
    config += ["fresh=True"] if fresh else []
    config += [f"set={json.dumps(wish.overrides, ensure_ascii=False)}"] if wish.overrides else []
    return [
        *(sys.executable, "-P", "-m", "snakemake"),  # -P: no yaml.py of the working folder is taken for the library
        *([target] if target else []),
        *([] if wish.names_snakefile else ["-s", str(OWN_FOLDER / "Snakefile")]),
        *("--quiet", "host"),  # the built-in profile keeps more from a terminal; this is a log
        *_profiles(wish),
        *wish.options,
        *(["--forcerun", "encode", "render"] if fresh else []),
        *("--config", *config),
    ]


def _profiles(wish: TypedRun) -> Iterator[str]:
    """Darkroom's own first: a later one goes ahead, and one beside the person's own conf/ ahead of all."""
    if wish.profiles != ("none",):
        yield from ("--profile", str(OWN_FOLDER / _PROFILE))
    if "--profile" not in {option.partition("=")[0] for option in wish.options}:
        for profile in wish.profiles:  # of the environment, which counts only where no option is given
            yield from ("--profile", found(profile))
    if not wish.names_workflow_profile:
        yield from ("--workflow-profile", str(_PROFILE) if _PROFILE.is_dir() else "none")


def _option(word: str, profiles: Sequence[str]) -> str:
    """A word as it was typed; a profile of Darkroom's own by its folder."""
    if word.startswith("--profile="):
        return f"--profile={found(word.removeprefix('--profile='))}"
    return found(word) if any(word is each for each in profiles) else str(word)


def _is_override(word: str) -> bool:
    return "=" in word or word.startswith("~")


def _as_text(name: str) -> str:
    """What Snakemake reads as this text: of 007 and 1.10 it would make numbers."""
    from snakemake.cli import parse_config

    return name if parse_config([f"experiment={name}"])["experiment"] == name else f"!!str {name}"


def _snakemakes(words: Sequence[str]) -> tuple[Any, list[str]]:
    """What Snakemake's own parser makes of the words, and those that it knows nothing of."""
    from snakemake.cli import get_argument_parser
    from snakemake.exceptions import CliException

    def refuse(message: str) -> NoReturn:
        raise ConfigError(f"{message} (an option of Snakemake's: snakemake --help)")

    parser = get_argument_parser()
    parser.error = refuse
    try:
        known, unknown = parser.parse_known_args(words)
    except CliException as error:  # of a value, where a parser's own error would be expected
        refuse(error.msg)
    except ValueError as error:  # of a word that Snakemake takes apart without a look at it
        refuse(f"a value cannot be read ({error}); an option of several takes what follows: put key=value first")
    return known, unknown


def _option_faults(known: Any, unknown: Sequence[str]) -> Iterator[ConfigError]:
    for word in unknown:
        yield ConfigError(f"{word}: neither Darkroom nor Snakemake has such an option")
    if known.config is not None:
        yield ConfigError("--config: is what Darkroom writes; the experiment and key=value overrides are bare words")
    if known.directory is not None:
        yield ConfigError(f"--directory: go there first: cd {os.fspath(known.directory)}")

"""What the Tab key completes, by argcomplete: commands, options, experiments, pictures, overrides. Nothing slow.

A command says what completes an argument of its own: `completes(parser.add_argument("experiment"), experiments)`.
"""

import argparse
import os
from collections.abc import Callable, Iterable
from dataclasses import Field, fields
from typing import Any

from darkroom.cli import HIDDEN, described

Completer = Callable[..., Iterable[str]]  # of argcomplete: prefix, action, parser, parsed_args as keywords

SHELLS = ("bash", "zsh", "fish")
_PICTURES = ("png", "jpg", "jpeg", "webp")


def complete_if_asked(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks what could be typed next, and end; nothing where none asks."""
    if _is_asked():
        from argcomplete import autocomplete

        autocomplete(parser, always_complete_options=False, exclude=HIDDEN)


def _is_asked() -> bool:
    return "_ARGCOMPLETE" in os.environ


def shell_code(shell: str) -> str:
    """What a shell has to run once to ask."""
    from argcomplete.shell_integration import shellcode

    return str(shellcode(["darkroom"], shell=shell))


def completes(argument: argparse.Action, completer: Completer) -> None:
    """Let a completer answer for an argument; without one it is a file."""
    setattr(argument, "completer", completer)  # noqa: B010  argcomplete's way; argparse's classes do not know it


def completes_words(parser: argparse.ArgumentParser, completer: Completer) -> None:
    """Let a completer answer for words that argparse leaves to the command, and knows of only where a shell asks."""
    if _is_asked():
        completes(parser.add_argument("words", nargs="*"), completer)


def experiments(**_: Any) -> list[str]:
    return described()


def pictures(prefix: str, **_: Any) -> Iterable[str]:
    """Pictures, and the folders on the way to them."""
    from argcomplete.completers import FilesCompleter

    found: Iterable[str] = FilesCompleter(_PICTURES)(prefix)
    return found


def overrides(**_: Any) -> list[str]:
    """`model.numerics=fast`, `matrix.model=flux2_klein_4b`: keys of conf/, with the value where there is a choice."""
    from darkroom.plan.conf.schema import AXIS_GROUPS, Model, Output, Settings

    chosen = [f"matrix.{group}={name}" for group in AXIS_GROUPS for name in described(group)]
    axes = [f"matrix.{each.name}=" for each in fields(Settings)]
    values = [value for group, cls in (("model", Model), ("output", Output)) for value in _values(group, fields(cls))]
    return [*chosen, *axes, *values]


def _values(group: str, keys: Iterable[Field[Any]]) -> Iterable[str]:
    for key in keys:
        for value in key.metadata.get("one_of", ("",)):
            yield f"{group}.{key.name}={value}"

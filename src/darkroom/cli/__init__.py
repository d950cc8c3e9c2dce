"""The command line: what rules call, and what people type. Each command imports its room when it runs."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from darkroom.render.device.mode import AUTO, WISHES  # numbers and words, no torch

Command = Callable[[argparse.Namespace], int | None]  # the exit status; None is 0


class Commands:
    """The subcommands of `darkroom`, as they are added."""

    def __init__(self, subparsers: Any) -> None:
        self._subparsers = subparsers

    def add(self, name: str, command: Command, what: str) -> argparse.ArgumentParser:
        """A command of people's, whose errors go to the terminal."""
        parser: argparse.ArgumentParser = self._subparsers.add_parser(name, help=what, description=what)
        parser.set_defaults(command=command, log=None)
        return parser

    def add_group(self, name: str, what: str) -> "Commands":
        """A command that has commands of its own."""
        parser = self._subparsers.add_parser(name, help=what, description=what)
        return Commands(parser.add_subparsers(required=True, metavar="WHAT"))

    def add_for_rule(self, name: str, command: Command, what: str) -> argparse.ArgumentParser:
        """A command with --log, where its errors go as well."""
        parser = self.add(name, command, what)
        parser.add_argument("--log", type=Path, help="a file for errors, besides the terminal")
        return parser


def add_offload(parser: argparse.ArgumentParser) -> None:
    """--offload, as a profile and a person may wish for it."""
    parser.add_argument(
        "--offload", choices=list(WISHES), default=AUTO, help="where weights rest between uses (docs/memory.md)"
    )

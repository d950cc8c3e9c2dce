"""The command line: what people type, in groups, and what rules call. Each command imports its room when it runs."""

import argparse
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from darkroom.display import suggestion
from darkroom.render.device.mode import AUTO, WISHES  # numbers and words, no torch

RENDER, LOOK, CHOOSE = "Render", "Look", "Choose"  # the groups
PREVIEWS, IMPORT, MACHINE = "Previews", "Import", "This machine"

HIDDEN = ("rule",)  # what Darkroom itself calls

Command = Callable[[argparse.Namespace], int | None]  # the exit status; None is 0
AddCommand = Callable[[str, Command, str], ArgumentParser]  # by its name, what it does, and that in words


class Parser(ArgumentParser):
    """Takes options and words in any order, and answers a command that there is not with the closest there is."""

    def __init__(self, **settings: Any) -> None:
        self.commands: Mapping[str, ArgumentParser] = {}  # by name; none where the parser is itself one
        self._list: argparse.Action | None = None  # of words, such as KEY=VALUE …
        super().__init__(**settings)

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        """As argparse's; a list of words it remembers."""
        argument = super().add_argument(*names, **settings)
        if not argument.option_strings and argument.nargs in ("*", "+"):
            self._list = argument
        return argument

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """As argparse's; but a list of words goes on behind an option, where argparse ends it."""
        args = list(sys.argv[1:] if args is None else args)
        command = next((word for word in args if not word.startswith("-")), None)
        if self.commands and command is not None and command not in self.commands:
            shown = [name for name in self.commands if name not in HIDDEN]
            self.error(f"there is no command {command!r}; {suggestion(command, shown)}")
        options, left = super().parse_known_args(args, namespace)
        words = [word for word in left if not word.startswith("-")]
        if self._list is None or not words:
            return options, left
        read = self._list.type if callable(self._list.type) else str
        setattr(options, self._list.dest, [*getattr(options, self._list.dest), *map(read, words)])
        return options, [word for word in left if word.startswith("-")]


class Commands:
    """The subcommands of a parser, as they are added; its help lists those that people type, in groups."""

    def __init__(self, parser: Parser, *, prog: str, metavar: str) -> None:
        self._parser = parser
        self._subparsers: Any = parser.add_subparsers(prog=prog, metavar=metavar, help=argparse.SUPPRESS)
        parser.commands = self._subparsers.choices
        self._groups: dict[str, list[tuple[str, str]]] = {}  # heading → (name, what it does)
        parser.formatter_class = argparse.RawDescriptionHelpFormatter
        parser.set_defaults(command=self._help, log=None, passes_on=False)

    def add(self, group: str, name: str, command: Command, what: str, example: str | None = None) -> ArgumentParser:
        """A command, below its group's heading. Its errors go to the terminal."""
        self._list(group, name, what)
        parser: ArgumentParser = self._subparsers.add_parser(
            name, help=what, description=what, epilog=f"example: darkroom {example}" if example else None
        )
        parser.set_defaults(command=command, log=None)
        return parser

    def add_family(self, group: str, name: str, what: str) -> "Commands":
        """A command that has commands of its own."""
        self._list(group, name, what)
        return self._family(name, what, help=what)

    def add_hidden_family(self, name: str, what: str) -> "Commands":
        """The same, listed nowhere: for what is HIDDEN."""
        return self._family(name, what)

    def _family(self, name: str, what: str, **listed: str) -> "Commands":
        parser = self._subparsers.add_parser(name, description=what, **listed)
        return Commands(parser, prog=parser.prog, metavar="WHAT")

    def _list(self, group: str, name: str, what: str) -> None:
        self._groups.setdefault(group, []).append((name, what))
        width = max(len(name) for commands in self._groups.values() for name, _ in commands)
        blocks = (
            "\n".join([f"{heading}:", *(f"  {name:{width}}  {what}" for name, what in commands)])
            for heading, commands in self._groups.items()
        )
        self._parser.epilog = "\n\n".join(blocks)

    def _help(self, options: argparse.Namespace) -> None:
        self._parser.print_help()


def add_offload(parser: ArgumentParser) -> None:
    """--offload, as a profile and a person may wish for it."""
    parser.add_argument(
        "--offload", choices=list(WISHES), default=AUTO, help="where weights rest between uses (docs/memory.md)"
    )


def described(group: str = "experiment") -> list[str]:
    """The experiments of conf/, the working directory's and Darkroom's own; or what another group has."""
    from darkroom.plan.conf.folders import CONF_DIRS, existing_folders

    return existing_folders(CONF_DIRS).names(group)


def agreed(question: str) -> bool:
    """What a person answers on the terminal; without one nobody is asked, and --yes is said to be the way."""
    if not sys.stdin.isatty():
        print("The input is no terminal, so nobody is asked: --yes agrees.")
        return False
    return asked(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def asked(question: str) -> str:
    """What a person types on the terminal; Ctrl-D is Ctrl-C."""
    try:
        return input(question)
    except EOFError:
        print()
        raise KeyboardInterrupt from None

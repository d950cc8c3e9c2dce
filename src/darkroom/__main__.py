"""`darkroom`: runs one command and turns its errors into sentences and an exit status."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from darkroom import __version__
from darkroom.cli import Command, Commands, people, rules
from darkroom.errors import DarkroomError


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    command: Command = options.command
    try:
        return command(options) or 0
    except DarkroomError as error:
        _tell(f"darkroom: {error}", options, shown="darkroom: the same error again" if error.again else "")
        return 1
    except BrokenPipeError:  # `darkroom show … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        _tell("darkroom: interrupted; finished images are kept", options)
        return 130
    except Exception as error:  # a bug of ours or of a library
        said = f"darkroom: internal error: {type(error).__name__}: {error}"
        _tell(f"{said}\n{traceback.format_exc()}", options, shown=said if options.log else "")
        return 1


def _tell(text: str, options: argparse.Namespace, shown: str = "") -> None:
    """Say it in the terminal, or `shown` in its place, and whole in the job's log."""
    print(shown or text, file=sys.stderr)
    if options.log is None:
        return
    try:
        with options.log.open("a", encoding="utf-8") as file:
            print(text, file=file)
    except OSError as error:  # a full disk is what the text may be about
        print(f"darkroom: {options.log}: cannot be written: {error.strerror}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="darkroom", description="What Snakemake's rules call, and what people type.")
    parser.add_argument("--version", action="version", version=f"darkroom {__version__}")
    commands = Commands(parser.add_subparsers(required=True, metavar="COMMAND"))
    people.add_to(commands)
    rules.add_to(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())

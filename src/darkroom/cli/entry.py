"""Runs one command of `darkroom`, and turns its errors into sentences and an exit status."""

import argparse
import errno
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from darkroom import __version__, look_for_garbage_seldom
from darkroom.cli import (
    Command,
    Commands,
    Parser,
    choosing,
    importing,
    keeping,
    looking,
    machine,
    planning,
    rendering,
    rules,
    sharing,
    watching,
)
from darkroom.cli.completing import complete_if_asked
from darkroom.display import LINES, printable
from darkroom.errors import ConfigError, DarkroomError, StoppedError
from darkroom.filesystem.direct import open_direct, why
from darkroom.job_errors import JobError, begin_job, end_job, read_job_error
from darkroom.machine.shadows import told_of_shadows
from darkroom.telling.messages import JobFailed, tell

# What no program can do anything about: rights, room, open files, a disk or a server that fails.
_OF_THE_MACHINE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT),
    *(errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE),
}
_NO_MEMORY = (
    "no memory is left for this process; a limit (ulimit -v, a container's, a job's) may hold it to less than the "
    "machine has"
)


def run(arguments: Sequence[str] | None = None) -> int:
    _open_what_is_closed()
    look_for_garbage_seldom()
    parser = command_line()
    complete_if_asked(parser)
    options, words = parser.parse_known_args(arguments)
    if words and not options.passes_on:
        parser.error(f"unrecognized arguments: {' '.join(words)}")
    options.words = words
    command: Command = options.command
    try:
        _check_where_we_are()
        if options.log is not None:
            begin_job(options.log)
        status = command(options) or 0
        if options.log is not None:
            end_job(options.log)
        return status
    except StoppedError as error:
        _tell_of_stop(str(error), options)
        return error.status
    except DarkroomError as error:
        _tell(str(error), options, shown="the same error again" if error.again else "")
        return error.status
    except BrokenPipeError:  # `darkroom show … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        _tell_of_stop("interrupted; finished images are kept", options)
        return 130
    except MemoryError:
        _tell(_NO_MEMORY, options)
        return 1
    except Exception as error:
        trace = f"\n{traceback.format_exc()}"
        if isinstance(error, OSError) and error.errno in _OF_THE_MACHINE:
            where = f"{error.filename}: " if error.filename else ""
            _tell(f"{where}{error.strerror}", options, trace=trace if options.log else "")
        elif told := told_of_shadows(error):
            _tell(told, options, trace=trace if options.log else "")
        else:  # a bug of ours or of a library
            _tell(f"internal error: {type(error).__name__}: {error}", options, trace=trace)
        return 1


def _check_where_we_are() -> None:
    """A shell stays in a folder that somebody has removed or put in anew."""
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise ConfigError('the folder that you are in is no more; cd "$PWD" goes to a new one of its name') from error


def _open_what_is_closed() -> None:
    """What `2>&-`, `<&-` or a supervisor has closed leads nowhere, here and in what is started from here."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed: the lowest free number is the next to be given
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _tell(text: str, options: argparse.Namespace, shown: str = "", trace: str = "") -> None:
    """Say it in the terminal, or `shown` in its place; a job's log has it whole with the `trace`, else the terminal."""
    text, trace = printable(text, but=LINES), printable(trace, but=LINES)
    print(f"darkroom: {shown or text}{'' if options.log else trace}", file=sys.stderr)
    if options.log is None:
        return
    try:
        known = read_job_error(options.log)
        if known is None or not known.pictures:  # else render has said more, of each picture
            JobError(text).write(options.log)
    except DarkroomError as error:
        print(f"darkroom: {error}", file=sys.stderr)
        tell(JobFailed(text))
    try:
        with open_direct(options.log, "a", encoding="utf-8") as file:
            print(f"darkroom: {text}{trace}", file=file)
    except OSError as error:  # a full disk is what the text may be about
        print(f"darkroom: {options.log}: cannot be written: {why(error)}", file=sys.stderr)


def _tell_of_stop(text: str, options: argparse.Namespace) -> None:
    """Nothing is wrong with a job that somebody has ended: its pictures had no turn."""
    _tell(text, options)
    if options.log is not None:
        end_job(options.log)


def command_line() -> argparse.ArgumentParser:
    """All that can be typed."""
    parser = Parser(
        prog="darkroom",
        usage="darkroom COMMAND …",
        description="Renders LoRA training previews again, exactly as the trainer made them.",
    )
    parser.add_argument("--version", action="version", version=f"darkroom {__version__}")
    commands = Commands(parser, prog="darkroom", metavar="COMMAND")
    looks = (looking, sharing, choosing)
    for part in (rendering, planning, watching, *looks, keeping, importing, machine, rules):
        part.add_to(commands)
    return parser

"""Rounds of fuzzing: each makes an input of a target, gives it to that target's readers, and judges what comes of it.

A fault is any exception but the refusals that the target names, a warning, a text that commands a terminal, and
whatever takes more than SECONDS of the processor or MEMORY. Its input can be made again from target, seed and round.
"""

import faulthandler
import resource
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

from darkroom.errors import DarkroomError, Problems
from fuzzing.targets import Target

SECONDS = 2.0  # of the processor, for one reader
MEMORY = 400 * 2**20  # bytes that one reader may add to the process
_STUCK = 120.0  # seconds after which a reader that cannot be interrupted ends the process, with a traceback
_LONGEST = 50_000  # characters of what is said: fifty problems of a thousand characters


class TooSlow(BaseException):
    """No reader of a library may catch it."""


@dataclass(frozen=True)
class Input:
    """What is read in a round."""

    content: bytes
    round: int


@dataclass(frozen=True)
class Fault:
    """`place`: where it came from, so that a fault is told once."""

    said: str
    place: str
    input: bytes
    round: int


@dataclass
class Outcome:
    """What came of a target's rounds."""

    target: str
    inputs: int = 0
    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    faults: list[Fault] = field(default_factory=list)


def fuzz(target: Target, rounds: int, seed: str, seconds: float = SECONDS) -> Outcome:
    """So many rounds of a target in the working directory, which has what `targets.prepare` puts there."""
    outcome, corpus = Outcome(target.name), target.corpus()
    path = Path(target.file)
    before = path.read_bytes() if path.exists() else None
    for number in range(rounds):
        random = Random(f"{seed}/{target.name}/{number}")
        content = target.change(random.choice(corpus), random)
        path.write_bytes(content)
        outcome.inputs += 1
        for reader in target.readers:
            _judge(outcome, target, reader, path, Input(content, number), seconds)
    if before is None:
        path.unlink()
    else:
        path.write_bytes(before)
    return outcome


def _judge(
    outcome: Outcome, target: Target, reader: Callable[[Path], object], path: Path, made: Input, limit: float
) -> None:
    def fault(said: str, place: str = "") -> None:
        outcome.faults.append(Fault(said, place or said, made.content, made.round))

    started, memory = time.process_time(), _peak()
    try:
        with _limited(2 * limit), warnings.catch_warnings(action="error"):
            result = reader(path)
        outcome.read += 1
        if (text := _shown(result)) and (what := _commands(text)):
            fault(f"shows {what!r}")
    except DarkroomError as error:
        outcome.refused += 1
        kinds = {type(each) for each in (error.errors if isinstance(error, Problems) else [error])}
        if strange := [kind for kind in kinds if not issubclass(kind, target.refusals)]:
            fault(f"{strange[0].__name__} is none of its refusals: {str(error)[:200]!r}", strange[0].__name__)
        if what := _commands(str(error)):
            fault(f"says {what!r} in {str(error)[:300]!r}", f"says a control character: {_frame(error)}")
        if len(str(error)) > _LONGEST:
            fault(f"says {len(str(error))} characters", f"long: {target.name}")
    except (Exception, TooSlow) as error:
        fault("".join(traceback.format_exception(error)[-6:]), f"{type(error).__name__} {_frame(error)}")
    seconds = time.process_time() - started
    outcome.slowest = max(outcome.slowest, seconds)
    if seconds > limit:
        fault(f"took {seconds:.1f} s", f"slow: {target.name}")
    if _peak() - memory > MEMORY:
        fault(f"took {(_peak() - memory) >> 20} MiB", f"large: {target.name}")


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """TooSlow where Python can be interrupted, the end of the process where it cannot."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"more than {seconds:g} s")

    before = signal.signal(signal.SIGPROF, interrupt)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    faulthandler.dump_traceback_later(_STUCK, exit=True)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGPROF, before)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _shown(result: object) -> str:
    """What a terminal would be given of it."""
    if isinstance(result, list) and all(isinstance(each, str) for each in result):
        return "\n".join(result)
    return result if isinstance(result, str) else ""


def _commands(text: str) -> str | None:
    """The first character that would command a terminal; a line may end."""
    return next((each for each in text if not each.isprintable() and each != "\n"), None)


def _frame(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/darkroom/" in frame.filename]
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "outside"

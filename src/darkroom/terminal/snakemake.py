"""Runs the Snakemake line as a process of its own: what it prints goes to the run's log, what it tells is handed on.

    with Snakemake(line) as run:
        while run.goes_on(0.2):
            for message in run.told(): …

It has a process group of its own, so that Ctrl-C reaches it once: passed on, and a second one ends it at once.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, BinaryIO, Self

from darkroom.errors import StoreError
from darkroom.filesystem.direct import open_direct, why
from darkroom.telling.messages import VARIABLE, Message, read

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CHUNK = 65_536  # bytes kept for the last words
_LAST_WORDS = 12  # lines


class Snakemake:
    """A line of Snakemake at work."""

    def __init__(self, line: Sequence[str]) -> None:
        self._line = line
        self._log: IO[bytes] | None = None
        self._unlogged = b""  # until there is a log
        self._last = b""
        self.printed = b""  # on stdout, until there is a log: what an option such as --summary asked for
        self.stopped_by: int | None = None  # the signal
        self.log_lacks: list[str] = []  # why, at most one sentence
        self._half = b""  # of a line that is being written
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        folder = Path(self._closing.enter_context(tempfile.TemporaryDirectory(prefix="darkroom-")))
        told = folder / "told.jsonl"
        told.touch()
        self._told = self._closing.enter_context(told.open("rb"))
        # Files, not pipes: a run whose terminal is killed ends as it would have, and hangs at no write.
        self._stdout, stdout = self._file(folder / "stdout")
        self._stderr, stderr = self._file(folder / "stderr")
        with _heeded(signal.SIGINT):
            self._process = subprocess.Popen(
                self._line,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env={**os.environ, VARIABLE: str(told)},
                process_group=0,
            )
        self._closing.enter_context(self._signals_passed_on())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process.poll() is None:  # an error of ours, or nobody reads on: it ends as by Ctrl-C
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGINT)
            self._process.wait()
        self._closing.close()

    def goes_on(self, seconds: float) -> bool:
        """Wait at most so long for its end, and put its output away; False once it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        has_ended = self._process.poll() is not None  # before the last look, which then sees all there is
        for file in (self._stdout, self._stderr):
            chunk = file.read()
            self._last = (self._last + chunk)[-_CHUNK:]
            if self._log is not None:
                self._write(self._log, chunk)
            else:
                self._unlogged += chunk
                self.printed += chunk if file is self._stdout else b""
        return not has_ended

    def told(self) -> Iterator[Message]:
        """What was told since the last time."""
        *lines, self._half = (self._half + self._told.read()).split(b"\n")
        yield from (read(line.decode()) for line in lines)

    def _file(self, path: Path) -> tuple[BinaryIO, BinaryIO]:
        """To read from, and to write to."""
        written = self._closing.enter_context(path.open("wb"))
        return self._closing.enter_context(path.open("rb")), written

    def log_to(self, path: Path) -> None:
        """From here on, after the line itself and what was printed so far; StoreError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._log = self._closing.enter_context(open_direct(path, "wb", buffering=0))
        except OSError as error:
            raise StoreError(f"{path}: cannot be written: {why(error)}") from error
        self._write(self._log, f"{shlex.join(self._line)}\n\n".encode() + self._unlogged)

    def _write(self, log: IO[bytes], chunk: bytes) -> None:
        """Where the disk is full, the run goes on: its jobs may write elsewhere, and say what became of them."""
        try:
            log.write(chunk)
        except OSError as error:
            self.log_lacks = [f"{log.name}: not all of it could be written: {why(error)}"]

    @property
    def status(self) -> int:
        """Of Snakemake; where a signal ended it, one of a person's or of the system's, as a shell says it."""
        if self.stopped_by:
            return 128 + self.stopped_by
        status = self._process.wait()
        return 128 - status if status < 0 else status

    def last_words(self) -> str:
        """The last lines that Snakemake printed."""
        lines = [line for line in self._last.decode(errors="replace").splitlines() if line.strip()]
        return "\n".join(f"  {line}" for line in lines[-_LAST_WORDS:])

    @contextlib.contextmanager
    def _signals_passed_on(self) -> Iterator[None]:
        """But those that are ignored here, as under nohup, and so there."""

        def pass_on(number: int, frame: FrameType | None) -> None:
            is_first, self.stopped_by = self.stopped_by is None, self.stopped_by or number
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGINT if is_first else signal.SIGKILL)

        before = {number: signal.getsignal(number) for number in _SIGNALS}
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, pass_on)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextlib.contextmanager
def _heeded(number: signal.Signals) -> Iterator[None]:
    """What is started within heeds the signal, though this process ignores it, as one in a script's background does."""
    before = signal.getsignal(number)
    if before is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(number, before)

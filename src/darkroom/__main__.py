"""`darkroom`: begins one command. Ctrl-C while Python reads its files ends it without a word."""

import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; its exit status."""
    with _ended_at_once():
        from darkroom.cli.entry import run
    return run(arguments)


@contextlib.contextmanager
def _ended_at_once() -> Iterator[None]:
    """By Ctrl-C within, where that is not ignored, as under nohup."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


if __name__ == "__main__":
    sys.exit(main())

"""`darkroom`: begins one command. Ctrl-C while Python reads its files ends it without a word."""

import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence

from darkroom.machine.shadows import told_of_shadows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; its exit status."""
    with _ended_at_once():
        try:
            from darkroom.cli.entry import run
        except Exception as error:
            if not (told := told_of_shadows(error)):
                raise
            print(f"darkroom: {told}", file=sys.stderr)
            return 1
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

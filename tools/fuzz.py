"""Gives Darkroom's readers strangers' files, thousands of each format, and says what came of them: `make fuzz`.

python tools/fuzz.py --rounds 1000 --seed 7
python tools/fuzz.py --rounds 1000 --seed 7 --only GGUF
python tools/fuzz.py --rounds 0 --messages 100000          # to a worker in a process of its own
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from fuzzing.live_worker import flood
from fuzzing.readers import prepare
from fuzzing.rounds import Outcome, fuzz
from fuzzing.targets import TARGETS, Target

_KEPT = Path("fuzz_faults").absolute()
_HEADING = f"{'format':24}{'inputs':>8}{'read':>8}{'refused':>8}{'faults':>8}{'slowest':>10}"


def main() -> int:
    options = _options()
    print(f"seed {options.seed}")
    targets = [target for target in TARGETS if not options.only or target.name in options.only]
    faults = _fuzz(targets, options.rounds, options.seed) if options.rounds else 0
    if options.messages:
        log = _KEPT.with_name("fuzz_worker.log")
        outcomes, pid = flood(options.messages, options.seed, log)
        told = ", ".join(f"{count} {what}" for what, count in outcomes.most_common())
        print(f"{options.messages} messages to worker {pid}, which is the same process at the end: {told}")
    return int(faults > 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300, help="inputs of each format")
    parser.add_argument(
        "--seed", default=time.strftime("%Y-%m-%d"), help="the same makes the same inputs; today's date"
    )
    names = [target.name for target in TARGETS]
    parser.add_argument("--only", action="append", choices=names, metavar="FORMAT", help=", ".join(names))
    parser.add_argument("--messages", type=int, default=0, help="to a live worker, besides")
    return parser.parse_args()


def _fuzz(targets: Sequence[Target], rounds: int, seed: str) -> int:
    """The number of faults."""
    print(_HEADING)
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "HF_HOME"), folder)
        os.chdir(folder)
        prepare(Path(folder))
        for target in targets:
            outcomes.append(fuzz(target, max(1, int(rounds * target.share)), seed))
            print(_line(outcomes[-1]), flush=True)
        os.chdir("/")
    print(f"{sum(outcome.inputs for outcome in outcomes)} inputs of {len(outcomes)} formats")
    for target, outcome in zip(targets, outcomes, strict=True):
        _tell(target, outcome, seed)
    return sum(len(outcome.faults) for outcome in outcomes)


def _line(outcome: Outcome) -> str:
    numbers = f"{outcome.inputs:8}{outcome.read:8}{outcome.refused:8}{len(outcome.faults):8}"
    return f"{outcome.target:24}{numbers}{outcome.slowest * 1000:7.0f} ms"


def _tell(target: Target, outcome: Outcome, seed: str) -> None:
    """Each fault once, its first input in a file."""
    for place, fault in {fault.place: fault for fault in reversed(outcome.faults)}.items():
        count = sum(each.place == place for each in outcome.faults)
        kept = _KEPT / f"{target.name}-{seed}-{fault.round}-{Path(target.file).name}".replace(" ", "_")
        kept.parent.mkdir(exist_ok=True)
        kept.write_bytes(fault.input)
        print(f"\n{outcome.target}, round {fault.round} ({count} times): {fault.said}\n  {kept}")


if __name__ == "__main__":
    sys.exit(main())

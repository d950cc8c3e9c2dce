"""Disturbs real runs, and looks whether the next ones end as if nothing had been.

    python tools/faults.py [--rounds 40] [--seed TEXT] [--kind WORDS]     kinds: tools/disturbance/kinds.py

A line a round with what is wrong, then a table; status 1 if anything is.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from disturbance.rounds import Ground, played, table


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--kind", default="", help="only kinds with these words in their names")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="faults") as name:
        rounds = played(Ground(Path(name)), options.rounds, options.seed, options.kind)
    print(f"\n{table(rounds)}")
    return int(any(each.wrong for each in rounds))


if __name__ == "__main__":
    sys.exit(main())

"""Renders the demo's weights through Darkroom and writes what a plain classifier sees, as JSON. Trains nothing.

python tools/evaluate_demo.py --weights demo --sheets .train/sheets
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from demo_training.evaluation import (
    Judge,
    evaluate_adapter,
    evaluate_edits,
    evaluate_negative,
    evaluate_prompts,
    plain_prompt,
    star_prompt,
)
from demo_training.scenes import STAR

PARTS = ("guidance 4", "guidance 1", "negative", "lora", "lokr", "edits")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=Path("demo"))
    parser.add_argument("--sheets", type=Path, default=Path(".train/sheets"))
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--others", type=int, default=100, help="pictures for each further figure")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    with Judge(options.weights, options.sheets, options.processes) as judge:
        evaluate(judge, options.prompts, options.others, options.parts)


def evaluate(judge: Judge, prompts: int, others: int, parts: Sequence[str]) -> None:
    """Write the figures of `parts` into evaluation.json beside the weights; those of other parts stay."""
    figures_of = {
        "guidance 4": lambda: evaluate_prompts(judge, prompts, 4.0),
        "guidance 1": lambda: evaluate_prompts(judge, prompts, 1.0),
        "negative": lambda: evaluate_negative(judge, others),
        "lora": lambda: evaluate_adapter(judge, "lora", others, star_prompt, lambda seen: seen.shape == STAR),
        "lokr": lambda: evaluate_adapter(judge, "lokr", others, plain_prompt, lambda seen: seen.outlined),
        "edits": lambda: evaluate_edits(judge, others),
    }
    file = judge.weights / "evaluation.json"
    figures = json.loads(file.read_text()) if file.is_file() else {}
    for part in parts:
        started = time.monotonic()
        figures[part] = figures_of[part]()
        print(
            f"{part}: {json.dumps(figures[part])} ({time.monotonic() - started:.0f} s)",
            flush=True,
        )
        file.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()

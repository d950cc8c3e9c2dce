"""The command that renders a picture once more: again."""

import argparse
from pathlib import Path

from darkroom.cli import RENDER, Commands
from darkroom.cli.completing import completes, overrides, pictures
from darkroom.store import RESULTS, ExperimentFolder


def add_to(commands: Commands) -> None:
    again = commands.add(
        RENDER,
        "again",
        _again,
        "Render a picture once more, or with something changed, beside the first.",
        "again results/demo/images/demo/none/demo_prompts/000_1.png seed=7 sample_steps=30",
    )
    completes(again.add_argument("picture", type=Path, help="a picture that Darkroom rendered"), pictures)
    words = again.add_argument(
        "changes", nargs="*", metavar="KEY=VALUE", help="a setting of its prompt, model.…, or output.…"
    )
    completes(words, overrides)


def _again(options: argparse.Namespace) -> int:
    from darkroom.plan.trials.again import forget_unbegun, write_again
    from darkroom.record.rows import read_records
    from darkroom.review.diff import diff_pictures
    from darkroom.terminal.run import run

    # 1. An experiment of one picture, in results/
    again = write_again(options.picture, options.changes, RESULTS)
    # 2. Rendered as every other; unchanged, whatever the store has of it
    if status := run([again.name, *again.overrides], fresh=not again.is_changed):
        forget_unbegun(again, RESULTS)
        return status
    # 3. Beside the first
    (record,), _ = read_records(ExperimentFolder(RESULTS / again.name).manifest)
    text, is_same = diff_pictures(options.picture, Path(record.image_path))
    print(text, end="")
    return 0 if again.is_changed else int(not is_same)

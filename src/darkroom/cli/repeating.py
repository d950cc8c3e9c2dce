"""The command that renders a picture once more: again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.cli import RENDER, Commands
from darkroom.cli.completing import completes, overrides, pictures
from darkroom.store import RESULTS, ExperimentFolder

if TYPE_CHECKING:
    from darkroom.plan.trials.again import Again
    from darkroom.record import Record


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
    from darkroom.plan.trials.again import write_again
    from darkroom.record import read_records
    from darkroom.review.diff import diff_pictures
    from darkroom.terminal.run import run

    # 1. An experiment of one picture, in results/
    again = write_again(options.picture, options.changes, RESULTS)
    # 2. Rendered as every other; unchanged, where no store has it
    if status := run([again.name, *again.overrides]):
        return status
    (record,), _ = read_records(ExperimentFolder(RESULTS / again.name).manifest)
    made = Path(record.image_path) if again.is_changed or not record.reused else _afresh(again, record)
    # 3. Beside the first
    text, is_same = diff_pictures(options.picture, made)
    print(text, end="")
    return 0 if again.is_changed else int(not is_same)


def _afresh(again: Again, record: Record) -> Path:
    """The picture, rendered in a process of its own with a store beside it."""
    from darkroom.errors import PictureError
    from darkroom.plan.trials.again import write_afresh
    from darkroom.render.trials import render_afresh
    from darkroom.trials import Outcomes

    (outcome,) = Outcomes.read(render_afresh(write_afresh(again, record, RESULTS), RESULTS)).outcomes
    if outcome.image is None:
        raise PictureError(f"{again.name}: {outcome.error}")
    return Path(outcome.image)

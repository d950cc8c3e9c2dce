"""The commands that render: run, regress, again. Each is a line of Snakemake, which terminal/ composes and watches."""

import argparse
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from darkroom.cli import RENDER, Commands
from darkroom.cli.completing import completes, completes_words, experiments, overrides, pictures
from darkroom.cli.planning import may_begin
from darkroom.store import RESULTS, ExperimentFolder

_WORDS = (
    "What else is typed goes to Snakemake unchanged: -n shows what would be rendered, --cores 4, --profile slurm, "
    "--set-resources render:offload=block. Without an X, the experiments that there are are listed."
)


def add_to(commands: Commands) -> None:
    run = commands.add(
        RENDER,
        "run",
        _run,
        "Render an experiment's pictures and their page; key=value are overrides.",
        "run strength model.numerics=fast --name strength_fast",
    )
    regress = commands.add(
        RENDER,
        "regress",
        _regress,
        "Render an experiment's previews again, and compare; status 1 if one drifted.",
        "regress my_job",
    )
    run.add_argument("--yes", action="store_true", help="begin without asking, however much it takes")
    regress.add_argument(
        "--fresh", action="store_true", help="render everything anew, whatever the store has; it keeps what it has"
    )
    for parser in (run, regress):
        parser.usage = f"{parser.prog} X [KEY=VALUE …] [--name Y] [--verbose] [SNAKEMAKE'S OPTIONS …]"
        parser.description = f"{parser.description} {_WORDS}"
        parser.set_defaults(passes_on=True)
        completes_words(parser, lambda **_: [*experiments(), *overrides()])
        parser.add_argument("--name", metavar="Y", help="render a variant beside the first, into results/Y")
        parser.add_argument("--verbose", action="store_true", help="Snakemake's line, and its own output, whole")

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


def _run(options: argparse.Namespace) -> int:
    from darkroom.terminal.run import run

    if not (options.yes or may_begin(options.words, options.name)):
        print("nothing was rendered")
        return 1
    return run(options.words, name=options.name, verbose=options.verbose)


def _regress(options: argparse.Namespace) -> int:
    from darkroom.terminal.run import run

    _mend(options.words, options.name)
    return run(options.words, target="regress", name=options.name, fresh=options.fresh, verbose=options.verbose)


def _mend(words: Sequence[str], name: str | None) -> None:
    """Read what there is to the last byte, each night: what is not what was written is rendered again, and said."""
    from darkroom.errors import value_of
    from darkroom.filesystem.lock import locked
    from darkroom.review.inventory.checking import check, mend
    from darkroom.terminal.line import read_words

    wish = value_of(read_words(words))
    folder = ExperimentFolder(RESULTS / (name or wish.experiment or ""))
    if wish.experiment is None or wish.is_dry_run or not folder.contents.is_file():
        return
    with closing(locked(folder.lock)):
        checked = check(RESULTS, [folder], everything=False, progress=lambda done, total: None)
        mend(checked)
    if checked.bad:
        print(checked.text(mended=True), end="", flush=True)


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

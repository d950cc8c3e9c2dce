"""The commands that render: run, regress. Their work is a line of Snakemake, which terminal/ composes and watches."""

import argparse
from collections.abc import Sequence
from contextlib import closing

from darkroom.cli import RENDER, Commands
from darkroom.cli.completing import completes_words, experiments, overrides
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

"""The commands that look at what came out, and at what went in: list, status, top, open, show and others."""

import argparse
import sys
import time
from pathlib import Path

from darkroom.cli import LOOK, Commands, add_offload, described
from darkroom.cli.completing import completes, experiments, pictures
from darkroom.store import RESULTS, check_folder

_PAUSE = 2.0  # seconds between two looks of `top`


def add_to(commands: Commands) -> None:
    listing = commands.add(
        LOOK, "list", _list, "List experiments: how far each has come, its size, how it compares.", "list"
    )
    listing.add_argument("--json", action="store_true", help="for programs")

    status = commands.add(LOOK, "status", _status, "Say how far a run is, and when it will end.", "status demo")
    completes(status.add_argument("experiment", help="its name"), experiments)

    top = commands.add(
        LOOK,
        "top",
        _top,
        "Show what each worker of a run does, on whichever machine.",
        "top demo",
    )
    completes(top.add_argument("experiment", help="its name"), experiments)
    top.add_argument("--once", action="store_true", help="as it is now; what a file or a pipe gets as well")

    opening = commands.add(LOOK, "open", _open, "Open an experiment's page in the browser.", "open demo")
    completes(opening.add_argument("experiment", help="its name"), experiments)
    opening.add_argument("--regress", action="store_true", help="the page that compares it with its previews")

    show = commands.add(
        LOOK,
        "show",
        _show,
        "Print the record embedded in a picture.",
        "show results/demo/images/demo/none/demo_prompts/0.png",
    )
    completes(show.add_argument("image", type=Path, help="a picture in results/"), pictures)
    show.add_argument("--as-conf", action="store_true", help="print a prompts file that renders the picture again")

    lora = commands.add(
        LOOK,
        "lora",
        _lora,
        "Say what LoRA files are: tool, base, rank, training, sizes of their deltas.",
        "lora output/my_job/*.safetensors",
    )
    lora.add_argument("files", type=Path, nargs="+", metavar="FILE", help="of several, a table")
    lora.add_argument("--base", type=Path, metavar="FILE", help="a transformer's .safetensors, to set sizes beside")
    lora.add_argument("--layers", action="store_true", help="the size of every layer's delta")
    without = "write one file, without the keys that fit, such as 'lora_te*', to -o; also several times"
    lora.add_argument("--without", action="append", metavar="PATTERN", help=without)
    lora.add_argument("-o", dest="output", type=Path, metavar="FILE", help="of --without: where that file goes")

    diff = commands.add(
        LOOK,
        "diff",
        _diff,
        "Say what differs between two pictures, or two experiments; status 1 if anything does.",
        "diff results/a/images/demo/none/cats/000_1.png results/b/images/demo/none/cats/000_1.png",
    )
    for name in ("first", "second"):
        completes(diff.add_argument(name, help="a picture, or an experiment's name"), pictures)

    explain = commands.add(
        LOOK,
        "explain",
        _explain,
        "Say what differs between a picture and its stored preview.",
        "explain results/my_job/images/my_job/none/my_job/0.png --try",
    )
    completes(explain.add_argument("image", type=Path, help="a picture in results/"), pictures)
    explain.add_argument("--try", dest="tried", action="store_true", help="render it again, one thing otherwise a time")
    explain.add_argument("--preview", type=Path, help="which one, of several stored previews of the picture")
    add_offload(explain)


def _list(options: argparse.Namespace) -> None:
    from darkroom.review.inventory.experiments import files_below, size_of
    from darkroom.review.inventory.listing import as_json, as_table, listed

    check_folder(RESULTS)
    experiments = listed(RESULTS, described())
    total = size_of(files_below(RESULTS))
    print(as_json(experiments) if options.json else as_table(experiments, total), end="")


def _status(options: argparse.Namespace) -> None:
    from darkroom.review.inventory.pages import rendered_folder
    from darkroom.review.workers import Status

    print(Status(rendered_folder(options.experiment, RESULTS, described())).line())


def _top(options: argparse.Namespace) -> None:
    from darkroom.review.inventory.pages import rendered_folder
    from darkroom.review.workers import Status

    status = Status(rendered_folder(options.experiment, RESULTS, described()))
    while not options.once and sys.stdout.isatty() and status.is_at_work:
        print("\x1b[H\x1b[J", *status.lines(), sep="\n", flush=True)
        time.sleep(_PAUSE)
    print(*status.lines(), sep="\n")


def _open(options: argparse.Namespace) -> None:
    from darkroom.review.inventory.browser import open_page
    from darkroom.review.inventory.pages import page_of

    print(open_page(page_of(options.experiment, RESULTS, described(), regress=options.regress)))


def _show(options: argparse.Namespace) -> None:
    from darkroom.plan.trials.as_conf import as_conf
    from darkroom.review.show import show

    print(as_conf(options.image) if options.as_conf else show(options.image), end="")


def _lora(options: argparse.Namespace) -> None:
    from darkroom.errors import ConfigError, DarkroomError, raise_together
    from darkroom.lora_files.excerpt import write_without
    from darkroom.lora_files.inspection.facts import facts_of
    from darkroom.lora_files.inspection.told import as_block, as_table

    if options.without or options.output:
        if not (options.without and options.output and len(options.files) == 1):
            raise ConfigError("lora: expected one file, --without PATTERN and -o FILE together")
        left_out = write_without(options.files[0], options.without, options.output)
        print(f"{options.output}: {options.files[0]} without {len(left_out)} keys")
        return
    found, errors = [], []
    for path in options.files:
        try:
            found.append(facts_of(path, options.base))
        except DarkroomError as error:
            errors.append(error)
    is_whole = len(options.files) == 1 or options.layers or options.base
    blocks = [as_block(facts, every_layer=options.layers) for facts in found]
    print("\n".join(blocks) if is_whole else as_table(found) if found else "", end="")
    raise_together(errors)


def _diff(options: argparse.Namespace) -> int:
    from darkroom.review.diff import diff

    text, is_same = diff(options.first, options.second, RESULTS)
    print(text, end="")
    return int(not is_same)


def _explain(options: argparse.Namespace) -> None:
    from darkroom.review.explain import explain

    outcomes = None
    if options.tried:
        from darkroom.plan.trials.sheet import write_trials
        from darkroom.render.job import SheetJob
        from darkroom.render.worker.client import render_sheet

        sheet = write_trials(options.image, RESULTS, options.preview)
        outcomes = render_sheet(SheetJob.here(sheet, options.offload), RESULTS)
    print(explain(options.image, outcomes, RESULTS, options.preview), end="")

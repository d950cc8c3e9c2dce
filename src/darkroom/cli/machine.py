"""The commands about this machine: init, memory, prune, check, completion."""

import argparse
import re
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

from darkroom.cli import MACHINE, Commands, agreed, asked, described
from darkroom.cli.completing import SHELLS, completes, experiments, shell_code
from darkroom.errors import ConfigError
from darkroom.previews import PREVIEWS
from darkroom.store import RESULTS, check_folder


def add_to(commands: Commands) -> None:
    init = commands.add(
        MACHINE,
        "init",
        _init,
        "Say once where ComfyUI, ai-toolkit and the hub's cache lie; see what this machine can render.",
        "init --comfyui ~/ComfyUI --yes",
    )
    init.add_argument("--comfyui", metavar="FOLDER", help="ComfyUI, or its models folder; '' for none")
    init.add_argument("--ai-toolkit", metavar="FOLDER", help="ai-toolkit; '' for none")
    init.add_argument("--hf-home", metavar="FOLDER", help="what HF_HOME is to be; '' for the usual place")
    init.add_argument("--yes", action="store_true", help="do not ask: what is given here, and what is found")

    memory = commands.add(
        MACHINE,
        "memory",
        _memory,
        "Print how much memory each model takes, by memory mode (docs/memory.md).",
        "memory --width 1536 --height 1024",
    )
    memory.add_argument("--width", type=_side, default=1024, help="pixels")
    memory.add_argument("--height", type=_side, default=1024, help="pixels")

    prune = commands.add(
        MACHINE,
        "prune",
        _prune,
        "Show what of results/ nothing refers to any more, and remove it.",
        "prune --older 30d",
    )
    prune.add_argument(
        "--older", type=_age, metavar="AGE", help="whole experiments too that did not change for so long: 12h, 30d, 8w"
    )
    prune.add_argument("--yes", action="store_true", help="do not ask")

    check = commands.add(
        MACHINE,
        "check",
        _check,
        "Read store, pictures, records and previews to the last byte; status 1 if one is not what was written.",
        "check my_job --mend",
    )
    completes(check.add_argument("experiment", nargs="?", help="its name; without one, all that there is"), experiments)
    check.add_argument("--mend", action="store_true", help="take away what is bad: the next run makes it again")
    check.add_argument("--json", action="store_true", help="for programs")

    completion = commands.add(
        MACHINE,
        "completion",
        _completion,
        "Print what makes a shell complete commands, experiments and pictures.",
        "completion bash >> ~/.bashrc",
    )
    completion.add_argument("shell", choices=SHELLS)


def _init(options: argparse.Namespace) -> int:
    from darkroom.machine.asking import agreed_locations, checked
    from darkroom.machine.hardware import hardware
    from darkroom.machine.locations import Locations, LocationsFile
    from darkroom.machine.usual_places import guessed
    from darkroom.plan.conf.folders import home, machine_file

    # 1. Where things lie, as told, as written, as found
    told = checked(Locations(comfyui=options.comfyui, ai_toolkit=options.ai_toolkit, hf_home=options.hf_home))
    file = LocationsFile.read(machine_file())
    known = told.over(file.locations).over(guessed(home()))
    if not options.yes and not sys.stdin.isatty():
        raise ConfigError("the input is no terminal, so nobody can be asked: --yes takes what is given and found")
    locations = known if options.yes else agreed_locations(known, told, asked)
    # 2. The file, with consent to every change of one that is there
    text = file.with_locations(locations)
    changes = file.changes(text)
    print(f"{file.path}: {'is to become' if changes else 'as it is'}", *changes, sep="\n    ")
    if changes and (options.yes or file.text is None or agreed("Write it?")):
        file.write(text)
        print("written")
    # 3. What there is, and what it will do
    print("\n".join(["", *hardware().lines(), ""]))
    print(_what_will_work(), end="")
    return 0


def _what_will_work() -> str:
    from darkroom.machine.shipped_models import modes_table, text_quantization
    from darkroom.plan.conf.folders import BUILT_IN
    from darkroom.render.memory_table import modes_here  # imports torch

    return modes_table(modes_here(text_quantization(BUILT_IN)))


def _prune(options: argparse.Namespace) -> int:
    from darkroom.filesystem.lock import locked
    from darkroom.review.inventory.experiments import experiment_folders, is_running
    from darkroom.review.inventory.pruning import plan_pruning, prune

    check_folder(RESULTS)
    folders = experiment_folders(RESULTS)
    elsewhere = [*Path("conf").rglob("*.y*ml"), *PREVIEWS.rglob("previews.parquet")]
    running = [folder.root.name for folder in folders if is_running(folder)]
    with ExitStack() as held:
        # 1. What would go, while no run needs any of it
        if not running:
            for folder in folders:
                held.enter_context(closing(locked(folder.lock)))
        pruning = plan_pruning(RESULTS, elsewhere, now=time.time(), older=options.older)
        print(pruning.text())
        # 2. Consent
        if running:
            print(f"{', '.join(running)}: at work now, and may need any of it; nothing is removed before the end")
        if pruning.is_empty:
            return 0
        if running or not (options.yes or agreed("Remove?")):
            print("nothing was removed")
            return 1
        # 3. Gone
        prune(pruning, RESULTS)
    print("removed")
    return 0


def _check(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from darkroom.filesystem.lock import locked
    from darkroom.review.inventory.checking import check, mend
    from darkroom.review.inventory.experiments import experiment_folders
    from darkroom.review.inventory.pages import rendered_folder

    check_folder(RESULTS)
    folders = experiment_folders(RESULTS)
    if options.experiment is not None:
        folders = [rendered_folder(options.experiment, RESULTS, described())]
    with ExitStack() as held, tqdm(unit=" files", leave=False, disable=None, dynamic_ncols=True) as bar:
        if options.mend:  # while no run needs any of it
            for folder in folders:
                held.enter_context(closing(locked(folder.lock)))

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        checked = check(RESULTS, folders, everything=options.experiment is None, progress=progress)
        if options.mend:
            mend(checked)
    print(checked.as_json(mended=options.mend) if options.json else checked.text(mended=options.mend), end="")
    return int(any(not (options.mend and each.is_ours) for each in checked.bad))


def _completion(options: argparse.Namespace) -> None:
    print(shell_code(options.shell))


def _memory(options: argparse.Namespace) -> None:
    from darkroom.render.memory_table import memory_table

    print(memory_table(options.width, options.height))


def _side(text: str) -> int:
    if not text.isdecimal() or not 64 <= int(text) <= 4096:
        raise argparse.ArgumentTypeError(f"expected 64 to 4096 pixels, got {text}")
    return int(text)


_HOURS = {"h": 1, "d": 24, "w": 24 * 7}


def _age(text: str) -> float:
    """Seconds."""
    if not (match := re.fullmatch(r"(\d{1,4})([hdw])", text)):
        raise argparse.ArgumentTypeError(f"expected hours, days or weeks, such as 12h, 30d or 8w, got {text}")
    return int(match[1]) * _HOURS[match[2]] * 3600.0

"""The commands that choose a checkpoint: picks, pick."""

import argparse
from pathlib import Path

from darkroom.cli import CHOOSE, Commands, described
from darkroom.cli.completing import completes, experiments
from darkroom.display import counted, from_here, named, printable
from darkroom.errors import ConfigError
from darkroom.store import RESULTS


def add_to(commands: Commands) -> None:
    picks = commands.add(
        CHOOSE,
        "picks",
        _picks,
        "Count what people said of an experiment's pictures: ratings, stars, rejects, votes, by checkpoint.",
        "picks my_job_pick anna.json ben.json",
    )
    completes(picks.add_argument("experiment", help="its name"), experiments)
    picks.add_argument("files", type=Path, nargs="+", metavar="FILE", help="picks that its page exported")
    picks.add_argument("-o", "--output", type=Path, metavar="FILE", help="write them all into one file")

    pick = commands.add(
        CHOOSE,
        "pick",
        _pick,
        "Copy a checkpoint to where it is used, with a card, and make it an option of conf/lora/.",
        "pick my_job_pick --step 750 --strength 0.8 --to ~/ComfyUI/models/loras",
    )
    completes(pick.add_argument("experiment", help="its name"), experiments)
    pick.add_argument("--step", type=int, help="of the training")
    pick.add_argument("--strength", type=float, help="that it was rendered at; without, the file is taken as trained")
    pick.add_argument("--lora", metavar="NAME", help="its name or its run's, where several have the step")
    pick.add_argument("--model", metavar="NAME", help="whose pictures the card shows, of several")
    pick.add_argument("--picks", type=Path, action="append", default=[], metavar="FILE", help="take the best by these")
    pick.add_argument("--to", type=Path, metavar="FOLDER", help="by default the models/loras of this machine's ComfyUI")
    pick.add_argument("--name", help="of the option in conf/lora/")
    pick.add_argument("--force", action="store_true", help="replace other files of the same names")
    pick.add_argument("--keep-edited", action="store_true", help="leave an option that was edited, and write the rest")


def _picks(options: argparse.Namespace) -> None:
    from darkroom.record.rows import read_rows
    from darkroom.review.choosing.picks_file import check_output, merged, read_all_picks, shared_names, write_picks
    from darkroom.review.choosing.tally import tally
    from darkroom.review.choosing.told import told
    from darkroom.review.inventory.pages import rendered_folder

    folder = rendered_folder(options.experiment, RESULTS, described())
    if options.output:
        check_output(options.output, options.files)
    files = read_all_picks(options.files, options.experiment)
    picks = merged(options.experiment, files.values())
    rows, _ = read_rows(folder.manifest)
    print(told(picks, tally(rows, picks)), end="")
    print(*(f"{printable(line)}\n" for line in shared_names(files)), sep="", end="")
    if options.output:
        write_picks(options.output, picks)
        print(printable(f"{options.output}: written, of {named([person.who for person in picks.people]) or 'nobody'}"))


def _pick(options: argparse.Namespace) -> None:
    from darkroom.files.regular_file import from_home
    from darkroom.files.yaml_text import yaml_text
    from darkroom.plan.conf.owned_files import CONF, Writing, check_places, conf_file, import_name, write_conf_files
    from darkroom.record.rows import read_rows
    from darkroom.review.choosing.card import write_card
    from darkroom.review.choosing.choice import Wish, choose
    from darkroom.review.choosing.delivery import plan_delivery
    from darkroom.review.choosing.picks_file import merged, read_all_picks
    from darkroom.review.choosing.previewed import previewed
    from darkroom.review.choosing.tally import tally
    from darkroom.review.choosing.told import without_effect
    from darkroom.review.inventory.pages import rendered_folder

    # 1. Which checkpoint is meant
    experiment = options.experiment
    rows, _ = read_rows(rendered_folder(experiment, RESULTS, described()).manifest)
    files = read_all_picks(options.picks, experiment)
    said = tally(rows, merged(experiment, files.values())) if files else None
    wish = Wish(step=options.step, strength=options.strength, lora=options.lora, model=options.model)
    choice = choose(experiment, rows, wish, said)
    # 2. Whether anything is in the way
    delivery = plan_delivery(choice, from_home(options.to or _comfyui_loras()), force=options.force)
    name = import_name(options.name, choice.name, choice.lora)
    content = choice.content([str(from_here(copy.to)) for copy in delivery.copies])
    option = conf_file(CONF / "lora" / f"{name}.yaml", f"darkroom pick {experiment}", yaml_text(content), "Written by")
    writing = Writing(force=options.force, keep_edited=options.keep_edited)
    check_places([option], writing)
    compared = previewed(RESULTS, [file.sha256 for file in choice.files])
    # 3. The files, the card, the option
    print(without_effect(said) if said else "", end="")
    print(printable(f"{choice}: {counted(len(choice.rows), 'picture')}"))
    for copy in delivery.copies:
        print(printable(copy.make()))
    write_card(delivery.card, experiment, choice, compared, said.together(choice.candidates) if said else None)
    lines = (*compared.problems, f"{delivery.card}: written", *write_conf_files([option], writing))
    print(*[printable(each) for each in lines], sep="\n")


def _comfyui_loras() -> Path:
    """Where this machine's ComfyUI looks for LoRAs."""
    from darkroom.machine.locations import LocationsFile
    from darkroom.plan.conf.folders import machine_file

    models = LocationsFile.read(machine_file()).locations.comfyui
    if not models:
        raise ConfigError(
            "--to: say which folder, such as ~/ComfyUI/models/loras; `darkroom init` finds it once for all"
        )
    return Path(models, "loras")

"""The command that makes one file of what came out, to be sent: sheet."""

import argparse
from pathlib import Path

from darkroom.cli import LOOK, Commands, described
from darkroom.cli.completing import completes, experiments
from darkroom.display import counted, sized
from darkroom.store import RESULTS


def add_to(commands: Commands) -> None:
    sheet = commands.add(
        LOOK,
        "sheet",
        _sheet,
        "Draw an experiment's sheet, or part of it, as one picture or animation to share.",
        "sheet my_job_pick --rows prompt --columns step --only seed=1 -o sheet.png",
    )
    completes(sheet.add_argument("experiment", help="its name"), experiments)
    sheet.add_argument("--rows", default="", metavar="AXES", help="with commas: prompt, step, strength, seed, lora …")
    sheet.add_argument("--columns", default="", metavar="AXES", help="by default both are laid out as on the page")
    sheet.add_argument(
        "--only", action="append", default=[], metavar="AXIS=VALUES", help="seed=1, step=500,750, step=250..750"
    )
    sheet.add_argument("--over", metavar="AXIS", help="an animation: a frame for each of its values (.webp, .gif)")
    sheet.add_argument("--title", help="in place of the experiment's name")
    sheet.add_argument("--no-previews", action="store_true", help="without the stored previews above the pictures")
    sheet.add_argument("--most", default="10MB", metavar="SIZE", help="of the file, by the size of its pictures (10MB)")
    sheet.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help=".png, .jpg, .webp, .gif; .zip is the page with its pictures"
    )


def _sheet(options: argparse.Namespace) -> None:
    from darkroom.record import read_rows
    from darkroom.review.inventory.pages import rendered_folder
    from darkroom.review.sharing.previews_shown import previews_shown
    from darkroom.review.sharing.saving import bytes_of, check_ending, save, save_page
    from darkroom.review.sharing.view import Asked, cut

    output = options.output or Path(f"{options.experiment}.{'webp' if options.over else 'png'}")
    check_ending(output, animated=options.over is not None)
    most = bytes_of(options.most)
    folder = rendered_folder(options.experiment, RESULTS, described())
    if output.suffix.lower() == ".zip":
        print(
            f"{output}: {sized(save_page(folder, output))}; unpacked anywhere, {folder.report.name} opens in a browser"
        )
        return
    asked = Asked(_axes(options.rows), _axes(options.columns), tuple(options.only), options.over)
    rows, _ = read_rows(folder.manifest)
    view = cut(rows, asked)
    previews = {} if options.no_previews else previews_shown(options.experiment)
    side, size = save(view, output, options.title or options.experiment, previews, most)
    pictures = counted(sum(len(frame.cells) for frame in view.frames), "picture")
    print(*view.notes, f"{output}: {pictures} of {side} pixels, {sized(size)}", sep="\n")


def _axes(said: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in said.split(",") if word.strip())

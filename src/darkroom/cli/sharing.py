"""The command that makes one file of what came out, to be sent: sheet."""

import argparse
from pathlib import Path

from darkroom.cli import LOOK, Commands, described
from darkroom.cli.completing import completes, experiments
from darkroom.display import printable, sized
from darkroom.store import RESULTS

_MOST = "10MB"


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
        "--only",
        action="append",
        default=[],
        metavar="AXIS=VALUES",
        help="seed=1, index=0, step=500,750, step=250..750",
    )
    sheet.add_argument("--over", metavar="AXIS", help="an animation: a frame for each of its values (.webp, .gif)")
    sheet.add_argument("--title", help="in place of the experiment's name")
    sheet.add_argument("--no-previews", action="store_true", help="without the stored previews above the pictures")
    sheet.add_argument("--most", metavar="SIZE", help=f"of the file, by the size of its pictures ({_MOST})")
    sheet.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help=".png, .jpg, .webp, .gif; .zip is the page with its pictures"
    )


def _sheet(options: argparse.Namespace) -> None:
    from darkroom.record.rows import read_rows
    from darkroom.review.inventory.pages import rendered_folder
    from darkroom.review.sharing.previews_shown import previews_shown
    from darkroom.review.sharing.saving import bytes_of, check_ending, save
    from darkroom.review.sharing.view import Selection, cut
    from darkroom.review.sharing.written import written

    output = options.output or Path(f"{options.experiment}.{'webp' if options.over else 'png'}")
    check_ending(output, animated=options.over is not None)
    if output.suffix.lower() == ".zip":
        _page(options, output)
        return
    most = bytes_of(options.most or _MOST)
    folder = rendered_folder(options.experiment, RESULTS, described())
    part = Selection(_axes(options.rows), _axes(options.columns), tuple(options.only), options.over)
    rows, _ = read_rows(folder.manifest)
    view = cut(rows, part)
    previews = {} if options.no_previews else previews_shown(options.experiment)
    side, size = save(view, output, options.title or options.experiment, previews, most)
    drawn = [row for frame in view.frames for row in frame.cells.values()]
    above = [previews[row.key] for row in drawn if row.key in previews]
    line, error = written(output, drawn, above, f"of {side} pixels, {sized(size)}")
    print(*map(printable, [*view.notes, line]), sep="\n")
    if error:
        raise error


def _page(options: argparse.Namespace, output: Path) -> None:
    """The whole page as one archive."""
    from darkroom.errors import ConfigError
    from darkroom.record.rows import read_rows
    from darkroom.review.inventory.pages import page_of
    from darkroom.review.sharing.saving import save_page
    from darkroom.review.sharing.written import written
    from darkroom.store import ExperimentFolder

    of_drawings = ("rows", "columns", "only", "title", "no_previews", "most")
    if given := [f"--{name.replace('_', '-')}" for name in of_drawings if getattr(options, name)]:
        raise ConfigError(f"{output}: a .zip is the whole page: leave {', '.join(given)} out, or draw a .png")
    folder = ExperimentFolder(page_of(options.experiment, RESULTS, described()).parent)
    rows, _ = read_rows(folder.manifest)
    size = save_page(folder, output)
    said = f"in {sized(size)}; unpacked anywhere, {folder.report.name} opens in a browser"
    line, error = written(output, rows, (), said)
    print(printable(line))
    if error:
        raise error


def _axes(said: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in said.split(",") if word.strip())

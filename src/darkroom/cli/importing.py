"""`darkroom import`: other programs' files → conf/ files and stored previews."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.cli import IMPORT, Commands

if TYPE_CHECKING:
    from darkroom.intake.imported_job import ImportedJob
    from darkroom.intake.options import ImportOptions


def add_to(commands: Commands) -> None:
    parser = commands.add_family(
        IMPORT, "import", "Turn a training job, a request or a list of prompts into files of conf/."
    )
    job = parser.add(
        "What",
        "aitk",
        _job,
        "The job of ai-toolkit in a folder, or in a config.yaml alone.",
        "import aitk output/my_job",
    )
    job.add_argument("path", type=Path)
    add_job_options(job)
    request = parser.add(
        "What", "request", _request, "A request of ai-toolkit-inference, as JSON.", "import request FILE.json"
    )
    request.add_argument("path", type=Path, metavar="FILE.json")
    request.add_argument("--download", action="store_true", help="fetch control images that are named by URL")
    prompts = parser.add(
        "What", "prompts", _prompts, "Prompts of a text file, a table or JSON lines.", "import prompts FILE.txt"
    )
    prompts.add_argument("path", type=Path, metavar="FILE.{txt,csv,tsv,jsonl}")
    for each in (request, prompts):
        _add_place(each)
    for each in (job, request, prompts):
        _add_writing(each)


_COPIES = {
    "checkpoint": "base model",
    "text-encoder": "text encoder",
    "text-encoder-2": "second text encoder (T5)",
    "vae": "VAE",
}


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """What is to be known of a job, besides its path."""
    for option, what in _COPIES.items():
        parser.add_argument(f"--{option}", metavar="PATH", help=f"a local copy of the job's {what}, or a hub id")
    parser.add_argument(
        "--config-unchanged", action="store_true", help="the configuration is the one that all pictures were made with"
    )
    _add_place(parser)


def _add_writing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--force", action="store_true", help="overwrite files that were edited since the last import")
    parser.add_argument("--keep-edited", action="store_true", help="leave such files, and write the rest")
    parser.add_argument("--dry-run", action="store_true", help="print what would be written")


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="of the files to write, in place of the job's or the file's")
    parser.add_argument(
        "--root",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="where files may lie that the import names, besides here and beside it; / for anywhere; control images of "
        "a job that came from another machine are found below it by their names",
    )


def _job(options: argparse.Namespace) -> None:
    _tell(planned_job(options).write(_options(options)))


def planned_job(options: argparse.Namespace) -> ImportedJob:
    """What importing a job will write."""
    from darkroom.intake.aitk.base_model import Copies
    from darkroom.intake.aitk.job import plan_job

    copies = Copies(options.checkpoint, options.text_encoder, options.text_encoder_2, options.vae)
    folder = job_folder(options.path)
    return plan_job(folder, _options(options), copies=copies, config_unchanged=options.config_unchanged)


def job_folder(path: Path) -> Path:
    """What is here by that name, else the job of that name in the output/ of this machine's ai-toolkit."""
    from darkroom.machine.locations import LocationsFile
    from darkroom.plan.conf.folders import machine_file

    toolkit = LocationsFile.read(machine_file()).locations.ai_toolkit
    there = Path(toolkit, "output", path) if toolkit else path
    return there if there.exists() and not path.exists() else path


def _request(options: argparse.Namespace) -> None:
    from darkroom.intake.request_json import import_request

    _tell(import_request(options.path, _options(options), download=options.download))


def _prompts(options: argparse.Namespace) -> None:
    from darkroom.intake.prompt_file import import_prompts

    _tell(import_prompts(options.path, _options(options)))


def _options(options: argparse.Namespace) -> ImportOptions:
    from darkroom.intake.options import ImportOptions

    return ImportOptions(
        name=options.name,
        roots=tuple(options.root),
        force=options.force,
        keep_edited=options.keep_edited,
        dry_run=options.dry_run,
    )


def _tell(lines: Iterable[str]) -> None:
    print(*lines, sep="\n")

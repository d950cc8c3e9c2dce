"""`darkroom import`: other programs' files → conf/ files and stored previews."""

import argparse
from pathlib import Path
from typing import Any

from darkroom.cli import Commands


def add_to(commands: Commands) -> None:
    parser = commands.add_group("import", "Turn a training job, a request or a list of prompts into files of conf/.")
    job = parser.add("aitk", _job, "The job of ai-toolkit in a folder, or in a config.yaml alone.")
    job.add_argument("path", type=Path)
    for option, what in _COPIES.items():
        job.add_argument(f"--{option}", metavar="PATH", help=f"a local copy of the job's {what}, or a hub id")
    job.add_argument(
        "--config-unchanged", action="store_true", help="the configuration is the one that all pictures were made with"
    )
    request = parser.add("request", _request, "A request of ai-toolkit-inference, as JSON.")
    request.add_argument("path", type=Path, metavar="FILE.json")
    request.add_argument("--download", action="store_true", help="fetch control images that are named by URL")
    prompts = parser.add("prompts", _prompts, "Prompts of a text file, a table or JSON lines.")
    prompts.add_argument("path", type=Path, metavar="FILE.{txt,csv,tsv,jsonl}")
    for each in (job, request, prompts):
        _add_options(each)


_COPIES = {
    "checkpoint": "base model",
    "text-encoder": "text encoder",
    "text-encoder-2": "second text encoder (T5)",
    "vae": "VAE",
}


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", help="of the files to write, in place of the job's or the file's")
    parser.add_argument("--force", action="store_true", help="overwrite files that were edited since the last import")
    parser.add_argument("--keep-edited", action="store_true", help="leave such files, and write the rest")
    parser.add_argument("--dry-run", action="store_true", help="print what would be written")
    parser.add_argument(
        "--root",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="where files may lie that the import names, besides here and beside it; / for anywhere",
    )


def _job(options: argparse.Namespace) -> None:
    from darkroom.intake.aitk.base_model import Copies
    from darkroom.intake.aitk.job import JobOptions, plan_job
    from darkroom.plan.conf.folders import BUILT_IN

    copies = Copies(options.checkpoint, options.text_encoder, options.text_encoder_2, options.vae)
    choices = JobOptions(
        builtin=BUILT_IN,
        name=options.name,
        copies=copies,
        roots=tuple(options.root),
        config_unchanged=options.config_unchanged,
    )
    job = plan_job(options.path, choices)
    print(job.write(force=options.force, dry_run=options.dry_run, keep_edited=options.keep_edited), end="")


def _request(options: argparse.Namespace) -> None:
    from darkroom.intake.request_json import import_request

    print(*import_request(options.path, _options(options, download=options.download)), sep="\n")


def _prompts(options: argparse.Namespace) -> None:
    from darkroom.intake.prompt_file import import_prompts

    print(*import_prompts(options.path, _options(options, download=False)), sep="\n")


def _options(options: argparse.Namespace, download: bool) -> Any:
    from darkroom.plan.conf.owned_files import ImportOptions

    return ImportOptions(
        name=options.name,
        roots=(Path(), *options.root),
        download=download,
        force=options.force,
        keep_edited=options.keep_edited,
        dry_run=options.dry_run,
    )

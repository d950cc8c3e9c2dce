"""`darkroom`: one subcommand per rule, and `show`. Parses arguments, calls one function; imports a room per command."""

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from darkroom import __version__
from darkroom.demo_folder import DEMO_FOLDER
from darkroom.errors import DarkroomError, Repeated
from darkroom.store import RESULTS, STORE


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = options.command
    try:
        command(options)
    except Repeated as error:
        _tell(f"darkroom: {error}", options, shown="darkroom: the same error again")
        return 1
    except DarkroomError as error:
        _tell(f"darkroom: {error}", options)
        return 1
    except BrokenPipeError:  # `darkroom show … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        _tell("darkroom: interrupted; finished images are kept", options)
        return 130
    except Exception as error:  # a bug of ours or of a library
        said = f"darkroom: internal error: {type(error).__name__}: {error}"
        _tell(f"{said}\n{traceback.format_exc()}", options, shown=said if options.log else "")
        return 1
    return 0


def _tell(text: str, options: argparse.Namespace, shown: str = "") -> None:
    """Say it in the terminal, or `shown` in its place, and whole in the job's log."""
    print(shown or text, file=sys.stderr)
    if options.log is None:
        return
    try:
        with options.log.open("a", encoding="utf-8") as file:
            print(text, file=file)
    except OSError as error:  # a full disk is what the text may be about
        print(f"darkroom: {options.log}: cannot be written: {error.strerror}", file=sys.stderr)


def _demo(options: argparse.Namespace) -> None:
    from darkroom.render.demo import make_demo

    make_demo(options.folder)


def _checkpoint(options: argparse.Namespace) -> None:
    from darkroom.plan.checkpoint_files import find_checkpoint
    from darkroom.plan.schema import CheckpointSource
    from darkroom.store import Store, read_json, write_json

    choice = read_json(options.choice)
    where = f"conf/model/{choice['request']['model']}.yaml"
    source, family = CheckpointSource(**choice["checkpoint"]), choice["request"]["family"]
    checkpoint = find_checkpoint(source, family, where, Store(RESULTS / STORE), bool(choice["texts"]))
    write_json(options.output, checkpoint.to_json())


def _plan(options: argparse.Namespace) -> None:
    from darkroom.plan.draft import write_requests
    from darkroom.store import Store

    write_requests(options.draft, options.checkpoint, options.output, Store(RESULTS / STORE))


def _encode(options: argparse.Namespace) -> None:
    from darkroom.render.encode import encode_texts

    encode_texts(options.choice, options.checkpoint, options.output, RESULTS, options.worker_log, options.offload)


def _render(options: argparse.Namespace) -> None:
    from darkroom.render.client import render
    from darkroom.render.job import Job

    files = (options.requests, options.checkpoint, options.records, RESULTS)
    requests, checkpoint, records, results = map(str, files)
    job = Job(str(Path.cwd()), requests, checkpoint, records, results, options.offload)
    render(job, options.worker_log)


def _worker(options: argparse.Namespace) -> None:
    from darkroom.render.worker import serve

    serve(options.socket, options.owner)


def _manifest(options: argparse.Namespace) -> None:
    from darkroom.review.manifest import write_manifest
    from darkroom.store import ExperimentFolder, read_json

    folder = ExperimentFolder(options.experiment)
    combinations = [entry[:3] for entry in read_json(folder.contents)["combinations"]]
    write_manifest([folder.records(*names) for names in combinations], options.output)


def _report(options: argparse.Namespace) -> None:
    from darkroom.review.report import write_report

    write_report(options.manifest, options.output)


def _show(options: argparse.Namespace) -> None:
    from darkroom.review.show import as_conf, show

    print(as_conf(options.image) if options.as_conf else show(options.image), end="")


def _memory(options: argparse.Namespace) -> None:
    from darkroom.render.memory_table import memory_table

    print(memory_table(options.width, options.height))


def _side(text: str) -> int:
    if not text.isdecimal() or not 64 <= int(text) <= 4096:
        raise argparse.ArgumentTypeError(f"expected 64 to 4096 pixels, got {text}")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="darkroom", description="Commands that the Snakemake rules call, and `show`.")
    parser.add_argument("--version", action="version", version=f"darkroom {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], None], what: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=what, description=what)
        sub.set_defaults(command=command, log=None)
        return sub

    show = add("show", _show, "Print the record embedded in a picture.")
    show.add_argument("image", type=Path)
    show.add_argument("--as-conf", action="store_true", help="print a prompts file that renders the picture again")

    memory = add("memory", _memory, "Print how much memory each model takes, by memory mode (docs/memory.md).")
    memory.add_argument("--width", type=_side, default=1024, help="pixels")
    memory.add_argument("--height", type=_side, default=1024, help="pixels")

    demo = add("demo", _demo, "Make the demo's tiny checkpoint and adapters.")
    demo.add_argument("folder", type=Path, nargs="?", default=Path(DEMO_FOLDER))

    checkpoint = add("checkpoint", _checkpoint, "Find a model's files and take their digests.")
    checkpoint.add_argument("choice", type=Path)
    checkpoint.add_argument("output", type=Path)

    plan = add("plan", _plan, "Complete one combination's requests with the digests of its files.")
    plan.add_argument("draft", type=Path)
    plan.add_argument("checkpoint", type=Path)
    plan.add_argument("output", type=Path)

    encode = add("encode", _encode, "Encode one model's texts into the store.")
    encode.add_argument("choice", type=Path)
    encode.add_argument("checkpoint", type=Path)
    encode.add_argument("output", type=Path)

    render = add("render", _render, "Render one combination, on the warm worker if Snakemake runs.")
    render.add_argument("requests", type=Path)
    render.add_argument("checkpoint", type=Path)
    render.add_argument("records", type=Path)
    for sub in (encode, render):
        sub.add_argument("--offload", default="auto", help="auto | none | model | block: where weights rest (memory)")
        sub.add_argument("--worker-log", type=Path, default=RESULTS / "worker.log", help="where the worker writes")

    worker = add("worker", _worker, "Serve render jobs until the owner ends (started by render itself).")
    worker.add_argument("socket", type=Path)
    worker.add_argument("--owner", type=int, required=True, help="process id to live and die with")

    manifest = add("manifest", _manifest, "Gather an experiment's records into one Parquet file.")
    manifest.add_argument("experiment", type=Path, help="results/NAME")
    manifest.add_argument("output", type=Path)

    report = add("report", _report, "Write the contact sheet of a manifest.")
    report.add_argument("manifest", type=Path)
    report.add_argument("output", type=Path)

    for sub in (demo, checkpoint, plan, encode, render, manifest, report):
        sub.add_argument("--log", type=Path, help="a file for errors, besides the terminal")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""The commands that Snakemake's rules call: one a rule, with its files as arguments. Here those up to the pictures."""

from __future__ import annotations

import argparse
import signal
from functools import partial
from pathlib import Path

from darkroom.cli import AddCommand, Command, Commands, add_offload, reviewing
from darkroom.store import RESULTS, STORE, ExperimentFolder


def add_to(commands: Commands) -> None:
    """`darkroom rule …`, which is listed nowhere. A rule's own commands take --log, where errors go as well."""
    family = commands.add_hidden_family("rule", "What Snakemake's rules call.")

    def add(name: str, command: Command, what: str) -> argparse.ArgumentParser:
        parser = family.add("One a rule", name, partial(as_job, command), what)
        parser.add_argument("--log", type=Path, help="a file for errors, besides the terminal")
        return parser

    for add_rules in (_add_to, reviewing.add_to):
        add_rules(add, partial(family.add, "Besides"))


def as_job(command: Command, options: argparse.Namespace) -> int | None:
    """What a rule calls goes on for no Snakemake that is no more. SIGTERM ends it as Ctrl-C does."""
    from darkroom.render.worker.owner import end_with, owner

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if (run := owner()) is not None:
        end_with(run)
    return command(options)


def _add_to(add: AddCommand, beside: AddCommand) -> None:
    checkpoint = add("checkpoint", _checkpoint, "Find a model's files and take their digests.")
    checkpoint.add_argument("model", type=Path)
    checkpoint.add_argument("output", type=Path)

    plan = add("plan", _plan, "Complete one combination's requests with the digests of its files.")
    plan.add_argument("draft", type=Path)
    plan.add_argument("checkpoint", type=Path)
    plan.add_argument("output", type=Path)

    encode = add("encode", _encode, "Encode one model's texts into the store.")
    encode.add_argument("model", type=Path)
    encode.add_argument("checkpoint", type=Path)
    encode.add_argument("output", type=Path)

    render = add("render", _render, "Render one combination, on the warm worker if Snakemake runs.")
    render.add_argument("requests", type=Path)
    render.add_argument("checkpoint", type=Path)
    render.add_argument("records", type=Path)

    shard = add("shard", _shard, "Render the combinations of one shard, on the warm worker of a cluster's job.")
    shard.add_argument("experiment", type=Path, help="results/NAME")
    shard.add_argument("model", help="its name")
    shard.add_argument("number", help="of the shard among the model's")

    worker = beside("worker", _worker, "Serve render jobs until the owner ends (started by render itself).")
    worker.add_argument("socket", type=Path, help="- for stdin and stdout")
    worker.add_argument("--log", dest="own_log", type=Path, help="where it writes, and beside it what it is doing")
    worker.add_argument("--owner", type=int, help="process id to live and die with")
    relay = beside("relay", _relay, "Hand on what a worker elsewhere is asked.")
    relay.add_argument("socket", type=Path)
    relay.add_argument("--launcher", required=True, help="the command that starts it")
    relay.add_argument("--log", dest="own_log", type=Path, required=True, help="where both write")
    relay.add_argument("--owner", type=int, required=True, help="process id to live and die with")

    repeats = add("repeats", _repeats, "Render a sheet's nudged repeats, on the warm worker if Snakemake runs.")
    repeats.add_argument("experiment", type=Path, help="results/NAME")
    repeats.add_argument("model", help="its name")
    repeats.add_argument("previews", type=Path)
    for parser in (encode, render, repeats):
        parser.add_argument("--launcher", default="here", help="or what starts workers elsewhere: '8 * srun --gpus=1'")
    for parser in (encode, render, shard, repeats):
        add_offload(parser)
        parser.add_argument("--store", type=Path, default=RESULTS / STORE, help="what is there is not computed again")
        parser.add_argument("--worker-logs", type=Path, default=RESULTS, help="the folder of workers' logs")


def _checkpoint(options: argparse.Namespace) -> None:
    from darkroom.files.atomic import write_json
    from darkroom.plan.conf.schema import CheckpointSource
    from darkroom.plan.weights.checkpoint_files import find_checkpoint
    from darkroom.planned import PlannedModel
    from darkroom.store import Store

    model = PlannedModel.read(options.model)
    where, source = f"conf/model/{model.name}.yaml", CheckpointSource(**model.checkpoint)
    checkpoint = find_checkpoint(source, model.base.family, where, Store(RESULTS / STORE), bool(model.texts))
    write_json(options.output, checkpoint.to_json())


def _plan(options: argparse.Namespace) -> None:
    from darkroom.plan.digests import write_requests
    from darkroom.store import Store

    write_requests(options.draft, options.checkpoint, options.output, Store(RESULTS / STORE))


def _encode(options: argparse.Namespace) -> None:
    from darkroom.render.job import EncodeJob
    from darkroom.render.worker.encode import encode_texts

    job = EncodeJob(
        directory=Path.cwd(),
        model=options.model,
        checkpoint=options.checkpoint,
        store=options.store,
        offload=options.offload,
    )
    encode_texts(job, options.output, options.worker_logs, options.log, options.launcher)


def _render(options: argparse.Namespace) -> None:
    from darkroom.render.job import Job
    from darkroom.render.worker.client import render
    from darkroom.render.worker.owner import latency
    from darkroom.render.worker.shard import fetched

    job = Job(
        directory=Path.cwd(),
        requests=options.requests,
        checkpoint=options.checkpoint,
        records=options.records,
        results=RESULTS,
        store=options.store,
        offload=options.offload,
        latency=latency(),
    )
    if not fetched(job):
        render(job, options.worker_logs, options.log, options.launcher)


def _shard(options: argparse.Namespace) -> None:
    from darkroom.plan.shards.members import plan_members
    from darkroom.planned import Shards
    from darkroom.render.job import Job
    from darkroom.render.worker.owner import latency
    from darkroom.render.worker.shard import render_shard
    from darkroom.store import Store

    folder = ExperimentFolder(options.experiment)
    shards = Shards.read(folder.shards)
    shard = shards.shard(options.model, options.number)
    unplanned = plan_members(folder, shard, Store(RESULTS / STORE))
    job = Job(
        directory=Path.cwd(),
        requests=Path(),
        checkpoint=folder.checkpoint(shard.model),
        records=Path(),
        results=RESULTS,
        store=options.store,
        offload=options.offload,
        latency=latency(),
    )
    render_shard(shard, folder, shards.run, job, options.worker_logs, unplanned)


def _repeats(options: argparse.Namespace) -> None:
    from darkroom.render.job import SheetJob
    from darkroom.render.worker.client import render_sheet
    from darkroom.trials import CLOSER, FLOOR, TrialSheet, sheet_of

    def rendered(look: str) -> Path:
        job = SheetJob.here(sheet_of(options.experiment, options.model, look), options.offload, options.store)
        render_sheet(job, options.worker_logs, options.log, options.launcher)
        return job.sheet

    # 1. A few of each picture
    if TrialSheet.read(rendered(FLOOR)).trials:
        from darkroom.review.repeats import write_closer_sheet

        # 2. Which pictures they leave in doubt
        write_closer_sheet(ExperimentFolder(options.experiment), options.model, options.previews)
    # 3. More of those
    rendered(CLOSER)


def _worker(options: argparse.Namespace) -> None:
    from darkroom.render.worker.server import serve, serve_streams

    if str(options.socket) == "-":
        serve_streams()
    else:
        serve(options.socket, options.owner, log=options.own_log)


def _relay(options: argparse.Namespace) -> None:
    import shlex

    from darkroom.render.worker.relay import relay

    relay(options.socket, options.owner, shlex.split(options.launcher), options.own_log)

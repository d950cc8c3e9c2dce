"""The commands that Snakemake's rules call: one a rule, with the rule's files as arguments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.cli import Command, Commands, add_offload
from darkroom.errors import StoreError
from darkroom.store import RESULTS, STORE, ExperimentFolder

if TYPE_CHECKING:
    from darkroom.review.regress.comparison import Comparison


_RULES, _BESIDES = "One a rule", "Besides"


def add_to(commands: Commands) -> None:
    """`darkroom rule …`, which is listed nowhere. A rule's own commands take --log, where errors go as well."""
    family = commands.add_hidden_family("rule", "What Snakemake's rules call.")

    def add(name: str, command: Command, what: str) -> argparse.ArgumentParser:
        parser = family.add(_RULES, name, partial(_as_job, command), what)
        parser.add_argument("--log", type=Path, help="a file for errors, besides the terminal")
        return parser

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
    worker = family.add(
        _BESIDES, "worker", _worker, "Serve render jobs until the owner ends (started by render itself)."
    )
    worker.add_argument("socket", type=Path, help="- for stdin and stdout")
    worker.add_argument("--log", dest="own_log", type=Path, help="where it writes, and beside it what it is doing")
    worker.add_argument("--owner", type=int, help="process id to live and die with")
    relay = family.add(_BESIDES, "relay", _relay, "Hand on what a worker elsewhere is asked.")
    relay.add_argument("socket", type=Path)
    relay.add_argument("--launcher", required=True, help="the command that starts it")
    relay.add_argument("--log", dest="own_log", type=Path, required=True, help="where both write")
    relay.add_argument("--owner", type=int, required=True, help="process id to live and die with")

    manifest = add("manifest", _manifest, "Gather an experiment's records into one Parquet file.")
    manifest.add_argument("experiment", type=Path, help="results/NAME")
    manifest.add_argument("output", type=Path)

    unfinished = family.add(
        _BESIDES, "unfinished", _unfinished, "Manifest and page of a run that failed, and why it did."
    )
    unfinished.add_argument("experiment", type=Path, help="results/NAME")
    unfinished.add_argument("--compare", type=Path, metavar="PREVIEWS", help="compare with stored previews as well")

    report = add("report", _report, "Write the contact sheet of a manifest.")
    report.add_argument("manifest", type=Path)
    report.add_argument("output", type=Path)
    report.add_argument("--scores", type=Path, nargs="*", default=(), metavar="FILE", help="tables of scores")

    score = add("score", _score, "Give the pictures of an experiment one of its scores.")
    score.add_argument("experiment", type=Path, help="results/NAME")
    score.add_argument("scorer", help="its name")
    score.add_argument("output", type=Path)

    sheet = add("sheet", _sheet, "List the pictures of a model whose nudged repeats a comparison needs.")
    sheet.add_argument("experiment", type=Path, help="results/NAME")
    sheet.add_argument("model", help="its name")
    sheet.add_argument("previews", type=Path)

    repeats = add("repeats", _repeats, "Render a sheet's nudged repeats, on the warm worker if Snakemake runs.")
    repeats.add_argument("sheet", type=Path)
    for parser in (encode, render, repeats):
        parser.add_argument("--launcher", default="here", help="or what starts workers elsewhere: '8 * srun --gpus=1'")
    for parser in (encode, render, shard, repeats):
        add_offload(parser)
        parser.add_argument("--store", type=Path, default=RESULTS / STORE, help="what is there is not computed again")
        parser.add_argument("--worker-logs", type=Path, default=RESULTS, help="the folder of workers' logs")

    compare = add("compare", _compare, "Compare an experiment's pictures with their stored previews.")
    compare.add_argument("experiment", type=Path, help="results/NAME")
    compare.add_argument("previews", type=Path)

    verdict = add("verdict", _verdict, "Say how a comparison came out; status 1 if anything drifted.")
    verdict.add_argument("table", type=Path, help="results/NAME/compare.parquet")


def _as_job(command: Command, options: argparse.Namespace) -> int | None:
    """What a rule calls goes on for no Snakemake that is no more."""
    from darkroom.render.worker.owner import end_with, owner

    if (run := owner()) is not None:
        end_with(run)
    return command(options)


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


def _sheet(options: argparse.Namespace) -> None:
    from darkroom.display import counted
    from darkroom.review.repeats import write_sheet
    from darkroom.telling.messages import say

    if count := write_sheet(ExperimentFolder(options.experiment), options.model, options.previews):
        say(f"{options.model}: nudged repeats of {counted(count, 'picture')} are rendered, once (docs/regress.md)")


def _repeats(options: argparse.Namespace) -> None:
    from darkroom.render.job import SheetJob
    from darkroom.render.worker.client import render_sheet

    job = SheetJob(
        directory=Path.cwd(), sheet=options.sheet, results=RESULTS, store=options.store, offload=options.offload
    )
    render_sheet(job, options.worker_logs, options.log, options.launcher)


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


def _manifest(options: argparse.Namespace) -> None:
    from darkroom.planned import Contents
    from darkroom.review.manifest import write_manifest

    folder = ExperimentFolder(options.experiment)
    combinations = Contents.read(folder.contents).combinations
    write_manifest([folder.records(each.names) for each in combinations], options.output)


def _unfinished(options: argparse.Namespace) -> None:
    from darkroom.review.sheet.report import write_report
    from darkroom.review.unfinished import failures_of, told, write_unfinished_manifest
    from darkroom.telling.messages import tell

    folder = ExperimentFolder(options.experiment)
    rows = write_unfinished_manifest(folder)
    write_report(folder.manifest, folder.report)
    if options.compare:
        _write_comparison(folder, options.compare)
        _print_summary(folder.comparison)
    print(told(rows, folder.report), end="", file=sys.stderr)
    for failed in failures_of(rows):
        tell(failed)


def _report(options: argparse.Namespace) -> None:
    from darkroom.review.sheet.report import write_report

    write_report(options.manifest, options.output, options.scores)


def _score(options: argparse.Namespace) -> None:
    from darkroom.record import Record, read_rows
    from darkroom.review.scores.scored import score_without_model
    from darkroom.scoring.scorer import OF_MODELS, read_scorers
    from darkroom.scoring.table import write_scores

    folder, name = ExperimentFolder(options.experiment), options.scorer
    scorer = read_scorers(folder.scorers)[name]
    rows, _ = read_rows(folder.manifest)
    records = [row for row in rows if isinstance(row, Record)]
    if scorer.kind in OF_MODELS:
        from darkroom.render.scoring.scored import score_by_model

        columns: Mapping[str, Mapping[str, float]] = {name: score_by_model(name, scorer, records)}
    else:
        columns = score_without_model(name, scorer, records, folder.manifest)
    write_scores(options.output, name, scorer.better, columns)


def _compare(options: argparse.Namespace) -> None:
    _write_comparison(ExperimentFolder(options.experiment), options.previews)


def _write_comparison(folder: ExperimentFolder, previews: Path) -> None:
    from darkroom.review.regress.compare import compare
    from darkroom.review.regress.junit import write_junit
    from darkroom.review.regress.on_sheet import write_sheet_verdicts
    from darkroom.review.regress.regress_page import write_regress_page
    from darkroom.review.regress.step_summary import write_step_summary
    from darkroom.review.repeats import learn_floors

    compare(folder.manifest, previews, folder.thresholds, folder.comparison, learn_floors(folder, previews))
    write_regress_page(folder.comparison, folder.root / "regress.html")
    write_sheet_verdicts(folder.comparison, folder.manifest, folder.root / "verdicts.js")
    write_junit(folder.comparison, folder.root / "junit.xml")
    write_step_summary(folder.comparison, folder.root / "summary.md")


def _verdict(options: argparse.Namespace) -> int:
    from darkroom.review.regress.summary import failed, installed_versions, outdated

    comparisons, metadata = _print_summary(options.table)
    if said := outdated(metadata, installed_versions()):
        raise StoreError(f"{options.table}: {said}")
    return int(failed(comparisons))


def _print_summary(table: Path) -> tuple[tuple[Comparison, ...], dict[str, str]]:
    """Say how a comparison came out, and return it."""
    from darkroom.review.regress.comparison import read_comparisons
    from darkroom.review.regress.summary import summary
    from darkroom.telling.messages import Judged, tell

    comparisons, metadata = read_comparisons(table)
    text = summary(comparisons)
    print(f"{text}; {table.with_name('regress.html')} shows them")
    tell(Judged(text))
    return comparisons, metadata

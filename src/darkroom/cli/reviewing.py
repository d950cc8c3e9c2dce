"""Rules behind the pictures: the manifest, scores, the page, and the comparison with previews."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.cli import AddCommand
from darkroom.errors import StoreError
from darkroom.store import ExperimentFolder

if TYPE_CHECKING:
    from darkroom.review.regress.comparison import Comparison


def add_to(add: AddCommand, beside: AddCommand) -> None:
    manifest = add("manifest", _manifest, "Gather an experiment's records into one Parquet file.")
    manifest.add_argument("experiment", type=Path, help="results/NAME")
    manifest.add_argument("output", type=Path)

    unfinished = beside("unfinished", _unfinished, "Manifest and page of a run that failed, and why it did.")
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

    compare = add("compare", _compare, "Compare an experiment's pictures with their stored previews.")
    compare.add_argument("experiment", type=Path, help="results/NAME")
    compare.add_argument("previews", type=Path)

    verdict = add("verdict", _verdict, "Say how a comparison came out; status 1 if anything drifted.")
    verdict.add_argument("table", type=Path, help="results/NAME/compare.parquet")


def _manifest(options: argparse.Namespace) -> None:
    from darkroom.planned import Contents
    from darkroom.review.manifest import write_manifest

    folder = ExperimentFolder(options.experiment)
    combinations = Contents.read(folder.contents).combinations
    write_manifest([folder.records(each.names) for each in combinations], options.output)


def _unfinished(options: argparse.Namespace) -> None:
    from darkroom.planned import Contents
    from darkroom.review.sheet.report import write_report
    from darkroom.review.unfinished import told, write_unfinished_manifest

    folder = ExperimentFolder(options.experiment)
    rows = write_unfinished_manifest(folder)
    write_report(folder.manifest, folder.report)
    if options.compare:
        _write_comparison(folder, options.compare)
        _print_summary(folder.comparison)
    asked = Contents.read(folder.contents).pictures
    print(told(rows, asked, folder.report), end="", file=sys.stderr)


def _report(options: argparse.Namespace) -> None:
    from darkroom.review.sheet.report import write_report

    write_report(options.manifest, options.output, options.scores)


def _score(options: argparse.Namespace) -> None:
    from darkroom.record.rows import Record, read_rows
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


def _sheet(options: argparse.Namespace) -> None:
    from darkroom.display import counted
    from darkroom.review.repeats import write_sheet
    from darkroom.telling.messages import say

    if count := write_sheet(ExperimentFolder(options.experiment), options.model, options.previews):
        say(f"{options.model}: nudged repeats of {counted(count, 'picture')} are rendered, once (docs/regress.md)")


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

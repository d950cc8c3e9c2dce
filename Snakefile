# Names the experiment, lists its combinations, includes three rule files.
#   snakemake --cores 1 --config experiment=NAME 'set=["model.numerics=fast"]' name=NAME_IN_RESULTS
import sys

from snakemake.utils import min_version

from darkroom import look_for_garbage_seldom
from darkroom.plan.conf.folders import CONF_DIRS
from darkroom.plan.pace import leave_out_usual_limit
from darkroom.plan.shards.ending import take_jobs_along
from darkroom.plan.shards.lookup import open_shards
from darkroom.plan.opening import open_workflow
from darkroom.render.worker.owner import adopt_jobs
from darkroom.review.sheet.live_page import LivePage
from darkroom.telling.executor import tell_failed_jobs

min_version("9.0")
look_for_garbage_seldom()

# A conf/ in the working directory goes ahead of the built-in one.
# In a job of its own, Snakemake's command line is another one than was typed.
DARKROOM = open_workflow(
    config,
    CONF_DIRS,
    sys.argv if workflow.is_main_process else None,
    is_dry_run=workflow.output_settings.dryrun,
)
# With `set-resources: shard:` in the profile, a cluster's job renders many combinations of one base model.
SHARDS = open_shards(
    DARKROOM,
    workflow.resource_settings.overwrite_resources,
    is_main=workflow.is_main_process,
)
PAGE = LivePage(DARKROOM.folder)
adopt_jobs(sys.argv, is_main=workflow.is_main_process)


wildcard_constraints:
    experiment=DARKROOM.name_pattern,
    model="[^/]+",
    lora="[^/]+",
    prompts="[^/]+",
    scorer="[^/]+",
    run=SHARDS.pattern,
    shard="[0-9]+",


# Only `--software-deployment-method apptainer` looks at this; the image would need Darkroom installed.
container: "docker://python:3.11-slim"


localrules:
    all,
    checkpoint,
    plan,
    manifest,
    report,
    sheet,
    compare,
    regress,


rule all:
    default_target: True
    input:
        # The records by name: Snakemake would not miss one that only an up-to-date manifest needs.
        records=DARKROOM.records(),
        manifest=expand("results/{name}/manifest.parquet", name=DARKROOM.name),
        finished=expand("results/{name}/finished", name=DARKROOM.name),
        report=expand("results/{name}/report.html", name=DARKROOM.name),
        # By name as well: a table that somebody deleted is one that an up-to-date page would not miss.
        scores=expand(
            "results/{name}/scores/{scorer}.parquet",
            name=DARKROOM.name,
            scorer=DARKROOM.scorers,
        ),


# What a shard has rendered is fetched where Snakemake was started.
if SHARDS.are_in_use:

    localrules:
        render,


onstart:
    DARKROOM.start()
    SHARDS.start()
    tell_failed_jobs()
    take_jobs_along()
    leave_out_usual_limit(workflow)
    # Not for a run that writes no page at its end: this one would stay.
    if not workflow.touch and {"manifest", "report"} <= {
        job.rule.name for job in workflow.dag.needrun_jobs()
    }:
        PAGE.open()


onsuccess:
    PAGE.close()
    DARKROOM.end(well=True)


# Manifest and page of what there is, and why the rest is not there. The run has failed, whatever becomes of this.
onerror:
    if DARKROOM.take_stock():
        compares = any(job.rule.name == "compare" for job in workflow.dag.jobs)
        options = ["--compare", DARKROOM.previews()] if compares else []
        shell(
            "python -P -m darkroom rule unfinished results/{DARKROOM.name:q} {options:q} || true"
        )
    # Every picture is there and in the manifest, and a score is not: no reason to be without the page.
    elif PAGE.stands:
        tables = DARKROOM.score_tables()
        shell(
            "python -P -m darkroom rule report results/{DARKROOM.name:q}/manifest.parquet"
            " results/{DARKROOM.name:q}/report.html --scores {tables:q} || true"
        )
    PAGE.close()
    DARKROOM.end()


include: "rules/plan.smk"
include: "rules/render.smk"
include: "rules/review.smk"

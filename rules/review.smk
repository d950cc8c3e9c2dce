# review: what came out. From records to the manifest, the contact sheet and the comparison with previews; no torch.
# retries: 0, since a second attempt would find the same.


rule manifest:
    input:
        records=DARKROOM.records(),
        # Unread. Where encode runs, Snakemake asks nothing of what is behind it but by an input that is not ancient.
        embeddings=expand(
            "results/{name}/embeddings/{model}.json",
            name=DARKROOM.name,
            model=DARKROOM.experiment.models,
        ),
    output:
        table="results/{experiment}/manifest.parquet",
        # Gone when a later run has failed and left a manifest of its own; so whoever wants the manifest asks for both.
        finished=touch("results/{experiment}/finished"),
    log:
        "results/{experiment}/logs/manifest.log",
    retries: 0
    shell:
        "python -P -m darkroom rule manifest results/{wildcards.experiment:q} {output.table:q} --log {log:q}"


# A table of its own beside the manifest, whatever gives the numbers; none where an experiment asks for no scores.
rule score:
    input:
        manifest="results/{experiment}/manifest.parquet",
    output:
        "results/{experiment}/scores/{scorer}.parquet",
    log:
        "results/{experiment}/logs/score_{scorer}.log",
    retries: 0
    # CLIP and its kind compute where pictures are rendered, after them.
    resources:
        gpu=1,
    params:
        scorer=lambda wildcards: DARKROOM.scorer(wildcards.scorer),
    shell:
        "python -P -m darkroom rule score results/{wildcards.experiment:q} {wildcards.scorer:q} {output:q} --log {log:q}"


rule report:
    input:
        manifest="results/{experiment}/manifest.parquet",
        # Unread. It is gone while the page is that of a run at work.
        finished="results/{experiment}/finished",
        scores=expand(
            "results/{name}/scores/{scorer}.parquet",
            name=DARKROOM.name,
            scorer=DARKROOM.scorers,
        ),
    output:
        report(
            "results/{experiment}/report.html",
            caption="captions/contact_sheet.rst",
            category="Pictures",
            labels={"page": "contact sheet"},
        ),
    log:
        "results/{experiment}/logs/report.log",
    retries: 0
    shell:
        "python -P -m darkroom rule report {input.manifest:q} {output:q} --log {log:q} --scores {input.scores:q}"


# Which pictures are not identical to their preview, and how far rounding could take them is not known.
rule sheet:
    input:
        manifest="results/{experiment}/manifest.parquet",
    output:
        "results/{experiment}/floor/{model}/trials.json",
        "results/{experiment}/closer/{model}/trials.json",
    log:
        "results/{experiment}/logs/sheet/{model}.log",
    retries: 0
    params:
        # No inputs, as weights are none of checkpoint.
        previews=lambda wildcards: DARKROOM.previews(),
        compared_with=lambda wildcards: DARKROOM.compared_with(),
    shell:
        "python -P -m darkroom rule sheet results/{wildcards.experiment:q} {wildcards.model:q} {params.previews:q} --log {log:q}"


rule compare:
    input:
        manifest="results/{experiment}/manifest.parquet",
        repeats=expand(
            "results/{name}/{look}/{model}/outcomes.json",
            name=DARKROOM.name,
            look=["floor", "closer"],
            model=DARKROOM.experiment.models,
        ),
    output:
        table="results/{experiment}/compare.parquet",
        page=report(
            "results/{experiment}/regress.html",
            caption="captions/pairs.rst",
            category="Comparison with previews",
            labels={"page": "pairs"},
        ),
        # What the contact sheet shows of it.
        verdicts="results/{experiment}/verdicts.js",
        junit="results/{experiment}/junit.xml",
        summary=report(
            "results/{experiment}/summary.md",
            caption="captions/summary.rst",
            category="Comparison with previews",
            labels={"page": "summary"},
        ),
    log:
        "results/{experiment}/logs/compare.log",
    retries: 0
    # FLIP computes on as many threads as it is given; Snakemake gives no more than it has.
    threads: 8
    params:
        previews=lambda wildcards: DARKROOM.previews(),
        compared_with=lambda wildcards: DARKROOM.compared_with(),
    shell:
        "python -P -m darkroom rule compare results/{wildcards.experiment:q} {params.previews:q} --log {log:q}"


# Says how it went and fails when a picture drifted or a preview is missing; the files that say more are compare's.
rule regress:
    input:
        table=expand("results/{name}/compare.parquet", name=DARKROOM.name),
        # Snakemake would not miss what it makes besides, and somebody has deleted.
        shown=expand(
            "results/{name}/{file}",
            name=DARKROOM.name,
            file=["regress.html", "verdicts.js", "junit.xml", "summary.md"],
        ),
        finished=expand("results/{name}/finished", name=DARKROOM.name),
        report=expand("results/{name}/report.html", name=DARKROOM.name),
    log:
        expand("results/{name}/logs/regress.log", name=DARKROOM.name),
    retries: 0
    shell:
        "python -P -m darkroom rule verdict {input.table:q} --log {log:q}"

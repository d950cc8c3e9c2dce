# review: what came out. From records to the manifest, the contact sheet and the comparison with previews; no torch.
# retries: 0, since a second attempt would find the same.


rule manifest:
    input:
        records=DARKROOM.records(),
    output:
        "results/{experiment}/manifest.parquet",
    log:
        "results/{experiment}/logs/manifest.log",
    retries: 0
    shell:
        "python -m darkroom manifest results/{wildcards.experiment:q} {output:q} --log {log:q}"


rule report:
    input:
        "results/{experiment}/manifest.parquet",
    output:
        "results/{experiment}/report.html",
    log:
        "results/{experiment}/logs/report.log",
    retries: 0
    shell:
        "python -m darkroom report {input:q} {output:q} --log {log:q}"


rule compare:
    input:
        manifest="results/{experiment}/manifest.parquet",
        previews=lambda wildcards: DARKROOM.previews(),
    output:
        table="results/{experiment}/compare.parquet",
        page="results/{experiment}/regress.html",
        junit="results/{experiment}/junit.xml",
    log:
        "results/{experiment}/logs/compare.log",
    retries: 0
    # FLIP computes on as many threads as it is given; Snakemake gives no more than it has.
    threads: 8
    params:
        compared_with=lambda wildcards: DARKROOM.compared_with(),
    shell:
        "python -m darkroom compare results/{wildcards.experiment:q} {input.previews:q} --log {log:q}"


# Says how it went and fails when a picture drifted or a preview is missing; the files that say more are compare's.
rule regress:
    input:
        expand("results/{name}/compare.parquet", name=DARKROOM.name),
    log:
        expand("results/{name}/logs/regress.log", name=DARKROOM.name),
    retries: 0
    shell:
        "python -m darkroom verdict {input:q} --log {log:q}"

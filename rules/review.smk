# review: what came out. From records to the manifest and the contact sheet; no torch.
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

# plan: what to render. From conf/ to requests; no torch.
# retries: 0, since a second attempt would find the same.


# Weights, adapters and reference images are no inputs: `source` and `trigger` see every change of them, whatever time
# they have, and Snakemake ends a run whose input is from the future.
rule checkpoint:
    output:
        "results/{experiment}/checkpoints/{model}.json",
    log:
        "results/{experiment}/logs/checkpoint/{model}.log",
    # All checkpoints, then all text encoders, then combinations in the order of the matrix.
    priority: DARKROOM.first_priority + 1
    retries: 0
    params:
        source=lambda wildcards: DARKROOM.source(wildcards.model),
    shell:
        "python -P -m darkroom rule checkpoint results/{wildcards.experiment:q}/models/{wildcards.model:q}.json"
        " {output:q} --log {log:q}"


rule plan:
    input:
        checkpoint="results/{experiment}/checkpoints/{model}.json",
    output:
        "results/{experiment}/requests/{model}/{lora}/{prompts}.json",
    log:
        "results/{experiment}/logs/plan/{model}/{lora}/{prompts}.log",
    priority: lambda wildcards: DARKROOM.priority(wildcards.model, wildcards.lora, wildcards.prompts)
    retries: 0
    params:
        trigger=lambda wildcards: DARKROOM.trigger(
            wildcards.model, wildcards.lora, wildcards.prompts
        ),
    shell:
        "python -P -m darkroom rule plan"
        " results/{wildcards.experiment:q}/drafts/{wildcards.model:q}/{wildcards.lora:q}/{wildcards.prompts:q}.json"
        " {input.checkpoint:q} {output:q} --log {log:q}"

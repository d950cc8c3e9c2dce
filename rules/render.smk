# encode, render, repeats: how. Text encoding first and alone; then one job a combination, on a warm worker.


rule encode:
    input:
        checkpoint="results/{experiment}/checkpoints/{model}.json",
    output:
        "results/{experiment}/embeddings/{model}.json",
    log:
        "results/{experiment}/logs/encode/{model}.log",
    # Before the first render, so that no text encoder has to share the memory with a base model.
    priority: DARKROOM.first_priority
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: DARKROOM.memory(
            wildcards.model, attempt, encodes=True
        ),
        offload="auto",
        store=DARKROOM.store,
        launcher="here",
    params:
        texts=lambda wildcards: DARKROOM.experiment.text_digest(wildcards.model),
    shell:
        "python -P -m darkroom rule encode results/{wildcards.experiment:q}/models/{wildcards.model:q}.json"
        " {input.checkpoint:q} {output:q} --log {log:q} --offload {resources.offload:q}"
        " --worker-logs results/{wildcards.experiment:q}/logs/worker --store {resources.store:q}"
        " --launcher {resources.launcher:q}"


rule render:
    input:
        # None in a shard, whose job plans its combinations itself.
        requests=lambda wildcards: SHARDS.requests(
            wildcards.model, wildcards.lora, wildcards.prompts
        ),
        checkpoint="results/{experiment}/checkpoints/{model}.json",
        # ancient for what is finished: one new text encodes again, but renders only the combinations that use it.
        embeddings=lambda wildcards: DARKROOM.embeddings(
            wildcards.model, wildcards.lora, wildcards.prompts
        ),
        # In a run with shards they render, and what is left here is to fetch the records; else none.
        shard=lambda wildcards: SHARDS.before(
            wildcards.model, wildcards.lora, wildcards.prompts
        ),
    output:
        "results/{experiment}/records/{model}/{lora}/{prompts}.parquet",
    log:
        "results/{experiment}/logs/render/{model}/{lora}/{prompts}.log",
    # A base model, then a LoRA, is done with before the next one: weights change least.
    priority: lambda wildcards: DARKROOM.priority(wildcards.model, wildcards.lora, wildcards.prompts)
    retries: SHARDS.retries
    # offload: auto | none | model | block, for a profile to set (docs/memory.md): where weights rest.
    # launcher: here, or commands that start workers elsewhere, such as `8 * srun --gpus=1` or `ssh node1; ssh node2`.
    # store: a resource, whose change makes no job again; a module's shell lines do not see DARKROOM.
    # mem_mb: of the machine's memory, by the memory planner's numbers; a cluster's job may have no more.
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: DARKROOM.memory(wildcards.model, attempt),
        offload="auto",
        store=DARKROOM.store,
        launcher="here",
        staged=lambda wildcards: SHARDS.staged(
            wildcards.model, wildcards.lora, wildcards.prompts
        ),
    # What a shard has staged is fetched without a Python, of which thousands would take minutes; the rest says why not.
    shell:
        "{{ touch -c {resources.staged:q} && ln {resources.staged:q} {output:q}; }} 2>/dev/null ||"
        " python -P -m darkroom rule render"
        " results/{wildcards.experiment:q}/requests/{wildcards.model:q}/{wildcards.lora:q}/{wildcards.prompts:q}.json"
        " {input.checkpoint:q} {output:q} --log {log:q}"
        " --offload {resources.offload:q} --worker-logs results/{wildcards.experiment:q}/logs/worker --store {resources.store:q}"
        " --launcher {resources.launcher:q}"


# Many combinations of one base model in one job of a cluster, which plans them as well: thousands of plan jobs would hold
# up the process that began the run. One that fails is no failure of its shard. Which are in it is fixed when the run begins: results/<experiment>/shards.json.
rule shard:
    input:
        checkpoint="results/{experiment}/checkpoints/{model}.json",
        embeddings="results/{experiment}/embeddings/{model}.json",
    output:
        "results/{experiment}/shards/{run}/{model}/{shard}.json",
    log:
        "results/{experiment}/logs/shard/{run}/{model}/{shard}.log",
    priority: lambda wildcards: SHARDS.priority(wildcards.model, wildcards.shard)
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: DARKROOM.memory(wildcards.model, attempt),
        offload="auto",
        store=DARKROOM.store,
        runtime=lambda wildcards, attempt: SHARDS.minutes(
            wildcards.model, wildcards.shard, attempt
        ),
    shell:
        "python -P -m darkroom rule shard results/{wildcards.experiment:q} {wildcards.model:q} {wildcards.shard:q}"
        " --log {log:q} --offload {resources.offload:q}"
        " --worker-logs results/{wildcards.experiment:q}/logs/worker --store {resources.store:q}"


# Nudged repeats of pictures that are not identical to their previews, and more of those that a few leave in doubt; of
# none in most nights, and then it does nothing.
rule repeats:
    input:
        sheet="results/{experiment}/floor/{model}/trials.json",
        checkpoint="results/{experiment}/checkpoints/{model}.json",
        manifest="results/{experiment}/manifest.parquet",
    output:
        "results/{experiment}/floor/{model}/outcomes.json",
        "results/{experiment}/closer/{model}/outcomes.json",
    log:
        "results/{experiment}/logs/repeats/{model}.log",
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: DARKROOM.memory(wildcards.model, attempt),
        offload="auto",
        store=DARKROOM.store,
        launcher="here",
    params:
        previews=lambda wildcards: DARKROOM.previews(),
    shell:
        "python -P -m darkroom rule repeats results/{wildcards.experiment:q} {wildcards.model:q} {params.previews:q}"
        " --log {log:q} --offload {resources.offload:q} --worker-logs results/{wildcards.experiment:q}/logs/worker --store {resources.store:q}"
        " --launcher {resources.launcher:q}"

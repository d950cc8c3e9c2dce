"""Keys of a model that cannot stand together: what its family lacks, what excludes what."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath

from darkroom.errors import ConfigError
from darkroom.plan.conf.families import FAMILIES, FLOAT8
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.schema import Model
from darkroom.plan.requests.model_values import base_of
from darkroom.request.speedups import unfit_speedups

# FLUX.2-klein-4B of the hub, flux-2-klein-4b-fp8.safetensors, flux-2-klein-9b-Q8_0.gguf; the base has "base" in it
_DISTILLED = re.compile(
    r"flux[.-]?2-klein-[49]b([-_](fp8\w*|nvfp4|bf16|fp16|q\d\w*|gguf))*(\.(safetensors|sft|gguf))?", re.IGNORECASE
)


def contradictions(model: Model, origin: Origin) -> Iterator[ConfigError]:
    """A sentence for each."""
    told = (_of_family, _of_distilled_base, _of_training_adapter, _of_quantised_base, _of_speedups)
    for key, fault in (each for faults in told for each in faults(model)):
        yield ConfigError(f"{origin.at(key)}: {fault}")


def _of_family(model: Model) -> Iterator[tuple[str, str]]:
    name, family = model.family, FAMILIES[model.family]
    if model.guidance not in family.guidances:
        expected = f"expected {' or '.join(family.guidances)}, got {model.guidance}"
        has = "has its" if "embedded" in family.guidances else "has no"
        yield "guidance", f"{name} {has} guidance embedded in the transformer: {expected}"
    for key, known in (("schedule", family.schedules), ("timestep_rounding", family.timestep_roundings)):
        if getattr(model, key) not in known:
            # Their trainer samples with diffusers' scheduler, so that diffusers' is no other one.
            asked = f"expected {' or '.join(known)}, got {getattr(model, key)}"
            yield key, f"in {name} the trainer's {key} is diffusers' own: {asked}"
    if model.guidance_rule not in family.guidance_rules:
        asked = f"expected {' or '.join(family.guidance_rules)}, got {model.guidance_rule}"
        yield "guidance_rule", f"every version of the trainer reads guidance_scale alike for {name}: {asked}"
    if model.distilled and not family.takes_distilled:
        way = "is embedded" if "embedded" in family.guidances else "goes by its scale"
        yield "distilled", f"has no meaning for {name}, whose guidance {way} whatever it was trained from"
    if model.attn_masking and not family.takes_attn_masking:
        takers = " and ".join(other for other in FAMILIES if FAMILIES[other].takes_attn_masking)
        yield "attn_masking", f"the trainer knows it of the family {takers} only, got true for {name}"


def _of_distilled_base(model: Model) -> Iterator[tuple[str, str]]:
    """Nothing but its name tells a distilled klein from the base: its layers are the same."""
    name = PurePath((model.checkpoint.transformer or model.checkpoint.name).partition("@")[0]).name
    if _DISTILLED.fullmatch(name) and not (model.distilled or model.imported):
        yield (
            "distilled",
            f"{name} is the klein that was distilled to 4 steps, which no trainer previews: expected true, got false "
            "(or the file of the base, which has -base- in its name)",
        )


def _of_training_adapter(model: Model) -> Iterator[tuple[str, str]]:
    name, family, quantized = model.family, FAMILIES[model.family], model.quantize.transformer
    if model.quantize.embedders and not family.keeps_embedders:
        yield "quantize.embedders", f"has no meaning for {name}, of which every linear layer is quantised"
    if family.takes_training_adapter and model.checkpoint.training_adapter and quantized not in (None, FLOAT8):
        yield (
            "quantize.transformer",
            f"{quantized} beside a training adapter: the trainer takes float8 in place of qfloat8 there, and of others "
            "it loses what cancels the adapter; expected float8 or null",
        )
    if quantized not in (None, *family.qtypes):
        takers = " and ".join(other for other in FAMILIES if quantized in FAMILIES[other].qtypes)
        yield (
            "quantize.transformer",
            f"{quantized} is here for {takers} only; expected {', '.join(family.qtypes)} or null for {name}",
        )


def _of_quantised_base(model: Model) -> Iterator[tuple[str, str]]:
    if model.quantize.transformer is not None and model.lora_merge in ("merged", "merged_in_dtype"):
        yield (
            "lora_merge",
            f"{model.lora_merge} needs a base in full precision, but quantize.transformer is "
            f"{model.quantize.transformer}; expected auto or live",
        )


def _of_speedups(model: Model) -> Iterator[tuple[str, str]]:
    base = base_of(model)
    never = unfit_speedups(replace(base, numerics="fast"), model.lora_merge)
    for key, why in unfit_speedups(base, model.lora_merge).items():
        yield key, f"{why}; leave it out{'' if key in never else ', or set model.numerics=fast'}"

"""Keys of a model that cannot stand together: what its family lacks, what excludes what."""

from collections.abc import Iterator

from darkroom.errors import ConfigError
from darkroom.plan.conf.families import FAMILIES
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.schema import Model


def contradictions(model: Model, origin: Origin) -> Iterator[ConfigError]:
    """A sentence for each."""
    for key, fault in (*_of_family(model), *_of_quantised_base(model)):
        yield ConfigError(f"{origin.at(key)}: {fault}")


def _of_family(model: Model) -> Iterator[tuple[str, str]]:
    name, family = model.family, FAMILIES[model.family]
    if model.guidance not in family.guidances:
        expected = f"expected {' or '.join(family.guidances)}, got {model.guidance}"
        yield "guidance", f"{name} has its guidance embedded in the transformer: {expected}"
    for key in ("schedule", "timestep_rounding"):
        if getattr(model, key) not in family.schedules:
            # FLUX.1's trainer samples with diffusers' scheduler, so that there is nothing else to choose.
            yield key, f"in {name} the trainer's {key} is diffusers' own: expected aitk, got {getattr(model, key)}"
    if model.distilled and not family.takes_distilled:
        yield "distilled", f"has no meaning for {name}, whose guidance is embedded whatever it was trained from"
    if model.attn_masking and not family.takes_attn_masking:
        takers = " and ".join(other for other in FAMILIES if FAMILIES[other].takes_attn_masking)
        yield "attn_masking", f"the trainer knows it of the family {takers} only, got true for {name}"


def _of_quantised_base(model: Model) -> Iterator[tuple[str, str]]:
    if model.quantize.transformer is not None and model.lora_merge in ("merged", "merged_in_dtype"):
        yield (
            "lora_merge",
            f"{model.lora_merge} needs a base in full precision, but quantize.transformer is "
            f"{model.quantize.transformer}; expected auto or live",
        )

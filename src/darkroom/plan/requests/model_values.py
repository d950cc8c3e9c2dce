"""A model of conf/ as the values that each of its requests holds: its base, its text encoder, where they come from."""

from darkroom.plan.conf.families import FAMILIES
from darkroom.plan.conf.schema import Model
from darkroom.request.parts import BaseModel, Encoder, Source
from darkroom.request.speedups import SPEEDUPS


def base_of(model: Model) -> BaseModel:
    """Without the digest of its files."""
    return BaseModel(
        family=model.family,
        dtype=model.dtype,
        quantize_transformer=model.quantize.transformer,
        quantize_embedders=model.quantize.embedders and model.quantize.transformer is not None,
        guidance=guidance_of(model),
        numerics=numerics_of(model),
        **{name: getattr(model, name) for name in SPEEDUPS},
    )


def encoder_of(model: Model) -> Encoder:
    """Without the digest of its files."""
    return Encoder(
        family=model.family,
        dtype=model.dtype,
        quantize_text_encoder=model.quantize.text_encoder,
        text_encoder_cast=model.text_encoder_cast and FAMILIES[model.family].takes_cast,
        max_sequence_length=model.max_sequence_length,
        attn_masking=model.attn_masking,
    )


def source_of(model: Model) -> Source:
    """As configured; two text encoders, where a family has two that come from different places."""
    source = model.checkpoint
    parts = FAMILIES[model.family].text_encoders
    encoders = dict.fromkeys(getattr(source, part) or source.repo or "" for part in parts)
    return Source(checkpoint=source.name, text_encoder=" + ".join(encoders), training_adapter=source.training_adapter)


def guidance_of(model: Model) -> str:
    """cfg | embedded | none: diffusers runs no classifier-free guidance on a distilled model, the trainer does."""
    is_ignored = model.guidance == "cfg" and model.distilled and model.schedule == "diffusers"
    return "none" if is_ignored else model.guidance


def numerics_of(model: Model) -> str:
    """exact | fast: where a family computes alike either way, there is one picture and not two."""
    is_another = FAMILIES[model.family].has_fast or any(getattr(model, name) for name in SPEEDUPS)
    return model.numerics if is_another else "exact"

"""A model of conf/ as the values that each of its requests holds: its base, its text encoder, where they come from."""

from darkroom.plan.conf.families import FAMILIES
from darkroom.plan.conf.schema import Model
from darkroom.request.parts import BATCHED_GUIDANCE, COMPILED_BLOCKS, SPEEDUPS, BaseModel, Encoder, Source


def base_of(model: Model) -> BaseModel:
    """Without the digest of its files."""
    speedups = speedups_of(model)
    return BaseModel(
        family=model.family,
        dtype=model.dtype,
        quantize_transformer=model.quantize.transformer,
        quantize_embedders=model.quantize.embedders and model.quantize.transformer is not None,
        guidance=guidance_of(model),
        numerics=numerics_of(model),
        batched_guidance=speedups[BATCHED_GUIDANCE],
        compiled_blocks=speedups[COMPILED_BLOCKS],
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
    is_another = FAMILIES[model.family].has_fast or any(speedups_of(model).values())
    return model.numerics if is_another else "exact"


def speedups_of(model: Model) -> dict[str, bool]:
    """Of each of SPEEDUPS whether it is in effect: in fast, where it can be, if conf/ asks for it."""
    unfit = unfit_speedups(model)
    return {name: name not in unfit and getattr(model, name) for name in SPEEDUPS}


def unfit_speedups(model: Model) -> dict[str, str]:
    """Those of SPEEDUPS that this model cannot have, each with why not."""
    if model.numerics != "fast":
        return dict.fromkeys(SPEEDUPS, f"belongs to numerics: fast, got {model.numerics}")
    return {
        name: why for name, why in ((BATCHED_GUIDANCE, _unbatched(model)), (COMPILED_BLOCKS, _uncompiled(model))) if why
    }


def _unbatched(model: Model) -> str | None:
    if guidance_of(model) != "cfg":
        return f"guidance takes one forward pass here (guidance: {guidance_of(model)})"
    if not FAMILIES[model.family].batches_guidance:
        return f"exact has both texts of {model.family} in one forward pass already"
    return None


def _uncompiled(model: Model) -> str | None:
    if model.quantize.transformer is not None:
        return f"blocks with quantised weights are not compiled (quantize.transformer: {model.quantize.transformer})"
    if model.lora_merge == "live":
        return "adapters that run beside layers are not compiled with them; expected lora_merge: auto or merged"
    return None

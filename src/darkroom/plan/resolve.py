"""Config → Requests: one for each image, with everything in effect but the digests. Knows not of files or Hydra."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from darkroom.plan.conf.families import FAMILIES
from darkroom.plan.conf.schema import LoraStack, Model
from darkroom.plan.pictures import Picture, guidance_in_effect
from darkroom.request import Lora, ReferenceImage, Request

_TRIGGER = "[trigger]"
_TRAINERS_LENGTH = 512  # tokens, of every family
AUTO = "auto:"  # begins the reason for a lora_merge that conf/ leaves to the trainer's rule
_Axes = tuple[tuple[str, Any], ...]  # a point of the matrix, by its values


def resolve(
    experiment: str,
    names: tuple[str, str, str],
    model: Model,
    stack: LoraStack,
    pictures: Sequence[Picture],
    warnings: tuple[str, ...] = (),
) -> tuple[Request, ...]:
    """The requests of one combination. `names`: of model, LoRA and prompt set; `warnings` go into each request."""
    stacks = {strength: _loras(stack, strength) for strength in {picture.strength for picture in pictures}}
    regimes = _regimes(model, pictures)
    requests = []
    for picture in pictures:
        prompt, trigger_word, unreplaced = _prompt(picture, stack)
        loras = stacks[picture.strength]
        adapters = sum(lora.network_multiplier != 0 for lora in loras)
        trainers, why = regimes[picture.point.values]
        regime, reason = _in_effect(model, trainers, why) if adapters else (None, None)
        requests.append(
            Request(
                experiment=experiment,
                model=names[0],
                lora=names[1],
                prompts=names[2],
                index=picture.index,
                image_name=picture.image_name,
                axes=picture.point.values,
                prompt_template=picture.template,
                prompt=prompt,
                neg=picture.neg,
                trigger_word=trigger_word,
                width_requested=picture.size_requested[0],
                height_requested=picture.size_requested[1],
                width=picture.size[0],
                height=picture.size[1],
                seed=picture.seed,
                sample_steps=picture.sample_steps,
                guidance_scale=picture.guidance_scale,
                family=model.family,
                checkpoint=model.checkpoint.repo,
                text_encoder=_text_encoder(model),
                dtype=model.dtype,
                quantize_transformer=model.quantize.transformer,
                quantize_text_encoder=model.quantize.text_encoder,
                text_encoder_cast=model.text_encoder_cast and FAMILIES[model.family].takes_cast,
                guidance=guidance_in_effect(model),
                schedule=model.schedule,
                timestep_rounding=model.timestep_rounding,
                noise_device=model.noise_device,
                numerics=_numerics(model),
                max_sequence_length=model.max_sequence_length,
                attn_masking=model.attn_masking,
                lora_merge=regime,
                lora_merge_reason=reason,
                network_multiplier=picture.strength,
                loras=loras,
                allow_foreign_lora=stack.allow_foreign_lora,
                ctrl_images=tuple(map(ReferenceImage, picture.ctrl_images)),
                ctrl_idx=picture.ctrl_idx,
                prompt_embeds=picture.prompt_embeds,
                not_comparable=(*_not_comparable(model, adapters, regime, trainers), *picture.not_comparable),
                warnings=(*picture.warnings, *warnings, *unreplaced),
            )
        )
    return tuple(requests)


def _numerics(model: Model) -> str:
    """Where a family computes alike either way, there is one picture and not two."""
    return model.numerics if FAMILIES[model.family].has_fast else "exact"


def _text_encoder(model: Model) -> str:
    """As configured; both, where a family has two that come from different places."""
    source = model.checkpoint
    parts = FAMILIES[model.family].text_encoders
    return " + ".join(dict.fromkeys(getattr(source, part) or source.repo for part in parts))


def _regimes(model: Model, pictures: Sequence[Picture]) -> Mapping[_Axes, tuple[str, str]]:
    """The trainer's regime and why, at each point of the matrix, where a set is what the trainer has as its samples."""
    strengths: dict[_Axes, set[float]] = defaultdict(set)
    for picture in pictures:
        strengths[picture.point.values].add(picture.strength)
    return {point: _trainers_regime(model, found) for point, found in strengths.items()}


def _in_effect(model: Model, trainers: str, why: str) -> tuple[str, str]:
    return (trainers, why) if model.lora_merge == "auto" else (model.lora_merge, "asked for")


def _trainers_regime(model: Model, strengths: set[float]) -> tuple[str, str]:
    """The trainer's rule (ai-toolkit's base_model.py and BaseSDTrainProcess.py), and how it came out."""
    if model.quantize.transformer is not None:
        return "live", f"{AUTO} the base is quantised ({model.quantize.transformer})"
    if len(strengths) > 1:
        return "live", f"{AUTO} the set has several network_multipliers ({', '.join(map(str, sorted(strengths)))})"
    return "merged", f"{AUTO} the base is not quantised, and the set has one network_multiplier"


def _not_comparable(model: Model, adapters: int, regime: str | None, trainers: str) -> Iterator[str]:
    """Why no trainer could have previewed this picture. `trainers`: the regime that it would have taken."""
    if model.distilled and not model.imported:
        yield "the model is distilled, and the trainer previews what it trains"
    if model.schedule != "aitk":
        yield f"schedule: {model.schedule}"
    if model.timestep_rounding != "aitk":
        yield f"timestep_rounding: {model.timestep_rounding}"
    if model.noise_device != "cpu":
        yield f"noise_device: {model.noise_device}, where the trainer draws on the cpu"
    if _numerics(model) != "exact":
        yield f"numerics: {model.numerics}"
    for part, qtype in vars(model.quantize).items():
        if qtype == "qint4":
            yield f"quantize.{part}: qint4 is multiplied here by another kernel than the trainer's"
    if model.max_sequence_length != _TRAINERS_LENGTH:
        yield f"max_sequence_length: {model.max_sequence_length}, the trainer's is {_TRAINERS_LENGTH}"
    if adapters > 1:
        yield f"{adapters} adapters at once: the trainer previews one"
    if regime == "merged_in_dtype":
        yield "lora_merge: merged_in_dtype is ai-toolkit-inference's"
    elif regime not in (None, trainers) and not model.imported:
        yield f"lora_merge: {regime}, where the trainer has adapters {trainers}"


def _prompt(picture: Picture, stack: LoraStack) -> tuple[str, str | None, tuple[str, ...]]:
    """Prompt and trigger word in effect, as ai-toolkit-inference has them: [trigger] is replaced, nothing else."""
    trigger_word = picture.own_trigger_word or stack.trigger_word or picture.set_trigger_word or None
    if _TRIGGER not in picture.template:
        return picture.template, trigger_word, ()
    if trigger_word is None:
        return picture.template, None, ("[trigger] stays as it is: neither prompt, LoRA nor set has a trigger_word",)
    return picture.template.replace(_TRIGGER, trigger_word), trigger_word, ()


def _loras(stack: LoraStack, strength: float) -> tuple[Lora, ...]:
    # + 0.0: a record should not say that a strength of -0.5 times 0 is -0.0.
    return tuple(Lora(file.path, file.network_multiplier * strength + 0.0) for file in stack.loras)

"""Config → Requests: one for each image, with everything in effect but the digests. Knows not of files or Hydra."""

from collections.abc import Sequence

from darkroom.plan.prompts import Picture
from darkroom.plan.schema import LoraStack, Model
from darkroom.request import Lora, Request

_TRIGGER = "[trigger]"


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
    requests = []
    for picture in pictures:
        prompt, trigger_word, unreplaced = _prompt(picture, stack)
        loras = stacks[picture.strength]
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
                text_encoder=model.checkpoint.text_encoder or model.checkpoint.repo,
                dtype=model.dtype,
                quantize_transformer=model.quantize.transformer,
                quantize_text_encoder=model.quantize.text_encoder,
                text_encoder_cast=model.text_encoder_cast,
                guidance=model.guidance,
                schedule=model.schedule,
                numerics=model.numerics,
                max_sequence_length=model.max_sequence_length,
                lora_merge=model.lora_merge_in_effect if any(lora.network_multiplier for lora in loras) else None,
                network_multiplier=picture.strength,
                loras=loras,
                warnings=(*picture.warnings, *warnings, *unreplaced),
            )
        )
    return tuple(requests)


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

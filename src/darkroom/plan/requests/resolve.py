"""The requests of one combination: a request for each picture, with everything in effect but the digests of files."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from darkroom.names import Names
from darkroom.plan.conf.schema import LoraStack, Model
from darkroom.plan.requests.model_values import base_of, encoder_of, source_of
from darkroom.plan.requests.pictures import Picture
from darkroom.plan.requests.strengths import stack_at
from darkroom.request.parts import Adapters, BaseModel, Lora, Remarks, Title
from darkroom.request.request import Request
from darkroom.request.speedups import numerics_in_full, unfit_speedups

_TRIGGER = "[trigger]"
AUTO = "auto"  # the value of lora_merge that leaves it to the trainer's rule
_Axes = tuple[tuple[str, Any], ...]  # a point of the matrix, by its values


def resolve(
    experiment: str,
    names: Names,
    model: Model,
    stack: LoraStack,
    pictures: Sequence[Picture],
    steps: Mapping[str, int | None],
    warnings: tuple[str, ...] = (),
) -> tuple[Request, ...]:
    """The requests of one combination; `warnings` go into each. `steps`: of the stack's files by path, by headers."""
    base, encoder, source = base_of(model), encoder_of(model), source_of(model)
    at = {(picture.strength, picture.point.strengths) for picture in pictures}
    stacks = {each: _loras(stack_at(stack, each[1]), each[0], steps) for each in at}
    regimes = _regimes(model, pictures)
    requests = []
    for picture in pictures:
        prompt, trigger_word, unreplaced = _prompt(picture, stack)
        trainers, why = regimes[picture.point.values]
        adapters = Adapters(
            loras=stacks[picture.strength, picture.point.strengths], allow_foreign_lora=stack.allow_foreign_lora
        )
        regime, reason = regime_of(model.lora_merge, base, trainers, why) if adapters.active else (None, None)
        reasons = _not_comparable(model, len(adapters.active), regime, trainers)
        requests.append(
            Request(
                title=Title(
                    experiment=experiment,
                    **names._asdict(),
                    index=picture.index,
                    image_name=picture.image_name,
                    axes=picture.point.values,
                ),
                base=base,
                encoder=encoder,
                sampling=picture.sampling,
                text=replace(picture.text, prompt=prompt),
                adapters=replace(adapters, lora_merge=regime),
                source=source,
                asked=replace(picture.asked, trigger_word=trigger_word),
                remarks=Remarks(
                    lora_merge_reason=reason,
                    not_comparable=(*reasons, *picture.remarks.not_comparable),
                    warnings=(*picture.remarks.warnings, *warnings, *unreplaced),
                ),
            )
        )
    return tuple(requests)


def _regimes(model: Model, pictures: Sequence[Picture]) -> Mapping[_Axes, tuple[str, str]]:
    """The trainer's regime and why, at each point of the matrix, where a set is what the trainer has as its samples."""
    strengths: dict[_Axes, set[float]] = defaultdict(set)
    for picture in pictures:
        strengths[picture.point.values].add(picture.strength)
    return {point: _trainers_regime(model, at_point) for point, at_point in strengths.items()}


def regime_of(asked: str, base: BaseModel, trainers: str, why: str) -> tuple[str, str]:
    """How adapters come to this base's weights, and why: the trainer's way, unless conf/ or a speed-up has another."""
    if asked != AUTO:
        return asked, "asked for"
    if unfit_speedups(base, trainers):
        return "merged", f"{AUTO}: compiled blocks take no adapters beside them"
    return trainers, why


def _trainers_regime(model: Model, strengths: set[float]) -> tuple[str, str]:
    """The trainer's rule (ai-toolkit's base_model.py and BaseSDTrainProcess.py), and how it came out."""
    if model.quantize.transformer is not None:
        return "live", f"{AUTO}: the base is quantised ({model.quantize.transformer})"
    if len(strengths) > 1:
        return "live", f"{AUTO}: the set has several network_multipliers ({', '.join(map(str, sorted(strengths)))})"
    return "merged", f"{AUTO}: the base is not quantised, and the set has one network_multiplier"


def _not_comparable(model: Model, adapters: int, regime: str | None, trainers: str) -> Iterator[str]:
    """Why no trainer could have previewed this picture. `trainers`: the regime that it would have taken."""
    if model.distilled and not model.imported:
        yield "the model is distilled, and the trainer previews what it trains"
    if model.schedule == "diffusers":
        yield f"schedule: {model.schedule}"
    if model.timestep_rounding != "aitk":
        yield f"timestep_rounding: {model.timestep_rounding}"
    if model.noise_device != "cpu":
        yield f"noise_device: {model.noise_device}, where the trainer draws on the cpu"
    if base_of(model).numerics != "exact":
        yield f"numerics: {numerics_in_full(base_of(model))}"
    for part, qtype in vars(model.quantize).items():
        if qtype == "qint4":
            yield f"quantize.{part}: qint4 is multiplied here by another kernel than the trainer's"
    if model.max_sequence_length != model.trained_sequence_length:
        yield f"max_sequence_length: {model.max_sequence_length}, the trainer's is {model.trained_sequence_length}"
    if adapters > 1:
        yield f"{adapters} adapters at once: the trainer previews one"
    if regime == "merged_in_dtype":
        yield "lora_merge: merged_in_dtype is ai-toolkit-inference's"
    elif regime not in (None, trainers) and not model.imported:
        yield f"lora_merge: {regime}, where the trainer has adapters {trainers}"


def _prompt(picture: Picture, stack: LoraStack) -> tuple[str, str | None, tuple[str, ...]]:
    """Prompt and trigger word in effect, as ai-toolkit-inference has them: [trigger] is replaced, nothing else."""
    trigger_word = picture.own_trigger_word or stack.trigger_word or picture.set_trigger_word or None
    template = picture.asked.prompt_template
    if _TRIGGER not in template:
        return template, trigger_word, ()
    if trigger_word is None:
        return template, None, ("[trigger] stays as it is: neither prompt, LoRA nor set has a trigger_word",)
    return template.replace(_TRIGGER, trigger_word), trigger_word, ()


def _loras(stack: LoraStack, strength: float, steps: Mapping[str, int | None]) -> tuple[Lora, ...]:
    # + 0.0: a record should not say that a strength of -0.5 times 0 is -0.0.
    return tuple(
        Lora(file.path, file.network_multiplier * strength + 0.0, step=steps[file.path]) for file in stack.loras
    )

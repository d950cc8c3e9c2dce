"""What might explain a picture that is not its preview: one thing done otherwise at a time, the likely ones first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from darkroom.plan.conf.families import FAMILIES
from darkroom.request.parts import Lora
from darkroom.request.request import Request
from darkroom.request.speedups import SPEEDUPS, unfit_speedups
from darkroom.trials import Trial

_REGIMES = ("merged", "live", "merged_in_dtype")
_STRENGTHS = (0.5, 0.8, 0.9, 1.1, 1.2)  # times the one in effect
_GUIDANCE_STEP = 0.5
_QUANTISED = "qfloat8"
_TRIGGER = "[trigger]"
_OF_PROMPT = (
    *("prompt", "neg", "seed", "sample_steps", "guidance_scale", "width", "height", "ctrl_images", "ctrl_idx"),
    "network_multiplier",  # each file's own, by which it is multiplied, is conf/lora's
)


@dataclass(frozen=True)
class Factor:
    """Changes to a request, by field. `then`: they are what is recorded of the preview."""

    name: str
    changes: Mapping[str, Any]
    change: str  # what to write in conf/
    then: bool = False


def trials_of(request: Request, recorded: Sequence[Factor], steps: Mapping[str, Sequence[Lora]]) -> tuple[Trial, ...]:
    """Distinct pictures only, none of which is the request's own.

    `recorded`: what the preview's record says otherwise; `steps`: for each LoRA, by path, those of other steps.
    """
    factors = [*recorded, *_all_recorded(recorded), *_guesses(request, steps)]
    made: dict[str, Trial] = {}
    for factor in factors:
        changed = consistent(request.changed(**factor.changes))
        if changed.request_id != request.request_id:
            name, regime = (
                f"{factor.name} (as recorded)" if factor.then else factor.name,
                _regime(factor, request, changed),
            )
            made.setdefault(changed.request_id, Trial(name + regime, changed, factor.change + regime))
    return tuple(made.values())


def _regime(factor: Factor, request: Request, changed: Request) -> str:
    """What quantising, or not, brings with it for a LoRA; nothing where the way of merging is as it was."""
    before, after = request.adapters.lora_merge, changed.adapters.lora_merge
    altered = "quantize_transformer" in factor.changes and None not in (before, after) and before != after
    return f" (so the LoRA is {after})" if altered else ""


def consistent(request: Request) -> Request:
    """The way of merging as the trainer's rule has it, where what was changed excludes the one that there was.

    And of the speed-ups those that go with what was changed.
    """
    regime: str | None = request.adapters.lora_merge or "merged"
    if not request.adapters.active:
        regime = None
    elif request.base.quantize_transformer is not None:
        regime = "live"
    return request.changed(lora_merge=regime, **dict.fromkeys(unfit_speedups(request.base, regime), False))


def where(name: str, request: Request) -> str:
    """Which file of conf/ says a field: `conf/prompts/p.yaml, prompt 3`."""
    if name in dict(request.title.axes):
        return f"matrix.{name} in conf/experiment/{request.title.experiment}.yaml"
    if name in _OF_PROMPT:
        return f"conf/prompts/{request.title.prompts}.yaml, prompt {request.title.index}"
    group, option = ("lora", request.title.lora) if name == "loras" else ("model", request.title.model)
    return f"conf/{group}/{option}.yaml"


def own_strength(lora: Lora, of_prompt: float) -> float:
    """A file's strength as conf/lora has it: the one in effect without the prompt's, which is not 0."""
    return _rounded(lora.network_multiplier / of_prompt)


def _all_recorded(recorded: Sequence[Factor]) -> Iterator[Factor]:
    if len(recorded) > 1:
        changes = {key: value for factor in recorded for key, value in factor.changes.items()}
        yield Factor("all that is recorded otherwise, at once", changes, "; ".join(f.change for f in recorded))


def _guesses(request: Request, steps: Mapping[str, Sequence[Lora]]) -> Iterator[Factor]:
    """What no record has to say."""
    yield from _numerics(request)
    yield from _sampling(request)
    yield from _adapters(request, steps)
    yield from _text(request)


def _set(request: Request, **changes: Any) -> Factor:
    """A factor whose fields are keys of conf/ too."""
    setting = ", ".join(f"{name}: {shown(value)}" for name, value in changes.items())
    return Factor(setting, changes, f"{setting} in {where(next(iter(changes)), request)}")


def _numerics(request: Request) -> Iterator[Factor]:
    family = FAMILIES[request.base.family]
    for name in ("schedule", "timestep_rounding", "guidance_rule"):
        yield from (_set(request, **{name: value}) for value in family.choices[name])
    if request.base.quantize_transformer is None:
        for regime in _REGIMES:
            yield Factor(f"LoRA {regime}", {"lora_merge": regime}, f"lora_merge: {regime} in {_model(request)}")
    yield from _quantised(request)
    if family.takes_cast:
        yield _set(request, text_encoder_cast=not request.encoder.text_encoder_cast)
    if family.takes_attn_masking:
        yield _set(request, attn_masking=not request.encoder.attn_masking)
    yield _set(request, noise_device="cpu" if request.sampling.noise_device == "cuda" else "cuda")
    if request.base.numerics == "fast":
        yield _set(request, numerics="exact")
    elif family.has_fast:
        yield replace(_set(request, numerics="fast", **dict.fromkeys(SPEEDUPS, False)), name="numerics: fast")


def _quantised(request: Request) -> Iterator[Factor]:
    """Each part alone; and both where both change, as the trainer's interface has it by default."""
    now = {"transformer": request.base.quantize_transformer, "text_encoder": request.encoder.quantize_text_encoder}
    if _QUANTISED not in now.values():
        setting = f"quantize: {{transformer: {_QUANTISED}, text_encoder: {_QUANTISED}}}"
        changes = {f"quantize_{part}": _QUANTISED for part in now}
        yield Factor(f"{setting}, both, as the trainer's interface has it", changes, f"{setting} in {_model(request)}")
    for part in now:
        yield from (_quantised_part(request, part, value) for value in (_QUANTISED, None) if value != now[part])


def _quantised_part(request: Request, part: str, value: str | None) -> Factor:
    changes = {f"quantize_{part}": value}
    if part == "transformer" and value is None:
        changes["lora_merge"] = "merged"
    setting = f"quantize.{part}: {shown(value)}"
    return Factor(setting, changes, f"{setting} in {_model(request)}")


def _sampling(request: Request) -> Iterator[Factor]:
    now, index = request.sampling, request.title.index
    for steps in (now.sample_steps - 1, now.sample_steps + 1):
        if steps > 0:
            yield _set(request, sample_steps=steps)
    for change in (1, -1, index, -index):  # the last two: with walk_seed in place of without
        if now.seed + change >= 0:
            yield _set(request, seed=now.seed + change)
    for scale in (1.0, now.guidance_scale - _GUIDANCE_STEP, now.guidance_scale + _GUIDANCE_STEP):
        if scale >= 0:
            yield _set(request, guidance_scale=scale)


def _adapters(request: Request, steps: Mapping[str, Sequence[Lora]]) -> Iterator[Factor]:
    loras, active, of_prompt = request.adapters.loras, request.adapters.active, request.asked.network_multiplier
    for number, lora in enumerate(loras):
        for other in steps.get(lora.path, ()):
            changed = (*loras[:number], other, *loras[number + 1 :])
            yield Factor(
                f"LoRA {other.path.rpartition('/')[2]}",
                {"loras": changed},
                f"path: {other.path} in {where('loras', request)}",
            )
    if not active:
        return
    is_prompts = of_prompt != 1 or "network_multiplier" in dict(request.title.axes)
    for strength in _STRENGTHS:
        yield _prompt_times(request, strength) if is_prompts else _files_times(request, strength)
    if of_prompt != 1:
        yield _prompt_times(request, 1 / of_prompt)
    if len(active) == 1 and (own := own_strength(active[0], of_prompt)) != 1:
        yield _files_times(request, 1 / own)
    yield Factor("no LoRA", {"loras": ()}, "lora: none in the experiment's matrix")


def _prompt_times(request: Request, factor: float) -> Factor:
    """The strength that the prompt gives to the whole stack."""
    strength = _rounded(request.asked.network_multiplier * factor)
    setting = f"network_multiplier: {shown(strength)}"
    changes = {"loras": _times(request.adapters.loras, factor), "network_multiplier": strength}
    return Factor(setting, changes, f"{setting} in {where('network_multiplier', request)}")


def _files_times(request: Request, factor: float) -> Factor:
    """Each file's own strength, as conf/lora has it: the one in effect without the prompt's."""
    loras = _times(request.adapters.loras, factor)
    own = ", ".join(shown(own_strength(lora, request.asked.network_multiplier)) for lora in loras)
    setting = f"network_multiplier: {own}"
    name = setting if request.asked.network_multiplier == 1 else f"{setting} of the LoRA's file"
    return Factor(name, {"loras": loras}, f"{setting} in {where('loras', request)}")


def _times(loras: Sequence[Lora], factor: float) -> tuple[Lora, ...]:
    return tuple(replace(lora, network_multiplier=_rounded(lora.network_multiplier * factor)) for lora in loras)


def _rounded(strength: float) -> float:
    return round(strength, 6)


def _text(request: Request) -> Iterator[Factor]:
    if request.text.prompt_embeds is None:
        for name, prompt in _with_other_trigger(request):
            yield Factor(name, {"prompt": prompt}, f"prompt: {prompt!r} in {where('prompt', request)}")
    if request.text.neg and request.uses_neg:
        yield _set(request, neg="")


def _with_other_trigger(request: Request) -> Iterator[tuple[str, str]]:
    """The prompt with [trigger] as it was written, without the word, and with it in front where it has none."""
    word, template, prompt = request.asked.trigger_word or "", request.asked.prompt_template, request.text.prompt
    if _TRIGGER in template or (word and word in prompt):
        written = template if _TRIGGER in template else prompt
        marked = written if _TRIGGER in written else written.replace(word, _TRIGGER)
        yield "[trigger] left in the prompt", marked
        yield "no trigger word", " ".join(marked.replace(_TRIGGER, " ").split())
    elif word:
        yield "trigger word before the prompt", f"{word} {prompt}"


def _model(request: Request) -> str:
    return where("dtype", request)


def shown(value: Any) -> str:
    """As conf/ has it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else f'"{value}"' if value == "" else str(value)

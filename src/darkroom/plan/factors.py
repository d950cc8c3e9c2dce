"""One thing done otherwise at a time, the likely ones first: what might explain a picture that is not its preview.

Pure: requests in, requests out. Knows neither files nor previews; the digest of a file comes with its Lora.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from darkroom.plan.families import FAMILIES
from darkroom.request import Lora, Request
from darkroom.trials import Trial

_REGIMES = ("merged", "live", "merged_in_dtype")
_STRENGTHS = (0.5, 0.8, 0.9, 1.1, 1.2)  # times the one in effect
_GUIDANCE_STEP = 0.5
_TRIGGER = "[trigger]"
_OF_PROMPT = ("prompt", "neg", "seed", "sample_steps", "guidance_scale", "width", "height", "ctrl_images", "ctrl_idx")


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
        changed = consistent(replace(request, **factor.changes))
        if changed.request_id != request.request_id:
            name = f"{factor.name} (as recorded)" if factor.then else factor.name
            made.setdefault(changed.request_id, Trial(name, changed, factor.change))
    return tuple(made.values())


def consistent(request: Request) -> Request:
    """The way of merging as the trainer's rule has it, where what was changed excludes the one that there was."""
    regime: str | None = request.lora_merge or "merged"
    if not request.active_loras:
        regime = None
    elif request.quantize_transformer is not None:
        regime = "live"
    return replace(request, lora_merge=regime)


def place(name: str, request: Request) -> str:
    """Which file of conf/ says a field: `conf/prompts/p.yaml, prompt 3`."""
    if name in dict(request.axes):
        return f"matrix.{name} in conf/experiment/{request.experiment}.yaml"
    if name in _OF_PROMPT:
        return f"conf/prompts/{request.prompts}.yaml, prompt {request.index}"
    group, option = ("lora", request.lora) if name in ("loras", "network_multiplier") else ("model", request.model)
    return f"conf/{group}/{option}.yaml"


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
    said = ", ".join(f"{name}: {_shown(value)}" for name, value in changes.items())
    return Factor(said, changes, f"{said} in {place(next(iter(changes)), request)}")


def _numerics(request: Request) -> Iterator[Factor]:
    family = FAMILIES[request.family]
    for name in ("schedule", "timestep_rounding"):
        yield from (_set(request, **{name: value}) for value in family.schedules)
    if request.quantize_transformer is None:
        for regime in _REGIMES:
            yield Factor(f"LoRA {regime}", {"lora_merge": regime}, f"lora_merge: {regime} in {_model(request)}")
    yield from _quantised(request)
    if family.takes_cast:
        yield _set(request, text_encoder_cast=not request.text_encoder_cast)
    if family.takes_attn_masking:
        yield _set(request, attn_masking=not request.attn_masking)
    yield _set(request, noise_device="cpu" if request.noise_device == "cuda" else "cuda")
    if family.has_fast:
        yield _set(request, numerics="fast" if request.numerics == "exact" else "exact")


def _quantised(request: Request) -> Iterator[Factor]:
    """Both as the trainer's interface has it by default, then each alone, then neither."""
    for transformer, text_encoder in (("qfloat8", "qfloat8"), ("qfloat8", None), (None, "qfloat8"), (None, None)):
        said = f"quantize: {{transformer: {_shown(transformer)}, text_encoder: {_shown(text_encoder)}}}"
        changes: dict[str, Any] = {"quantize_transformer": transformer, "quantize_text_encoder": text_encoder}
        if transformer is None and request.quantize_transformer is not None:
            changes["lora_merge"] = "merged"
        yield Factor(said, changes, f"{said} in {_model(request)}")


def _sampling(request: Request) -> Iterator[Factor]:
    for steps in (request.sample_steps - 1, request.sample_steps + 1):
        if steps > 0:
            yield _set(request, sample_steps=steps)
    for change in (1, -1, request.index, -request.index):  # the last two: with walk_seed in place of without
        if request.seed + change >= 0:
            yield _set(request, seed=request.seed + change)
    for scale in (1.0, request.guidance_scale - _GUIDANCE_STEP, request.guidance_scale + _GUIDANCE_STEP):
        if scale >= 0:
            yield _set(request, guidance_scale=scale)


def _adapters(request: Request, steps: Mapping[str, Sequence[Lora]]) -> Iterator[Factor]:
    for number, lora in enumerate(request.loras):
        for other in steps.get(lora.path, ()):
            changed = (*request.loras[:number], other, *request.loras[number + 1 :])
            yield Factor(
                f"LoRA {other.path.rpartition('/')[2]}",
                {"loras": changed},
                f"path: {other.path} in {place('loras', request)}",
            )
    if not request.active_loras:
        return
    for strength in _STRENGTHS:
        yield _stronger(request, strength)
    if request.network_multiplier not in (0, 1):
        yield _stronger(request, 1 / request.network_multiplier)
    if len(request.active_loras) == 1 and request.active_loras[0].network_multiplier != 1:
        yield _stronger(request, 1 / request.active_loras[0].network_multiplier)
    yield Factor("no LoRA", {"loras": ()}, "lora: none in the experiment's matrix")


def _stronger(request: Request, factor: float) -> Factor:
    def times(value: float) -> float:
        return round(value * factor, 6)

    loras = tuple(replace(lora, network_multiplier=times(lora.network_multiplier)) for lora in request.loras)
    strengths = ", ".join(f"{lora.network_multiplier:g}" for lora in loras)
    changes = {"loras": loras, "network_multiplier": times(request.network_multiplier)}
    said = f"network_multiplier: {strengths}"
    return Factor(said, changes, f"{said} in {place('network_multiplier', request)}")


def _text(request: Request) -> Iterator[Factor]:
    if request.prompt_embeds is None:
        for said, prompt in _with_other_trigger(request):
            yield Factor(said, {"prompt": prompt}, f"prompt: {prompt!r} in {place('prompt', request)}")
    if request.neg and request.uses_neg:
        yield _set(request, neg="")


def _with_other_trigger(request: Request) -> Iterator[tuple[str, str]]:
    """The prompt with [trigger] as it was written, without the word, and with it in front where it has none."""
    word = request.trigger_word or ""
    if _TRIGGER in request.prompt_template or (word and word in request.prompt):
        written = request.prompt_template if _TRIGGER in request.prompt_template else request.prompt
        marked = written if _TRIGGER in written else written.replace(word, _TRIGGER)
        yield "[trigger] left in the prompt", marked
        yield "no trigger word", " ".join(marked.replace(_TRIGGER, " ").split())
    elif word:
        yield "trigger word before the prompt", f"{word} {request.prompt}"


def _model(request: Request) -> str:
    return place("dtype", request)


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else f'"{value}"' if value == "" else str(value)

"""The speed-ups that `numerics: fast` may add, each a field of BaseModel, and the models that each works with."""

from darkroom.request.parts import BaseModel

BATCHED_GUIDANCE, COMPILED_BLOCKS = "batched_guidance", "compiled_blocks"
SPEEDUPS = (BATCHED_GUIDANCE, COMPILED_BLOCKS)  # keys of conf/model and columns of the record as well

_GUIDED_IN_TURN = ("flux2",)  # families of which exact has a forward pass for each text; Z-Image has both in one


def speedups_of(base: BaseModel) -> tuple[str, ...]:
    """Those of SPEEDUPS that it has."""
    return tuple(name for name in SPEEDUPS if getattr(base, name))


def numerics_in_full(base: BaseModel) -> str:
    """With the speed-ups: `fast, batched_guidance, compiled_blocks`."""
    return ", ".join((base.numerics, *speedups_of(base)))


def unfit_speedups(base: BaseModel, lora_merge: str | None) -> dict[str, str]:
    """Those of its speed-ups that cannot be in effect beside all else of it, or beside this `lora_merge`, with why.

    The only rule on that: conf/, the plan, trials and what applies adapters ask it.
    """
    if base.numerics != "fast":
        return dict.fromkeys(speedups_of(base), f"belongs to numerics: fast, got {base.numerics}")
    reasons = {BATCHED_GUIDANCE: _unbatched(base), COMPILED_BLOCKS: _uncompiled(base, lora_merge)}
    return {name: why for name in speedups_of(base) if (why := reasons[name])}


def _unbatched(base: BaseModel) -> str | None:
    if base.guidance != "cfg":
        return f"guidance takes one forward pass here (guidance: {base.guidance})"
    is_batched = base.family not in _GUIDED_IN_TURN
    return f"exact has both texts of {base.family} in one forward pass already" if is_batched else None


def _uncompiled(base: BaseModel, lora_merge: str | None) -> str | None:
    if base.quantize_transformer is not None:
        return f"blocks with quantised weights are not compiled (quantize.transformer: {base.quantize_transformer})"
    if lora_merge == "live":
        return "adapters that run beside layers are not compiled with them; expected lora_merge: auto or merged"
    return None

"""The adapters in effect on one base, merged into its weights or live beside its layers. Knows no files."""

from collections.abc import Sequence

from darkroom.errors import ConfigError
from darkroom.render.adapters.file import Adapter
from darkroom.render.adapters.live import LiveStack
from darkroom.render.adapters.merged import REGIMES, MergedStack
from darkroom.render.device.pristine import Pristine
from darkroom.render.weights.base import Base
from darkroom.request.speedups import unfit_speedups


class AdapterStack:
    """One stack at a time, in one regime; changing it loads nothing but the touched weights."""

    def __init__(self, base: Base, pristine: Pristine | None = None) -> None:
        self._merged, self._live = MergedStack(base, pristine), LiveStack(base)
        self._model = base.model

    @property
    def is_lost_in_rounding(self) -> bool:
        """True where adapters are in effect that change no weight of the base by a step of its dtype."""
        return self._merged.is_lost_in_rounding

    def apply(self, stack: Sequence[tuple[Adapter, float]], regime: str) -> int:
        """Make the base compute base + stack; the number of weights rewritten, or of branches hung up beside them.

        `stack`: adapters read for this base, with their multipliers, in order; a multiplier of 0 is the base.
        `regime`: merged | merged_in_dtype (MergedStack) | live (LiveStack); ConfigError for another, and for one that
        the base's speed-ups do not go with, as compiled blocks would compute without live adapters.
        """
        if regime not in (*REGIMES, "live"):
            raise ConfigError(f"lora_merge: expected one of {', '.join(REGIMES)}, live, got {regime}")
        if unfit := unfit_speedups(self._model, regime):
            raise ConfigError("; ".join(f"{name}: {why}" for name, why in unfit.items()))
        # What goes comes first, so that never both are in effect.
        if regime == "live":
            return self._merged.apply((), REGIMES[0]) + self._live.apply(stack)
        return self._live.apply(()) + self._merged.apply(stack, regime)

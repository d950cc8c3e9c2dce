"""Which prompts and which checkpoint each set of samples of an ai-toolkit job belongs to, and what speaks against it.

The trainer's order (BaseSDTrainProcess): `first_sample` and the baseline are of step 0, before anything is trained; the
checkpoint of a step is saved just before its samples, and the one before it with the same name is overwritten.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from darkroom.intake.aitk.checkpoints import TrainedLora
from darkroom.intake.aitk.model import TrainedModel
from darkroom.intake.aitk.previews import PromptOption
from darkroom.intake.aitk.samples import Attribution, SampleSet, first_sets


@dataclass(frozen=True)
class Placed:
    """A set of samples, and what it shows. `lora`: None for the base model, or without a checkpoint to apply."""

    samples: SampleSet
    option: PromptOption
    lora: TrainedLora | None
    reasons: tuple[str, ...]  # why none of its pictures can be reproduced


@dataclass(frozen=True)
class Placing:
    """What is known of the whole job. `first`: the prompts of first_sample, if it has such a section."""

    model: TrainedModel
    main: PromptOption
    first: PromptOption | None
    has_baseline: bool  # unless train.skip_first_sample
    loras: Sequence[TrainedLora]
    configured: int | None  # when the configuration was written, ms since 1970; None: it never changed, or nobody knows
    has_times: bool  # of files, by which one is seen to be older than another; not those of a copy
    config_name: str

    def placed(self, sets: Sequence[SampleSet]) -> Iterator[Placed]:
        """Each set with its own; `sets` by step, then by time."""
        loras = {lora.step: lora for lora in self.loras}
        origins = self._origins(sets)
        for number, samples in enumerate(sets):
            lora = loras.get(samples.step)
            is_last = number + 1 == len(sets) or sets[number + 1].step != samples.step
            origin = origins.get(number)
            option = self.first if self.first and origin and origin.is_first else self.main
            reasons = [*self.model.reasons, *option.reasons, *self._reasons(samples, lora, is_last)]
            if origin and not origin.is_certain:
                reasons.append(
                    "pictures of step 0 are missing: whether first_sample or sample made it, the others do not tell"
                )
            yield Placed(samples, option, lora if lora and lora.fault is None else None, tuple(reasons))

    def _origins(self, sets: Sequence[SampleSet]) -> dict[int, Attribution]:
        """By position, of the sets of step 0; nothing where all are of `sample`."""
        at_start = [number for number, samples in enumerate(sets) if samples.step == 0]
        if self.first is None:
            return {}
        then_count = self.main.sheet.count if self.has_baseline else 0
        origins = first_sets([sets[number] for number in at_start], self.first.sheet.count, then_count)
        return dict(zip(at_start, origins, strict=True))

    def _reasons(self, samples: SampleSet, lora: TrainedLora | None, is_last: bool) -> Iterator[str]:
        if samples.step == 0:
            yield from self.model.base_reasons
        elif lora is None:
            yield "no checkpoint kept"
        else:
            yield from (reason for reason in (lora.fault, lora.doubt) if reason)
            if self.has_times and not is_last and lora.modified > samples.begun:
                yield "the checkpoint kept was written after it: the training was resumed, and passed this step again"
        if self.has_times and self.configured is not None and self.configured > samples.begun:
            yield (
                f"{self.config_name} was written after it, and may say something else by now "
                "(--config-unchanged: it does not)"
            )

"""The combinations of an experiment, resolved one by one, and what is wrong with them."""

from collections.abc import Iterator, Sequence

from darkroom.errors import ConfigError, Reading
from darkroom.names import Names
from darkroom.plan.conf.options import Options, mentions_trigger_word
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.prompt_set import Sheet
from darkroom.plan.conf.reader import is_finite
from darkroom.plan.conf.schema import LoraStack, Model
from darkroom.plan.experiment import Combination
from darkroom.plan.requests.contradictions import contradictions
from darkroom.plan.requests.matrix import GridPoint, Matrix
from darkroom.plan.requests.pictures import Picture, pictures
from darkroom.plan.requests.resolve import resolve
from darkroom.plan.requests.strengths import axis_of, nowhere, position_of, stack_at
from darkroom.plan.weights.loras import LoraCheck
from darkroom.plan.weights.missing_files import missing_weights
from darkroom.request.request import Request


class Combinations:
    """Walks the combinations of a matrix and keeps what they share: checked models and stacks, pictures of a set."""

    def __init__(self, experiment: str, source: str, matrix: Matrix, options: Options, loras: LoraCheck) -> None:
        self._experiment, self._source, self._matrix, self._options = experiment, source, matrix, options
        self._pictures: dict[tuple[str, ...], list[Picture]] = {}
        self.models: dict[str, Model] = {}
        self._stacks: dict[str, LoraStack | None] = {}  # None: cannot be read
        self._loras = loras

    def resolved(self) -> Reading[tuple[Combination, ...]]:
        """Those without an error; each error once."""
        made = []
        for names, points in self._matrix.combinations():
            model = yield from self._model(names.model)
            stack = yield from self._options.lora(names.model, names.lora)
            sheet = yield from self._options.prompts(*names)
            if stack is not None:
                stack = self._loras.read(stack, self._options.option("lora", names.lora).origin)
            self._stacks[names.lora] = stack
            if model is None or sheet is None:
                continue
            shown = yield from self._shown(names, model, sheet, points)
            if stack is None:
                continue
            origin = self._options.option("lora", names.lora).origin
            for strengths in {picture.point.strengths for picture in shown if picture.strength != 0}:
                self._loras.judge(stack_at(stack, strengths), origin, names.model, model)
            steps, warnings = self._loras.steps(stack), self._warnings(names, stack)
            requests = resolve(self._experiment, names, model, stack, shown, steps, warnings)
            yield from _too_strong(requests, origin)
            made.append(Combination(names, requests))
        return tuple(made)

    def idle_strengths(self, origin: Origin) -> Iterator[ConfigError]:
        """Axes of the strength of a file that no LoRA has."""
        read = [stack for stack in self._stacks.values() if stack is not None]
        return nowhere(self._matrix.strengths, read if len(read) == len(self._stacks) else [], origin)

    def lora_faults(self) -> Iterator[ConfigError]:
        """Of each LoRA the files that are not there, broken, or not for the models that they are combined with."""
        yield from self._loras.faults()

    def missing_weights(self, made: Sequence[Combination]) -> Iterator[ConfigError]:
        """Of each base model the files that are not there; a text encoder is needed where there are texts."""
        for name, model in self.models.items():
            requests = [request for c in made if c.names.model == name for request in c.requests]
            needs_text = not requests or any(request.texts for request in requests)
            origin = self._options.option("model", name).origin
            yield from missing_weights(model.checkpoint, model.family, origin, needs_text)

    def _model(self, name: str) -> Reading[Model | None]:
        model = yield from self._options.model(name)
        if model and name not in self.models:
            self.models[name] = model
            yield from contradictions(model, self._options.option("model", name).origin)
        return model

    def _shown(self, names: Names, model: Model, sheet: Sheet, points: Sequence[GridPoint]) -> Reading[list[Picture]]:
        """The pictures of a set that are not excluded."""
        shown = yield from self._set_pictures(names, model, sheet)
        if points is self._matrix.points:
            return shown
        kept = set(map(id, points))
        return [picture for picture in shown if id(picture.point) in kept]

    def _set_pictures(self, names: Names, model: Model, sheet: Sheet) -> Reading[list[Picture]]:
        key = (names.model, *self._options.key("prompts", names))
        if key not in self._pictures:
            drawn_for = (self._source, names.prompts)  # a variant has the seeds of the first
            self._pictures[key] = yield from pictures(sheet, model, self._matrix.points, drawn_for)
        return self._pictures[key]

    def _warnings(self, names: Names, stack: LoraStack) -> tuple[str, ...]:
        idle = tuple(f"{axis} has no effect: LoRA {names.lora} has no such file" for axis in self._idle(stack))
        return (*idle, *self._unset_trigger_word(names, stack))

    def _idle(self, stack: LoraStack) -> list[str]:
        """Axes of files that a stack has not; the base model alone has no strengths at all."""
        names = self._matrix.strengths if stack.loras else ()
        return [axis_of(name) for name in names if position_of(name, stack) is None]

    def _unset_trigger_word(self, names: Names, stack: LoraStack) -> tuple[str, ...]:
        if stack.trigger_word or not mentions_trigger_word(self._options.option("prompts", names.prompts)):
            return ()
        return (f"${{lora.trigger_word}} is empty: LoRA {names.lora} has no trigger_word",)


def _too_strong(requests: Sequence[Request], origin: Origin) -> Iterator[ConfigError]:
    """Strengths of a file, each a number, whose product is none."""
    for request in requests:
        for number, lora in enumerate(request.adapters.loras):
            if not is_finite(lora.network_multiplier):
                place = origin.at(f"loras[{number}].network_multiplier")
                yield ConfigError(f"{place}: times {request.asked.network_multiplier} is beyond what float32 holds")

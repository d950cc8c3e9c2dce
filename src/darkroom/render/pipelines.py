"""What a worker keeps loaded: base models, each in the memory mode that the pictures asked for need, and adapters.

When to load, what to let go, and what to do when memory runs out. Which mode it is to be: device/policy.py.
"""

import gc
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch

from darkroom.checkpoint import Checkpoint
from darkroom.errors import CheckpointError, DeviceMemoryError
from darkroom.render.adapters.kept import KeptAdapters
from darkroom.render.device.compiled import check_compiler
from darkroom.render.device.environment import fix_arithmetic, memory_budget
from darkroom.render.device.lost import first_line, ran_out_of_memory, telling_of_loss
from darkroom.render.device.mode import (
    AUTO,
    ON_DEVICE,
    PINNED,
    RESIDENT,
    Budget,
    Footprint,
    MemoryPlan,
    Workload,
)
from darkroom.render.device.policy import Need, RanOut, choose, covers, first_mode, has_copy, has_room
from darkroom.render.device.stream import Stream, stream_of
from darkroom.render.family import family
from darkroom.render.loaded import Loaded
from darkroom.render.progress import Pace
from darkroom.request.parts import BaseModel
from darkroom.request.request import Request

_TIMES = {2: "twice", 3: "three times"}

_Result = TypeVar("_Result")


@dataclass
class _Model:
    """What is known of one base model, whether it is loaded now or not."""

    loaded: Loaded | None = None
    plan: MemoryPlan | None = None  # the last one, also where loading did not come to its end
    ran_out: RanOut | None = None
    pictures: frozenset[Workload] = frozenset()  # last asked for
    footprints: Mapping[str | None, Footprint] | None = None  # of these pictures


class Pipelines:
    """The warm state of one worker on one device."""

    def __init__(
        self,
        budget: Callable[[torch.device], Budget] = memory_budget,
        stream: Callable[[torch.device], Stream] = stream_of,
    ) -> None:
        self._budget = budget
        self._stream = stream
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.pace = Pace()
        self.unmade: dict[Request, str] = {}  # why there is no picture of it, as there would be none again
        self._models: OrderedDict[BaseModel, _Model] = OrderedDict()  # from the one used longest ago
        self._adapters = KeptAdapters(lambda: budget(self.device).host_free)
        fix_arithmetic(self.device)

    def with_base(
        self,
        checkpoint: Checkpoint,
        request: Request,
        work: Callable[[Loaded], _Result],
        pictures: frozenset[Workload] = frozenset(),
        offload: str = AUTO,
        confirm: Callable[[], None] = lambda: None,
    ) -> _Result:
        """`work` on the base model that `request` names; once more, one step down the ladder, if memory runs out.

        To do without a copy of weights is a step of its own, before the first. `pictures`: all that will be rendered
        from it in this job: the largest decides the mode. `offload`: see mode.WISHES. `confirm` is called when it has
        been loaded, and raises where it is not what was planned. DeviceMemoryError when nothing fits, and when memory
        runs out again; DeviceLostError when the device fails.
        """
        model, said, attempts = self._model(request), list[str](), 2
        while attempts:
            try:
                with telling_of_loss():
                    return work(self.base(checkpoint, request, pictures, offload, confirm))
            except CheckpointError:  # its files are others by now: what is in memory is not to be merged with them
                self.let_go()
                raise
            except (RuntimeError, MemoryError) as error:
                if not ran_out_of_memory(error) or model.plan is None:
                    raise  # not for lack of memory, or before there was a model to let go
                said.append(f"{model.plan.mode}: {first_line(error)}")
                model.ran_out = RanOut.of(model.plan, said[-1])
                attempts -= not has_copy(model.plan)
            # Only here: the error's traceback held on to the tensors of the attempt.
            self.let_go()
            print(f"out of memory ({said[-1]})", file=sys.stderr, flush=True)
        raise DeviceMemoryError(self._out_of_memory(checkpoint, request, model, said))

    def base(
        self,
        checkpoint: Checkpoint,
        request: Request,
        pictures: frozenset[Workload] = frozenset(),
        offload: str = AUTO,
        confirm: Callable[[], None] = lambda: None,
    ) -> Loaded:
        """The base model that `request` names, loaded now or before, in a mode in which `pictures` fit."""
        # 1. What is needed of it
        model = self._model(request)
        footprints = self._footprints(model, checkpoint, request, pictures | {Workload.of(request)})
        merges = any(picture.merges for picture in model.pictures) or bool(model.loaded and model.loaded.pristine.bytes)
        need = Need(footprints, request.base.quantize_transformer, offload, merges)
        # 2. As it is loaded, if its mode will do
        if model.loaded and not covers(model.loaded.memory, need):
            plan = self._plan_in_place(model.loaded, need, model.ran_out)
            if plan is None:
                model.loaded = None
            else:
                model.loaded.follow(_take(model, request, plan))
        # 3. Loaded, with the mode planned for what is free by then
        if model.loaded is None:
            if request.base.compiled_blocks:
                check_compiler(self.device)
            self._make_room(need, model.ran_out)
            loaded = self._load(checkpoint, request, _take(model, request, self._plan(request, need, model)))
            confirm()
            model.loaded = loaded
        return model.loaded

    def let_go(self) -> None:
        """Unload every model, and the adapters; what is known of the models' memory stays."""
        self._adapters.clear()
        for model in self._models.values():
            model.loaded = None
        self._release()

    def _model(self, request: Request) -> _Model:
        """What is known of the model that `request` names, as the one used last."""
        model = self._models.setdefault(request.base, _Model())
        self._models.move_to_end(request.base)
        return model

    def _footprints(
        self, model: _Model, checkpoint: Checkpoint, request: Request, pictures: frozenset[Workload]
    ) -> Mapping[str | None, Footprint]:
        """By quantisation, for the largest of `pictures`."""
        if model.footprints is None or model.pictures != pictures:
            model.footprints = family(request.base.family).footprints(checkpoint, request.base, pictures)
            model.pictures = pictures
        return model.footprints

    def _plan_in_place(self, loaded: Loaded, need: Need, ran_out: RanOut | None) -> MemoryPlan | None:
        """The plan for what is needed now, where it is one in the mode that the model is in; None where it is not."""
        mode, copies = loaded.memory.mode, loaded.pristine
        held = need.footprint.at_rest(mode) + (copies.bytes if copies.place == ON_DEVICE else 0)
        beside = need.footprint.beside(mode) + (copies.bytes if copies.place == PINNED else 0)
        try:
            plan = self._choose(need, ran_out, held, beside)
        except DeviceMemoryError:  # beside the other models; they go first, and then it is planned anew
            return None
        return plan if plan.mode == mode else None

    def _plan(self, request: Request, need: Need, model: _Model) -> MemoryPlan:
        try:
            return self._choose(need, model.ran_out)
        except DeviceMemoryError as error:
            raise DeviceMemoryError(f"{request.title.model}: {error}") from error

    def _choose(self, need: Need, ran_out: RanOut | None, held: int = 0, beside: int = 0) -> MemoryPlan:
        """The plan beside all but a model that holds so much. Adapters go where a better one has no room beside them.

        DeviceMemoryError when nothing fits.
        """
        budget = self._budget(self.device).without(held, beside)
        if self._adapters.bytes:
            plan = choose(need, budget.without(0, self._adapters.bytes), ran_out)
            if not has_room(budget, need, plan):
                self._adapters.clear()
                self._release()
                budget = self._budget(self.device).without(held, beside)
        return choose(need, budget, ran_out)

    def _load(self, checkpoint: Checkpoint, request: Request, memory: MemoryPlan) -> Loaded:
        started = time.monotonic()
        rest = self.device if memory.mode == RESIDENT else torch.device("cpu")
        base = replace(family(request.base.family).load(checkpoint, request.base, rest), device=self.device)
        return Loaded(base, time.monotonic() - started, memory, self._stream(self.device), self._adapters)

    def _make_room(self, need: Need, ran_out: RanOut | None) -> None:
        """Let adapters go, then others' copies of weights, then others, until this one fits in the first mode for it.

        Those that were used longest ago go first; adapters stay where the device alone is short, which they are not on.
        """
        mode = first_mode(need.offload, ran_out)
        self._release()
        while (budget := self._budget(self.device)).lacks(need.footprint, mode):
            others = [model for model in self._models.values() if model.loaded]
            with_copies = (model.loaded for model in others if model.loaded and model.loaded.pristine.bytes)
            if self._adapters.bytes and budget.lacks_host(need.footprint, mode):
                self._adapters.clear()
            elif copied := next(with_copies, None):
                copied.follow(replace(copied.memory, copy=None))
            elif others:
                others[0].loaded = None
            else:
                return
            self._release()

    def _release(self) -> None:
        """Give back what nothing refers to."""
        gc.collect()
        if self.device.type == "cuda":
            with telling_of_loss():
                torch.cuda.empty_cache()

    def _out_of_memory(self, checkpoint: Checkpoint, request: Request, model: _Model, said: Sequence[str]) -> str:
        budget, reason = self._budget(self.device), model.plan.reason if model.plan else ""
        size = f"{request.sampling.width}x{request.sampling.height}"
        return (
            f"{checkpoint.name}, {size}: out of memory {_TIMES[len(said)]}: {'; then '.join(said)}. "
            f"The last plan was {reason}. Free now: {budget.free / 1e9:.1f} of {budget.total / 1e9:.1f} GB. "
            "Free memory on the device, quantise (model.quantize.transformer: qfloat8 changes the picture), or use a "
            "smaller picture"
        )


def _take(model: _Model, request: Request, plan: MemoryPlan) -> MemoryPlan:
    """Follow this plan from now on, and say so in the worker's log."""
    model.plan = plan
    print(f"{request.title.model}: {plan.reason}", file=sys.stderr, flush=True)
    return plan

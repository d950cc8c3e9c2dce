"""What a worker keeps loaded: base models with the adapters in effect on them, and adapter files as read.

Knows when to load, what to let go, and what to do when memory runs out; how much a model takes, how a family loads and
how weights are merged, others know.
"""

import gc
import sys
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

import torch

from darkroom.checkpoint import Checkpoint
from darkroom.errors import DeviceMemoryError
from darkroom.files.reference_image import read_reference
from darkroom.lora_files.families import NAMINGS
from darkroom.render.adapters.file import Adapter, read_adapter
from darkroom.render.adapters.stack import AdapterStack
from darkroom.render.device.environment import fix_arithmetic, fixed_attention, memory_budget
from darkroom.render.device.mode import (
    AUTO,
    LADDER,
    RESIDENT,
    Budget,
    Footprint,
    MemoryPlan,
    Picture,
    lower,
    mode_of,
    plan,
    plan_after_failure,
)
from darkroom.render.device.offload import Residence
from darkroom.render.family import family
from darkroom.render.progress import Pace
from darkroom.render.weights.base import Base
from darkroom.request import Lora, ReferenceImage, Request

_REFERENCES_KEPT = 8  # latents; 1 MB each
_ADAPTERS_KEPT = 4  # files; a LoRA of klein has 50 to 500 MB
_OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")

_Key = tuple[str | None, ...]
_Seen = tuple[str, int, int, int | None]  # a reference image by digest, and what its encoding may depend on
_Result = TypeVar("_Result")


class Loaded:
    """A base model in memory, with the stack that is in effect on it now and the adapter files read for it."""

    def __init__(self, base: Base, seconds: float, memory: MemoryPlan, offload: str) -> None:
        self.base = base
        self.memory = memory
        self.offload = offload  # the wish that the plan answers
        self.load_id = uuid.uuid4().hex  # new for each load
        self.stack = AdapterStack(base)
        self._residence = Residence(base, memory.mode)
        self._layers = base.adapter_shapes()
        self._adapters: OrderedDict[tuple[str, bool], Adapter] = OrderedDict()
        self._references: OrderedDict[_Seen, dict[str, torch.Tensor]] = OrderedDict()
        self._unclaimed_seconds = seconds

    @contextmanager
    def use(self, part: str) -> Iterator[None]:
        """Have `transformer` or `vae` ready to compute within. Apply the stack outside, while the weights rest."""
        with self._residence.use(part), fixed_attention(self.base.device, self.base.dtype, part):
            yield

    def claim_load_seconds(self) -> float:
        """Seconds of loading, for the first image that asks; 0 for all later ones."""
        seconds, self._unclaimed_seconds = self._unclaimed_seconds, 0.0
        return seconds

    def adapters(self, request: Request) -> dict[str, Adapter]:
        """The files that a request applies, by digest, read now or before; AdapterError if a key cannot be applied."""
        found = {lora.sha256: self._adapter(lora, request) for lora in request.active_loras}
        while len(self._adapters) > max(_ADAPTERS_KEPT, len(found)):
            self._adapters.popitem(last=False)
        return found

    def _adapter(self, lora: Lora, request: Request) -> Adapter:
        """One of a kindred base may be applied as far as it fits, if that is allowed: its `warning` is recorded."""
        naming, allow_foreign = NAMINGS[request.family], request.allow_foreign_lora
        key = (lora.sha256, allow_foreign)
        if key not in self._adapters:
            self._adapters[key] = read_adapter(lora.path, self._layers, naming, allow_foreign=allow_foreign)
        self._adapters.move_to_end(key)
        return self._adapters[key]

    def reference(self, image: ReferenceImage, request: Request) -> dict[str, torch.Tensor]:
        """What the model sees of a reference image, encoded now or before; ImageError if it cannot be used."""
        key = (image.sha256, request.width, request.height, request.ctrl_idx)
        if key not in self._references:
            with self.use("vae"):
                picture = read_reference(image.path)
                self._references[key] = family(request.family).encode_reference(self.base, request, picture)
            while len(self._references) > _REFERENCES_KEPT:
                self._references.popitem(last=False)
        self._references.move_to_end(key)
        return self._references[key]


class Pipelines:
    """The warm state of one worker on one device."""

    def __init__(self) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.pace = Pace()
        self._bases: OrderedDict[_Key, Loaded] = OrderedDict()
        self._footprints: dict[_Key, tuple[frozenset[Picture], Mapping[str | None, Footprint]]] = {}  # last asked for
        self._plans: dict[_Key, MemoryPlan] = {}  # the last one of each model, loaded or not
        self._ran_out: dict[_Key, tuple[str, str]] = {}  # mode to start from since memory ran out, and what was said
        fix_arithmetic(self.device)

    def with_base(
        self,
        checkpoint: Checkpoint,
        request: Request,
        work: Callable[[Loaded], _Result],
        pictures: frozenset[Picture] = frozenset(),
        offload: str = AUTO,
    ) -> _Result:
        """`work` on the base model that `request` names; once more, one step down the ladder, if memory runs out.

        `pictures`: all that will be rendered from it in this job: the largest decides the mode. `offload`: see
        mode.WISHES. DeviceMemoryError when nothing fits, and when memory runs out again.
        """
        said = []
        for _ in range(2):
            try:
                return work(self.base(checkpoint, request, pictures, offload))
            except (RuntimeError, MemoryError) as error:
                if not ran_out_of_memory(error):
                    raise
                if _key(checkpoint, request) not in self._plans:
                    raise  # before there was a model to let go
                said.append(f"{self._plans[_key(checkpoint, request)].mode}: {_first_line(error)}")
            # Only here: the error's traceback held on to the tensors of the attempt.
            self._fall_back(_key(checkpoint, request), said[-1])
        raise DeviceMemoryError(self._twice(checkpoint, request, said))

    def base(
        self,
        checkpoint: Checkpoint,
        request: Request,
        pictures: frozenset[Picture] = frozenset(),
        offload: str = AUTO,
    ) -> Loaded:
        """The base model that `request` names, loaded now or before, in a mode in which `pictures` fit."""
        key = _key(checkpoint, request)
        footprints = self._needs(checkpoint, request, pictures)
        footprint = footprints[request.quantize_transformer]
        loaded = self._bases.get(key)
        if loaded and self._is_outdated(loaded, footprint, offload):
            loaded = self._plan_again(key, loaded, footprints, request, offload)
        if not loaded:
            self._make_room(footprint, self._ran_out[key][0] if key in self._ran_out else mode_of(offload))
            memory = self._plan(key, footprints, request, offload, memory_budget(self.device))
            loaded = self._bases[key] = self._load(checkpoint, request, memory, offload)
        self._bases.move_to_end(key)
        return loaded

    def _is_outdated(self, loaded: Loaded, footprint: Footprint, offload: str) -> bool:
        """True where the mode was chosen for smaller pictures, or by another wish.

        Not for larger ones: where sizes alternate, loading again each time costs more than a slower mode.
        """
        return footprint.peak(loaded.memory.mode) > loaded.memory.estimate or offload != loaded.offload

    def _plan_again(
        self,
        key: _Key,
        loaded: Loaded,
        footprints: Mapping[str | None, Footprint],
        request: Request,
        offload: str,
    ) -> Loaded | None:
        """The loaded base if the mode it is in will do for what is asked now; else None, and it is gone."""
        footprint, mode = footprints[request.quantize_transformer], loaded.memory.mode
        budget = memory_budget(self.device).without(footprint.at_rest(mode), footprint.beside(mode))
        try:
            memory = self._plan(key, footprints, request, offload, budget)
        except DeviceMemoryError:  # beside the other models; they go first, and then it is planned anew
            memory = None
        if memory is None or memory.mode != mode:
            del self._bases[key]
            return None
        loaded.memory, loaded.offload = memory, offload
        return loaded

    def _plan(
        self,
        key: _Key,
        footprints: Mapping[str | None, Footprint],
        request: Request,
        offload: str,
        budget: Budget,
    ) -> MemoryPlan:
        if key in self._ran_out:
            mode, said = self._ran_out[key]
            memory = plan_after_failure(footprints[request.quantize_transformer], budget, offload, mode, said)
        else:
            try:
                memory = plan(footprints, request.quantize_transformer, budget, offload)
            except DeviceMemoryError as error:
                raise DeviceMemoryError(f"{request.model}: {error}") from error
        self._plans[key] = memory
        print(f"{request.model}: {memory.reason}", file=sys.stderr, flush=True)
        return memory

    def _needs(
        self, checkpoint: Checkpoint, request: Request, pictures: frozenset[Picture]
    ) -> Mapping[str | None, Footprint]:
        key, wanted = _key(checkpoint, request), pictures | {Picture.of(request)}
        if key not in self._footprints or self._footprints[key][0] != wanted:
            self._footprints[key] = wanted, family(request.family).footprints(checkpoint, request, wanted)
        return self._footprints[key][1]

    def _load(self, checkpoint: Checkpoint, request: Request, memory: MemoryPlan, offload: str) -> Loaded:
        started = time.monotonic()
        rest = self.device if memory.mode == RESIDENT else torch.device("cpu")
        base = replace(family(request.family).load(checkpoint, request, rest), device=self.device)
        return Loaded(base, time.monotonic() - started, memory, offload)

    def _make_room(self, footprint: Footprint, mode: str) -> None:
        """Let the models go that were used longest ago until the next one fits in this mode, or in the fastest."""
        self._release()
        while self._bases and memory_budget(self.device).lacks(footprint, LADDER[0] if mode == AUTO else mode):
            self._bases.popitem(last=False)
            self._release()

    def _fall_back(self, key: _Key, said: str) -> None:
        """Free everything, and start from one step down the ladder from now on."""
        self._ran_out[key] = (lower(self._plans[key].mode), said)
        self._bases.clear()
        self._release()
        print(f"out of memory ({said})", file=sys.stderr, flush=True)

    def _release(self) -> None:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _twice(self, checkpoint: Checkpoint, request: Request, said: Sequence[str]) -> str:
        budget, reason = memory_budget(self.device), self._plans[_key(checkpoint, request)].reason
        return (
            f"{checkpoint.name}, {request.width}x{request.height}: out of memory twice: {'; then '.join(said)}. "
            f"The last plan was {reason}. Free now: {budget.free / 1e9:.1f} of {budget.total / 1e9:.1f} GB. "
            "Free memory on the device, quantise (model.quantize.transformer: qfloat8 changes the picture), or use a "
            "smaller picture"
        )


def ran_out_of_memory(error: BaseException) -> bool:
    """True for torch's, numpy's and Python's ways of saying so, on a CPU and on a GPU."""
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)
    )


def _key(checkpoint: Checkpoint, request: Request) -> _Key:
    settings = (request.dtype, request.numerics, request.quantize_transformer, request.guidance)
    return (request.family, checkpoint.digest, *settings)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]

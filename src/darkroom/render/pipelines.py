"""What a worker keeps loaded: base models with the adapters merged into them, and adapter files as read.

Knows when to load and what to let go; how a family loads and how weights are merged, others know.
"""

import gc
import time
import uuid
from collections import OrderedDict

import psutil
import torch

from darkroom.checkpoint import Checkpoint
from darkroom.render.adapter_file import Adapter, read_adapter
from darkroom.render.adapters import MergedStack
from darkroom.render.base_model import Base
from darkroom.render.families import family
from darkroom.render.progress import Pace
from darkroom.request import Lora, Request

_ADAPTERS_KEPT = 4  # files; a LoRA of klein has 50 to 500 MB
_HEADROOM = 1.5  # memory wanted free for a base model, as a multiple of its files: weights and activations


class Loaded:
    """A base model in memory, with the stack that is merged into it now and the adapter files read for it."""

    def __init__(self, base: Base, seconds: float) -> None:
        self.base = base
        self.load_id = uuid.uuid4().hex  # new for each load
        self.stack = MergedStack(base)
        self._layers = base.adapter_shapes()
        self._adapters: OrderedDict[str, Adapter] = OrderedDict()
        self._unclaimed_seconds = seconds

    def claim_load_seconds(self) -> float:
        """Seconds of loading, for the first image that asks; 0 for all later ones."""
        seconds, self._unclaimed_seconds = self._unclaimed_seconds, 0.0
        return seconds

    def adapter(self, lora: Lora) -> Adapter:
        """A LoRA or LoKr file, read now or before; AdapterError when one of its keys cannot be applied."""
        if lora.sha256 not in self._adapters:
            self._adapters[lora.sha256] = read_adapter(lora.path, self._layers)
            while len(self._adapters) > _ADAPTERS_KEPT:
                self._adapters.popitem(last=False)
        self._adapters.move_to_end(lora.sha256)
        return self._adapters[lora.sha256]


class Pipelines:
    """The warm state of one worker on one device."""

    def __init__(self) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.pace = Pace()
        self._bases: OrderedDict[tuple[str | None, ...], Loaded] = OrderedDict()
        if self.device.type == "cuda":
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False

    def base(self, checkpoint: Checkpoint, request: Request) -> Loaded:
        """The base model that `request` names, loaded now or before."""
        settings = (request.dtype, request.numerics, request.quantize_transformer, request.guidance)
        key = (request.family, checkpoint.digest, *settings)
        if key not in self._bases:
            self._make_room(checkpoint)
            self._bases[key] = self._load(checkpoint, request)
        self._bases.move_to_end(key)
        return self._bases[key]

    def _load(self, checkpoint: Checkpoint, request: Request) -> Loaded:
        started = time.monotonic()
        base = family(request.family).load(checkpoint, request, self.device)
        return Loaded(base, time.monotonic() - started)

    def _make_room(self, checkpoint: Checkpoint) -> None:
        """Let the models go that were used longest ago until the next one fits."""
        wanted = _HEADROOM * sum(file.stat().st_size for file in checkpoint.render_files())
        while self._bases and self._free_bytes() < wanted:
            self._bases.popitem(last=False)
            gc.collect()
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _free_bytes(self) -> int:
        if self.device.type == "cuda":
            return torch.cuda.mem_get_info(self.device)[0]
        return int(psutil.virtual_memory().available)

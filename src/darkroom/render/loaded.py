"""A base model in memory: the stack that is in effect on it, and the reference images encoded for it.

When it is loaded, in which memory mode, and when it goes: pipelines.py.
"""

import uuid
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from darkroom.files.images.reference import read_reference
from darkroom.lora_files.families import NAMINGS
from darkroom.render.adapters.file import Adapter, read_adapter
from darkroom.render.adapters.kept import AdapterFile, KeptAdapters
from darkroom.render.adapters.stack import AdapterStack
from darkroom.render.device.compiled import compile_blocks
from darkroom.render.device.environment import fixed_kernels
from darkroom.render.device.mode import IN_FILE, MemoryPlan
from darkroom.render.device.offload import Residence
from darkroom.render.device.pristine import Pristine
from darkroom.render.device.stream import Stream
from darkroom.render.family import family
from darkroom.render.weights.base import Base
from darkroom.request.parts import Lora, ReferenceImage
from darkroom.request.request import Request

_REFERENCES_KEPT = 8  # latents; 1 MB each

_Seen = tuple[str, int, int, int | None]  # a reference image by digest, and what its encoding may depend on


class Loaded:
    """A base model in memory, with the stack in effect on it now. `kept`: adapter files, those of other bases too."""

    def __init__(self, base: Base, seconds: float, memory: MemoryPlan, stream: Stream, kept: KeptAdapters) -> None:
        if base.model.compiled_blocks:  # before anything hangs around the blocks
            compile_blocks(base.transformer)
        self.base = base
        self.stream = stream
        self.memory = memory
        self.load_id = uuid.uuid4().hex  # new for each load
        self.pristine = Pristine(base, memory.copy or IN_FILE)
        self.stack = AdapterStack(base, self.pristine)
        self._residence = Residence(base, memory.mode)
        self._layers = base.adapter_shapes()
        self._kept = kept
        self._references: OrderedDict[_Seen, dict[str, torch.Tensor]] = OrderedDict()
        self._unclaimed_seconds = seconds

    @contextmanager
    def use(self, part: str) -> Iterator[None]:
        """Have `transformer` or `vae` ready to compute within. Apply the stack outside, while the weights rest."""
        with self._residence.use(part), fixed_kernels(self.base.device, self.base.dtype, part):
            yield

    def follow(self, memory: MemoryPlan) -> None:
        """Another plan of the same mode, from now on."""
        self.memory = memory
        self.pristine.move(memory.copy or IN_FILE)

    def claim_load_seconds(self) -> float:
        """Seconds of loading, for the first image that asks; 0 for all later ones."""
        seconds, self._unclaimed_seconds = self._unclaimed_seconds, 0.0
        return seconds

    def adapters(self, request: Request) -> dict[str, Adapter]:
        """The files that a request applies, by digest, read now or before; AdapterError if a key cannot be applied.

        One of a kindred base may be applied as far as it fits, if that is allowed: its `warning` is recorded.
        """
        naming, allow_foreign = NAMINGS[request.base.family], request.adapters.allow_foreign_lora

        def read(lora: Lora) -> Adapter:
            return read_adapter(lora.path, self._layers, naming, sha256=lora.sha256, allow_foreign=allow_foreign)

        loras = {lora.sha256: lora for lora in request.adapters.active}
        wanted: dict[Hashable, AdapterFile] = {
            (digest, request.base, allow_foreign): AdapterFile(Path(lora.path), partial(read, lora))
            for digest, lora in loras.items()
        }
        return dict(zip(loras, self._kept.take(wanted), strict=True))

    def reference(self, image: ReferenceImage, request: Request) -> dict[str, torch.Tensor]:
        """What the model sees of a reference image, encoded now or before; ImageError if it cannot be used."""
        sampling = request.sampling
        key = (image.sha256, sampling.width, sampling.height, sampling.ctrl_idx)
        if key not in self._references:
            with self.use("vae"):
                picture = read_reference(image.path, image.sha256)
                self._references[key] = family(request.base.family).encode_reference(self.base, sampling, picture)
            while len(self._references) > _REFERENCES_KEPT:
                self._references.popitem(last=False)
        self._references.move_to_end(key)
        return self._references[key]

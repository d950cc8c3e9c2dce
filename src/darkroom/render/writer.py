"""Saves finished pictures off the render thread, so that the next image is already being denoised.

Knows the store and the experiment's folder; what is in a picture or a record, others know.
"""

import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save

from darkroom.files.atomic import atomic, link
from darkroom.files.image_file import with_record, without_record, write_image
from darkroom.files.weight_file import sha256_of
from darkroom.filesystem.refusals import make_read_only
from darkroom.provenance.claim import signed
from darkroom.record import EmbeddedRecord
from darkroom.render.job import Destination

_WAITING = 4  # pictures held in memory at most; a disk slower than the model then slows it down


@dataclass(frozen=True)
class Saved:
    image_sha256: str
    seconds: float


class Writer:
    """One thread that writes in order; leaving its `with` block waits for the last file."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._pending: deque[Future[Saved]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(wait=True)

    def save(
        self, to: Destination, pixels: npt.NDArray[np.uint8], latents: torch.Tensor, record: EmbeddedRecord
    ) -> Future[Saved]:
        """Queue one picture. An earlier picture that could not be written raises here."""
        while self._pending and (self._pending[0].done() or len(self._pending) >= _WAITING):
            self._pending.popleft().result()
        future = self._pool.submit(_save, to, pixels, latents, record)
        self._pending.append(future)
        return future


def show(to: Destination, stored: EmbeddedRecord, own: EmbeddedRecord) -> None:
    """Put a picture of the store, and its latents if asked for, where a person opens them.

    A link where the record `stored` in it is the one to show of this request's `own`, but for what an older version
    could not say; else the same picture with that record, or with none, and signed last of all where it is to be.
    """
    shown = to.shown_record(own)
    if to.stored_latents and to.shown_latents:
        link(to.stored_latents, to.shown_latents)
    if stored == shown and not to.is_signed:
        link(to.stored, to.shown)
        return
    data = to.stored.read_bytes()
    data = with_record(data, shown.to_json()) if shown else without_record(data)
    data = signed(data, own) if to.is_signed else data
    with atomic(to.shown) as temporary:
        temporary.write_bytes(data)


def _save(to: Destination, pixels: npt.NDArray[np.uint8], latents: torch.Tensor, record: EmbeddedRecord) -> Saved:
    started = time.monotonic()
    if to.stored_latents:
        with atomic(to.stored_latents) as temporary:
            temporary.write_bytes(save({"latents": latents.contiguous()}))
        make_read_only(to.stored_latents)
    write_image(to.stored, pixels, record.to_json(), to.image_format, to.quality)
    make_read_only(to.stored)
    show(to, record, record)
    return Saved(sha256_of(to.shown), time.monotonic() - started)

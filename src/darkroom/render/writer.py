"""Writes finished pictures off the render thread, so that the next ones are already being denoised.

Knows the store and the experiment's folder; what is in a picture or a record, others know.
"""

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from safetensors.torch import save as tensor_file

from darkroom.files.atomic import atomic, link
from darkroom.files.content import read_content, sha256_in, write_content
from darkroom.files.images.image_file import with_record, without_record, write_image
from darkroom.filesystem.refusals import make_read_only
from darkroom.provenance.claim import signed
from darkroom.record.embedded import EmbeddedRecord
from darkroom.render.job import Destination
from darkroom.render.picture import Made

_THREADS = 4  # started as they are needed: a PNG of a megapixel takes one of them 0.05 s, signed WebP ten times that
_WAITING = 8  # pictures; a disk slower than the model then slows it down

_Outcome = TypeVar("_Outcome")


class Writer(Generic[_Outcome]):
    """A few threads that finish pictures, several at a time; leaving its `with` block waits for the last one.

    `threads` and `waiting`: pictures that are finished at a time, and that are in memory, at most.
    """

    def __init__(self, threads: int = _THREADS, waiting: int = _WAITING) -> None:
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="writer")
        self._waiting = waiting
        self._pending: deque[Future[_Outcome]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(wait=True)

    def submit(self, finish: Callable[[], _Outcome]) -> Future[_Outcome]:
        """Have one picture finished. The error of an earlier one that could not be written is raised here, in order."""
        while self._pending and (self._pending[0].done() or len(self._pending) >= self._waiting):
            self._pending.popleft().result()
        future = self._pool.submit(finish)
        self._pending.append(future)
        return future


@dataclass(frozen=True)
class Saved:
    image_sha256: str
    seconds: float


def save(to: Destination, made: Made) -> Saved:
    """One picture and its latents, where it is to have them, into the store and where a person opens them."""
    started = time.monotonic()
    if to.stored_latents:
        write_content(to.stored_latents, tensor_file({"latents": made.latents.contiguous()}))
        make_read_only(to.stored_latents)
    data = write_image(to.stored, made.pixels, made.record.to_json(), to.image_format, to.quality)
    make_read_only(to.stored)
    return Saved(_show(to, data, made.record, made.record), time.monotonic() - started)


def show(to: Destination, stored: EmbeddedRecord, own: EmbeddedRecord) -> str:
    """Put a picture of the store, and its latents if asked for, where a person opens them; the digest of what is shown.

    A link where the record `stored` in it is the one to show of this request's `own`, but for what an older version
    could not say; else the same picture with that record, or with none, and signed last of all where it is to be.
    """
    return _show(to, read_content(to.stored), stored, own)


def _show(to: Destination, data: bytes, stored: EmbeddedRecord, own: EmbeddedRecord) -> str:
    """`show`; `data`: what is in the store's file."""
    shown = to.shown_record(own)
    if to.stored_latents and to.shown_latents:
        link(to.stored_latents, to.shown_latents)
    if stored == shown and not to.is_signed:
        link(to.stored, to.shown)
        return sha256_in(data)
    data = with_record(data, shown.to_json()) if shown else without_record(data)
    data = signed(data, own) if to.is_signed else data
    with atomic(to.shown) as temporary:
        temporary.write_bytes(data)
    return sha256_in(data)

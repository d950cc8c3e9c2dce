"""Turns a draft (conf/ resolved, files unread) into requests with digests. Knows nothing of conf/, Hydra or torch."""

from dataclasses import replace
from pathlib import Path

from darkroom.checkpoint import Checkpoint
from darkroom.request import Lora, Request
from darkroom.store import Store, read_json, write_json


def complete(request: Request, checkpoint: Checkpoint, store: Store) -> Request:
    """The request with the digests of every file that its pixels depend on."""
    return replace(
        request,
        checkpoint_revision=checkpoint.revision,
        checkpoint_digest=checkpoint.digest,
        text_encoder_digest=checkpoint.text_encoder_digest,
        loras=tuple(_complete_lora(lora, store) for lora in request.loras),
    )


def write_requests(draft: Path, checkpoint_file: Path, output: Path, store: Store) -> None:
    """draft + checkpoint → requests, one combination."""
    combination = read_json(draft)
    checkpoint = Checkpoint.from_json(read_json(checkpoint_file))
    requests = [complete(Request.from_json(values), checkpoint, store) for values in combination["requests"]]
    ids = [request.request_id for request in requests]
    shown = [{"request_id": name, **request.to_json()} for name, request in zip(ids, requests, strict=True)]
    write_json(output, {**combination, "requests": shown})


def _complete_lora(lora: Lora, store: Store) -> Lora:
    return replace(lora, sha256=store.sha256(Path(lora.path)))

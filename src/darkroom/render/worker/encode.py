"""Encodes one model's distinct texts into the store.

A process of its own, and no import of torch where the store has every embedding already.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from darkroom.checkpoint import Checkpoint
from darkroom.files.atomic import write_json
from darkroom.files.content import is_intact
from darkroom.planned import PlannedModel
from darkroom.render.job import EncodeJob
from darkroom.render.texts import check_encoders, check_model, encode
from darkroom.render.worker import client, slot
from darkroom.render.worker.owner import is_alone, owner
from darkroom.store import Store


def encode_texts(job: EncodeJob, output: Path, worker_logs: Path, log: Path | None, launcher: str) -> None:
    """Encode what the store lacks, then write `output`: the embedding id of each text of the model.

    `launcher`: the commands that start workers elsewhere, of which one then encodes.
    """
    model, ids = _named(job)
    missing = _missing(ids, Store(job.store))
    if missing and not (slot.launchers_of(launcher) and client.asked_of_worker(job, worker_logs, log, launcher)):
        with ExitStack() as held:
            if (run := owner()) is not None:
                device = held.enter_context(slot.hold(run))
                device.use()
                if not is_alone():
                    client.prewarm(device, model.encoder.family, worker_logs)
            encode_missing(job)
    write_json(output, {"model": model.name, "encoded_now": len(missing), "embeddings": ids})


def encode_missing(job: EncodeJob) -> None:
    """Encode what the store lacks, in this process."""
    from darkroom.render.device.environment import fix_threads  # imports torch

    (model, ids), checkpoint, store = _named(job), Checkpoint.read(job.checkpoint), Store(job.store)
    encoder = replace(model.encoder, text_encoder_digest=checkpoint.text_encoder_digest)
    check_encoders(checkpoint, store)
    fix_threads()
    check_model(checkpoint, model.base, model.prompt_embeds)
    encode(encoder, checkpoint, _missing(ids, store), job.offload, store)


def _named(job: EncodeJob) -> tuple[PlannedModel, dict[str, str]]:
    """The model, and the embedding id of each of its texts."""
    model, checkpoint = PlannedModel.read(job.model), Checkpoint.read(job.checkpoint)
    encoder = replace(model.encoder, text_encoder_digest=checkpoint.text_encoder_digest)
    return model, {text: encoder.embedding_id(text) for text in model.texts}


def _missing(ids: Mapping[str, str], store: Store) -> dict[Path, str]:
    """The texts that the store has no embedding of, by its file."""
    return {path: text for text, name in ids.items() if not is_intact(path := store.embedding(name))}

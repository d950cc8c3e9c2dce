"""Encodes one model's distinct texts into the store.

A process of its own, and no import of torch where the store has every embedding already.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from darkroom.checkpoint import Checkpoint
from darkroom.files.atomic import write_json
from darkroom.files.content import is_intact
from darkroom.planned import PlannedModel
from darkroom.render.texts import check_encoders, check_model, encode
from darkroom.render.worker import client, slot
from darkroom.render.worker.owner import is_alone, owner
from darkroom.store import Store


def encode_texts(
    model_file: Path, checkpoint_file: Path, output: Path, store: Store, worker_logs: Path, offload: str
) -> None:
    """Encode what the store lacks, then write `output`: the embedding id of each text of the model.

    `offload`: where the text encoder rests (mode.WISHES); changes no embedding.
    """
    model, checkpoint = PlannedModel.read(model_file), Checkpoint.read(checkpoint_file)
    encoder = replace(model.encoder, text_encoder_digest=checkpoint.text_encoder_digest)
    ids = {text: encoder.embedding_id(text) for text in model.texts}
    missing = {text: name for text, name in ids.items() if not is_intact(store.embedding(name))}
    if missing:
        check_encoders(checkpoint, store)
        with ExitStack() as held:
            run = owner()
            if run is not None:
                device = held.enter_context(slot.hold(run))
                device.use()
                if not is_alone():
                    client.prewarm(device, encoder.family, worker_logs)
            from darkroom.render.device.environment import fix_threads  # imports torch

            fix_threads()
            check_model(checkpoint, model.base, model.prompt_embeds)
            paths = {store.embedding(name): text for text, name in missing.items()}
            encode(encoder, checkpoint, paths, offload, store)
    write_json(output, {"model": model.name, "encoded_now": len(missing), "embeddings": ids})

"""Texts to embeddings, as files. Only the text encoder is ever in memory here; torch comes with it."""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.checkpoint import Checkpoint
from darkroom.files.content import write_content
from darkroom.render.job import TOKENS_CUT
from darkroom.request.parts import BaseModel, Encoder
from darkroom.store import Store

if TYPE_CHECKING:
    import torch

    from darkroom.render.weights.base import TextEncoder


def check_encoders(checkpoint: Checkpoint, store: Store) -> None:
    """CheckpointError where a text encoder is not what it was when it was planned."""
    for component in checkpoint.encoding:
        component.check_unchanged(store.sha256)


def check_model(checkpoint: Checkpoint, base: BaseModel, prompt_embeds: Collection[str]) -> None:
    """Every problem that headers and configs show of the model's files, and of embeddings that are given for it."""
    from darkroom.render.family import family

    family(base.family).check(checkpoint, base, prompt_embeds)


def encode(encoder: Encoder, checkpoint: Checkpoint, texts: Mapping[Path, str], offload: str, files: Store) -> None:
    """Encode texts into these files of a store. `files`: the store whose digests of weight files are known.

    CheckpointError where the text encoder that was read is not what was planned.
    """
    import torch
    from safetensors.torch import save

    from darkroom.render.device.environment import fix_arithmetic, fixed_kernels
    from darkroom.render.device.lost import telling_of_loss
    from darkroom.render.family import family

    kind = family(encoder.family)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    fix_arithmetic(device)
    started = time.monotonic()
    text_encoder = _load(encoder, checkpoint, device, offload)
    check_encoders(checkpoint, files)
    _say(f"{checkpoint.name}: {checkpoint['text_encoder'].path} loaded in {time.monotonic() - started:.1f} s")
    for path, text in texts.items():
        with telling_of_loss(), fixed_kernels(device, text_encoder.dtype, "text_encoder"):
            embeds = {name: tensor.cpu().contiguous() for name, tensor in kind.encode(text_encoder, text).items()}
        cut = kind.tokens_cut(text_encoder, text)
        write_content(path, save(embeds, _metadata(encoder, checkpoint, text, cut)))
    _say(f"{checkpoint.name}: {len(texts)} texts encoded in {time.monotonic() - started:.1f} s")


def _load(encoder: Encoder, checkpoint: Checkpoint, device: torch.device, offload: str) -> TextEncoder:
    import torch

    from darkroom.render.device.environment import memory_budget
    from darkroom.render.device.mode import TEXT_LADDER, plan
    from darkroom.render.device.offload import place_text_encoder
    from darkroom.render.family import family

    text_encoder = family(encoder.family).load_text_encoder(checkpoint, encoder, torch.device("cpu"))
    footprints = family(encoder.family).text_footprints(text_encoder)
    quantization = encoder.quantize_text_encoder
    budget = memory_budget(device).without(0, footprints[quantization].weights)  # they are in it by now
    memory = plan(footprints, quantization, budget, offload, TEXT_LADDER)
    _say(f"{checkpoint.name}: {memory.reason}")
    return place_text_encoder(text_encoder, memory.mode, device)


def _metadata(encoder: Encoder, checkpoint: Checkpoint, text: str, cut: int) -> dict[str, str]:
    return {
        "text": text,
        "family": encoder.family,
        "text_encoder": checkpoint["text_encoder"].path,
        "text_encoder_digest": checkpoint.text_encoder_digest,
        "dtype": encoder.dtype,
        "max_sequence_length": str(encoder.max_sequence_length),
        TOKENS_CUT: str(cut),
    }


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

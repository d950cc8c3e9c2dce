"""The text encoders of FLUX.1, Flex.1 and Flex.2: CLIP for a text as a whole, T5 for its tokens. Knows no transformer.

Both are transformers' own modules; their weights come through weights/reading.py, each into its place. Every encoding
is one text, batch size 1, as the trainer's. No attention mask goes into either encoder. In bfloat16 and float32,
loading with or without the trainer's cast afterwards (`text_encoder_cast`) gives the same: no buffer has to be rounded.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from darkroom.base_files.gguf.encoders import check_gguf_encoder
from darkroom.checkpoint import GGUF, Checkpoint
from darkroom.errors import CheckpointError, DarkroomError
from darkroom.render.device.environment import fixed_kernels
from darkroom.render.device.footprint import READING_BYTES, footprints_of
from darkroom.render.device.mode import Footprint
from darkroom.render.families.flux1.encoder_layout import CLIP, ENCODERS, T5, EncoderLayout, describe, features_read
from darkroom.render.families.flux1.tokenizers import Tokenizers, check_tokenizer, load_tokenizer, part_of
from darkroom.render.weights.base import DTYPES, TextEncoder
from darkroom.render.weights.quantization import quantizer
from darkroom.render.weights.reading import BaseWeights, shapes_of
from darkroom.render.weights.stored import Stored, stored_tensors
from darkroom.request.parts import POOLED_PROMPT_EMBEDS, Encoder

_PLACES = "checkpoint.text_encoder is the CLIP, checkpoint.text_encoder_2 the T5"


class ClipAndT5(nn.Module):
    """The model of a TextEncoder whose tokenizer is Tokenizers."""

    def __init__(self, clip: Any, t5: Any, attn_masking: bool) -> None:
        super().__init__()
        self.clip, self.t5 = clip, t5
        self.attn_masking = attn_masking  # zeroes the rows of padding that come out of T5


def check_text_encoder(checkpoint: Checkpoint) -> Iterator[DarkroomError]:
    """Every problem that headers and configs show: not the transformer's encoders, not whole, no tokenizers."""
    for kind in ENCODERS:
        try:
            model, weights = build_text_encoder(checkpoint, kind)
            weights.account(shapes_of(model))
        except DarkroomError as error:
            yield error
        try:
            check_tokenizer(checkpoint[part_of(kind)], kind)
        except DarkroomError as error:
            yield error


def load_text_encoder(checkpoint: Checkpoint, encoder: Encoder, device: torch.device) -> TextEncoder:
    """Both encoders with their tokenizers, in this dtype; CheckpointError if one is not whole.

    Quantisation is T5's alone, as the trainer's.
    """
    dtype = DTYPES[encoder.dtype]
    (clip, clip_weights), (t5, t5_weights) = (build_text_encoder(checkpoint, kind) for kind in ENCODERS)
    tokenizers = Tokenizers(
        load_tokenizer(checkpoint[part_of(CLIP)], CLIP, clip.config),
        load_tokenizer(checkpoint[part_of(T5)], T5, t5.config),
    )
    # Of both encoders' buffers the only one, and not stored.
    clip.embeddings.position_ids = torch.arange(clip.config.max_position_embeddings, device=device)[None]
    clip_weights.fill(clip, dtype, device)
    t5_weights.fill(t5, dtype, device, finish=quantizer(t5, encoder.quantize_text_encoder))
    model = ClipAndT5(clip, t5, encoder.attn_masking)
    return TextEncoder(model, tokenizers, encoder.max_sequence_length, dtype, device)


def build_text_encoder(checkpoint: Checkpoint, kind: EncoderLayout) -> tuple[Any, BaseWeights]:
    """A CLIPTextModel, or T5's encoder stack, on the meta device, and where its weights come from.

    CheckpointError unless it is the one that the transformer was trained with.
    """
    from transformers import CLIPTextModel, T5EncoderModel

    component = checkpoint[kind.part]
    features = features_read(checkpoint["transformer"], kind)
    if component.layout == GGUF:
        check_gguf_encoder(Path(component.path), kind.gguf, features)
    stored = stored_tensors(component)
    own_key = kind.gguf.transformers_key if kind.gguf and component.layout == GGUF else str
    right = kind.known.get(features, f"a {kind.title} of that hidden size")
    expected = f"{checkpoint.name} reads {features} features of {kind.title}, those of {right}"
    try:
        config = describe(component, kind, {own_key(key): tensor.shape for key, tensor in stored.items()})
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {_PLACES}; {expected}") from error
    if config.hidden_size != features:
        name = kind.known.get(config.hidden_size, f"a {kind.title}")
        raise CheckpointError(
            f"{component.path}: this text encoder is for another model: {name} of hidden size {config.hidden_size}; "
            f"{expected}"
        )
    with torch.device("meta"):
        # The whole T5EncoderModel holds one embedding under two names, and adds nothing to its stack.
        model = CLIPTextModel(config) if kind is CLIP else T5EncoderModel(config).encoder
    read = _read({own_key(key): tensor for key, tensor in stored.items()}, kind)
    return model, BaseWeights(component, read, lambda key: kind.layout(own_key(key)))


def _read(stored: dict[str, Stored], kind: EncoderLayout) -> list[Stored]:
    """The tensors that must find a place; of one that is there under two names, the one that transformers ties to."""
    tied = {"encoder.embed_tokens.weight"} if "shared.weight" in stored else set()
    return [tensor for key, tensor in stored.items() if key not in tied and not kind.not_read.fullmatch(key)]


@torch.no_grad()
def encode(text_encoder: TextEncoder, text: str) -> dict[str, torch.Tensor]:
    """The embeddings of one prompt, in the encoders' dtype.

    `prompt_embeds` (1, max_sequence_length, features) are T5's, padded; `pooled_prompt_embeds` (1, features) CLIP's, of
    the first 77 tokens.
    """
    model, tokenizers, device = text_encoder.model, text_encoder.tokenizer, text_encoder.device
    words = _padded(tokenizers.clip, text, model.clip.config.max_position_embeddings)
    with fixed_kernels(device, text_encoder.dtype, "clip"):
        pooled = model.clip(words["input_ids"].to(device)).pooler_output
    pieces = _padded(tokenizers.t5, text, text_encoder.max_sequence_length)
    embeds = model.t5(pieces["input_ids"].to(device)).last_hidden_state
    if model.attn_masking:
        embeds = embeds * pieces["attention_mask"].unsqueeze(-1).to(device, embeds.dtype)
    return {
        "prompt_embeds": embeds.to(text_encoder.dtype),
        POOLED_PROMPT_EMBEDS: pooled.to(text_encoder.dtype),
    }


def tokens_cut(text_encoder: TextEncoder, text: str) -> int:
    """How many of T5's tokens of a prompt are beyond max_sequence_length, and so without effect.

    CLIP's do not count: of a longer prompt it has always seen 77 tokens, for one vector on the whole; T5 has the rest.
    """
    length = len(text_encoder.tokenizer.t5(text, verbose=False)["input_ids"])
    return max(0, length - text_encoder.max_sequence_length)


def _padded(tokenizer: Any, text: str, length: int) -> Any:
    return tokenizer(text, padding="max_length", truncation=True, max_length=length, return_tensors="pt")


def text_footprints(text_encoder: TextEncoder) -> dict[str | None, Footprint]:
    """By quantisation, of a text encoder that is loaded."""
    return text_model_footprints(text_encoder.model, text_encoder.max_sequence_length, text_encoder.dtype)


def text_model_footprints(model: ClipAndT5, tokens: int, dtype: torch.dtype) -> dict[str | None, Footprint]:
    """By quantisation, which is T5's alone, of encoders that may be on the meta device; `tokens` are T5's."""
    clip = footprints_of(model.clip, dtype, READING_BYTES, computing=0)[None]
    t5 = footprints_of(model.t5, dtype, READING_BYTES, computing=encoding_bytes(model.t5.config, tokens, dtype))
    return {
        quantization: replace(found, weights=found.weights + clip.weights, outside=found.outside + clip.outside)
        for quantization, found in t5.items()
    }


def encoding_bytes(config: Any, tokens: int, dtype: torch.dtype) -> int:
    """Temporaries of T5's forward pass, by its config; CLIP's are a fiftieth of them.

    Measured, with fused attention: 8 hidden states, 4 inside the feed-forward part, and what is added to the scores
    twice, heads * tokens * tokens. The factors do not all apply at one time.
    """
    numbers: int = 8 * config.d_model + 4 * config.d_ff + 2 * config.num_heads * tokens
    return tokens * numbers * dtype.itemsize

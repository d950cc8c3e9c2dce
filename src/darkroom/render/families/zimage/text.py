"""Z-Image's text encoder: Qwen3-4B, whose hidden state before the last layer is read. Texts in, tensors out.

Its weights are klein's; the chat is one that thinks, and padding is cut off, so that each text has its own length.
Every encoding is one text, batch size 1, as the trainer's. Sources: diffusers' pipelines/z_image.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from darkroom.base_files.gguf.encoders import Z_IMAGE_GGUF, check_gguf_encoder
from darkroom.checkpoint import GGUF, Checkpoint
from darkroom.errors import CheckpointError, DarkroomError
from darkroom.render.families.chat import Chat, check_tokenizer_files, load_tokenizer, padded_tokens_of, tokens_beyond
from darkroom.render.families.language_model import QWEN3, Description, Partner, Reading, build, describe
from darkroom.render.families.zimage.layout import text_features
from darkroom.render.weights import quantization
from darkroom.render.weights.base import DTYPES, TextEncoder
from darkroom.render.weights.reading import BaseWeights, shapes_of
from darkroom.render.weights.stored import stored_tensors
from darkroom.request import PROMPT_EMBEDS, Encoder

READING = Reading("Z-Image", {QWEN3.title: (-2,)})
PARTNERS = {2560: Partner("Qwen/Qwen3-4B", QWEN3, 2560, 9728, layers=36)}  # by the text features of the transformer
_CHAT = Chat(QWEN3, "<|im_start|>", {"add_generation_prompt": True, "enable_thinking": True})


def check_text_encoder(checkpoint: Checkpoint) -> Iterator[DarkroomError]:
    """Every problem that headers and configs show: not the transformer's encoder, not whole, no tokenizer."""
    try:
        model, weights = build_text_encoder(checkpoint)
        weights.account(shapes_of(model))
    except DarkroomError as error:
        yield error
    try:
        check_tokenizer_files(Path(checkpoint["tokenizer"].path))
    except DarkroomError as error:
        yield error


def load_text_encoder(checkpoint: Checkpoint, encoder: Encoder, device: torch.device) -> TextEncoder:
    """The text encoder with its tokenizer, in this dtype and quantisation; CheckpointError if not whole."""
    dtype = DTYPES[encoder.dtype]
    model, weights = build_text_encoder(checkpoint)
    tokenizer = load_tokenizer(checkpoint["tokenizer"], _CHAT, model.config.vocab_size)
    if encoder.quantize_text_encoder:
        quantization.prepare(model, encoder.quantize_text_encoder)
    # The trainer's .to(dtype), which it does to a quantised one too, rounds the rotary frequencies.
    model.rotary_emb.to(device=device, dtype=dtype if encoder.text_encoder_cast else torch.float32)
    weights.fill(model, dtype, device, finish=quantization.finish)
    return TextEncoder(model, tokenizer, encoder.max_sequence_length, dtype, device)


def build_text_encoder(checkpoint: Checkpoint) -> tuple[Any, BaseWeights]:
    """The language model on the meta device, less its last layer, and where its weights come from."""
    component = checkpoint["text_encoder"]
    if component.layout == GGUF:
        check_gguf_encoder(Path(component.path), Z_IMAGE_GGUF, text_features(checkpoint["transformer"]))
    stored = stored_tensors(component)
    own_key = Z_IMAGE_GGUF.transformers_key if component.layout == GGUF else str
    found = _describe_partner(checkpoint, {own_key(key): tensor.shape for key, tensor in stored.items()})
    return build(component, stored, found, own_key)


def _describe_partner(checkpoint: Checkpoint, shapes: dict[str, tuple[int, ...]]) -> Description:
    """The text encoder found; CheckpointError unless it is the one that the transformer was trained with."""
    component, features = checkpoint["text_encoder"], text_features(checkpoint["transformer"])
    right = PARTNERS.get(features)
    expected = f"{checkpoint.name} reads {features} text features a token, those of " + (
        f"{right.repo}: name that as checkpoint.text_encoder" if right else f"a text encoder of hidden size {features}"
    )
    try:
        found = describe(component, shapes, READING)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {expected}") from error
    sizes = found.config.hidden_size, found.config.intermediate_size, found.layers
    if found.text_features != features or (right and sizes != (right.hidden, right.feed_forward, right.layers)):
        raise CheckpointError(
            f"{component.path}: this text encoder is for another model: {found.kind.title} of hidden size {sizes[0]}, "
            f"feed-forward size {sizes[1]}, {sizes[2]} layers; {expected}"
        )
    return found


@torch.no_grad()
def encode(text_encoder: TextEncoder, text: str) -> dict[str, torch.Tensor]:
    """The embedding of one prompt, (1, its tokens, hidden size), in the encoder's dtype."""
    tokens = padded_tokens_of(text_encoder, _CHAT, text)
    mask = tokens["attention_mask"].to(text_encoder.device).bool()
    output = text_encoder.model(
        input_ids=tokens["input_ids"].to(text_encoder.device), attention_mask=mask, use_cache=False
    )
    return {PROMPT_EMBEDS: output.last_hidden_state[:, mask[0]].to(text_encoder.dtype)}


def tokens_cut(text_encoder: TextEncoder, text: str) -> int:
    """How many tokens of the chat around a prompt are beyond max_sequence_length, and so without effect."""
    return tokens_beyond(text_encoder, _CHAT, text)

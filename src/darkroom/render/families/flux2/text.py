"""FLUX.2's text encoders: Qwen3 for klein, Mistral 3 for dev. Texts in, tensors out; knows no transformer's weights.

Only the layers below the last hidden state that is read are built (language_model.py). Every encoding is one text,
batch size 1, as the trainer's. Sources: diffusers' pipelines/flux2.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE

from darkroom.base_files.gguf.encoders import QWEN3_GGUF, check_gguf_encoder
from darkroom.checkpoint import GGUF, Checkpoint
from darkroom.errors import CheckpointError, DarkroomError
from darkroom.render.families.chat import (
    Chat,
    check_tokenizer_files,
    load_tokenizer,
    padded_tokens_of,
    tokens_beyond,
)
from darkroom.render.families.flux2.transformer_layout import text_features
from darkroom.render.families.language_model import MISTRAL3, QWEN3, Description, Partner, Reading, build, describe
from darkroom.render.weights import quantization
from darkroom.render.weights.base import DTYPES, TextEncoder
from darkroom.render.weights.reading import BaseWeights, shapes_of
from darkroom.render.weights.stored import stored_tensors
from darkroom.request import Encoder

READING = Reading("FLUX.2", {QWEN3.title: (9, 18, 27), MISTRAL3.title: (10, 20, 30)})
PARTNERS = {  # by the text features of the transformer, 3 hidden states side by side
    7680: Partner("Qwen/Qwen3-4B", QWEN3, 2560, 9728, layers=36),
    12288: Partner("Qwen/Qwen3-8B", QWEN3, 4096, 12288, layers=36),
    15360: Partner("mistralai/Mistral-Small-3.1-24B-Instruct-2503", MISTRAL3, 5120, 32768, layers=40),
}
_CHATS: Mapping[str, Chat] = {  # by model type
    "qwen3": Chat(QWEN3, "<|im_start|>", {"add_generation_prompt": True, "enable_thinking": False}),
    "mistral": Chat(MISTRAL3, "[INST]", {"add_generation_prompt": False}, system=SYSTEM_MESSAGE),
}


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
    tokenizer = load_tokenizer(checkpoint["tokenizer"], _CHATS[model.config.model_type], model.config.vocab_size)
    if encoder.quantize_text_encoder:
        quantization.prepare(model, encoder.quantize_text_encoder)
    # The trainer's .to(dtype) rounds the rotary frequencies too, which from_pretrained keeps in float32.
    model.rotary_emb.to(device=device, dtype=dtype if encoder.text_encoder_cast else torch.float32)
    weights.fill(model, dtype, device, finish=quantization.finish)
    return TextEncoder(model, tokenizer, encoder.max_sequence_length, dtype, device)


def build_text_encoder(checkpoint: Checkpoint) -> tuple[Any, BaseWeights]:
    """The language model on the meta device, less what no hidden state depends on, and where its weights come from."""
    component = checkpoint["text_encoder"]
    if component.layout == GGUF:
        check_gguf_encoder(Path(component.path), QWEN3_GGUF, text_features(checkpoint["transformer"]))
    stored = stored_tensors(component)
    own_key = QWEN3_GGUF.transformers_key if component.layout == GGUF else str
    found = _describe_partner(checkpoint, {own_key(key): tensor.shape for key, tensor in stored.items()})
    return build(component, stored, found, own_key)


def _describe_partner(checkpoint: Checkpoint, shapes: dict[str, tuple[int, ...]]) -> Description:
    """The text encoder found; CheckpointError unless it is the one that the transformer was trained with."""
    component, features = checkpoint["text_encoder"], text_features(checkpoint["transformer"])
    right = PARTNERS.get(features)
    expected = f"{checkpoint.name} reads {features} text features a token, those of " + (
        f"{right.repo}: name that as checkpoint.text_encoder"
        if right
        else f"a text encoder of hidden size {features // 3}"
    )
    try:
        found = describe(component, shapes, READING)
    except CheckpointError as error:
        raise CheckpointError(f"{error}; {expected}") from error
    sizes = found.config.hidden_size, found.config.intermediate_size
    if found.text_features != features or (
        right and (found.kind, *sizes) != (right.kind, right.hidden, right.feed_forward)
    ):
        raise CheckpointError(
            f"{component.path}: this text encoder is for another model: {found.kind.title} of hidden size {sizes[0]}, "
            f"feed-forward size {sizes[1]}; {expected}"
        )
    return found


@torch.no_grad()
def encode(text_encoder: TextEncoder, text: str) -> dict[str, torch.Tensor]:
    """The embedding of one prompt, (1, max_sequence_length, 3 hidden sizes), in the encoder's dtype.

    The attention mask goes to the text encoder only: the transformer attends to padding as well.
    """
    device, chat = text_encoder.device, _chat(text_encoder)
    tokens = padded_tokens_of(text_encoder, chat, _said(chat, text))
    output = text_encoder.model(
        input_ids=tokens["input_ids"].to(device),
        attention_mask=tokens["attention_mask"].to(device),
        output_hidden_states=True,
        use_cache=False,
    )
    embeds = torch.cat([output.hidden_states[layer] for layer in READING.states[chat.kind.title]], dim=-1)
    return {"prompt_embeds": embeds.to(text_encoder.dtype)}


def tokens_cut(text_encoder: TextEncoder, text: str) -> int:
    """How many tokens of the chat around a prompt are beyond max_sequence_length, and so without effect."""
    chat = _chat(text_encoder)
    return tokens_beyond(text_encoder, chat, _said(chat, text))


def _chat(text_encoder: TextEncoder) -> Chat:
    return _CHATS[text_encoder.model.config.model_type]


def _said(chat: Chat, text: str) -> str:
    """The prompt as it goes into the chat: to Mistral, [IMG] would stand for a picture."""
    return text.replace("[IMG]", "") if chat.kind is MISTRAL3 else text

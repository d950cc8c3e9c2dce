"""FLUX.2's text encoders: Qwen3 for klein, Mistral 3 for dev. Texts in, tensors out; knows no transformer's weights.

Only the layers below the last hidden state that is read are built (language_model.py). Every encoding is one text,
batch size 1, as the trainer's. Sources: diffusers' pipelines/flux2.
"""

from collections.abc import Mapping

import torch
from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE

from darkroom.base_files.gguf.encoders import QWEN3_GGUF
from darkroom.render.families.chat import PROBE, Chat, padded_tokens_of, qwen3_chat, tokens_beyond
from darkroom.render.families.encoders import TextEncoders
from darkroom.render.families.flux2.transformer_layout import text_features
from darkroom.render.families.known_tokens import KnownTokens
from darkroom.render.families.language_model import MISTRAL3, QWEN3, Partner, Reading
from darkroom.render.weights.base import TextEncoder

READING = Reading("FLUX.2", {QWEN3.title: (9, 18, 27), MISTRAL3.title: (10, 20, 30)})
PARTNERS = {  # by the text features of the transformer, 3 hidden states side by side
    7680: Partner("Qwen/Qwen3-4B", QWEN3, 2560, 9728, layers=36),
    12288: Partner("Qwen/Qwen3-8B", QWEN3, 4096, 12288, layers=36),
    15360: Partner("mistralai/Mistral-Small-3.1-24B-Instruct-2503", MISTRAL3, 5120, 32768, layers=40),
}
_CHATS: Mapping[str, Chat] = {  # by model type
    "qwen3": qwen3_chat(thinks=False),
    "mistral": Chat(
        MISTRAL3,
        "[INST]",
        {"add_generation_prompt": False},
        f"[SYSTEM_PROMPT]{SYSTEM_MESSAGE}[/SYSTEM_PROMPT][INST]{{}}[/INST]",
        KnownTokens(131072, PROBE, (18, 3, 1097, 7990, 1408, 1261, 99187, 6108, 4)),
        system=SYSTEM_MESSAGE,
    ),
}
_ENCODERS = TextEncoders(READING, PARTNERS, _CHATS, QWEN3_GGUF, text_features)
check_text_encoder = _ENCODERS.check
check_embeds = _ENCODERS.check_embeds
load_text_encoder = _ENCODERS.load
build_text_encoder = _ENCODERS.build


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

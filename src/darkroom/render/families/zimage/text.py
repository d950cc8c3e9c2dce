"""Z-Image's text encoder: Qwen3-4B, whose hidden state before the last layer is read. Texts in, tensors out.

Its weights are klein's; the chat is one that thinks, and padding is cut off, so that each text has its own length.
Every encoding is one text, batch size 1, as the trainer's. Sources: diffusers' pipelines/z_image.
"""

import torch

from darkroom.base_files.gguf.encoders import Z_IMAGE_GGUF
from darkroom.render.families.chat import padded_tokens_of, qwen3_chat, tokens_beyond
from darkroom.render.families.encoders import TextEncoders
from darkroom.render.families.language_model import QWEN3, Partner, Reading
from darkroom.render.families.zimage.layout import text_features
from darkroom.render.weights.base import TextEncoder
from darkroom.request.parts import PROMPT_EMBEDS

READING = Reading("Z-Image", {QWEN3.title: (-2,)})
PARTNERS = {2560: Partner("Qwen/Qwen3-4B", QWEN3, 2560, 9728, layers=36)}  # by the text features of the transformer
_CHAT = qwen3_chat(thinks=True)
_ENCODERS = TextEncoders(READING, PARTNERS, {"qwen3": _CHAT}, Z_IMAGE_GGUF, text_features)
check_text_encoder = _ENCODERS.check
check_embeds = _ENCODERS.check_embeds
load_text_encoder = _ENCODERS.load
build_text_encoder = _ENCODERS.build


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

"""FLUX.2's text encoders: Qwen3 for klein, Mistral 3 for dev. Texts in, tensors out; knows no transformer's weights.

Only the layers below the last hidden state that is read are built, by transformers' own modules; their weights come
through weights/reading.py, each into its place. Every encoding is one text, batch size 1, as the trainer's.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers.pipelines.flux2.system_messages import SYSTEM_MESSAGE

from darkroom.base_files.gguf_encoders import QWEN3_GGUF, check_gguf_encoder
from darkroom.checkpoint import GGUF, Checkpoint, Component
from darkroom.errors import CheckpointError, DarkroomError
from darkroom.render.families.flux2.encoder_layout import MISTRAL3, PARTNERS, QWEN3, Description, Kind, describe
from darkroom.render.families.flux2.transformer_layout import text_features
from darkroom.render.families.text_folder import check_tokenizer_lacks, read_tokenizer_file
from darkroom.render.weights import quantization
from darkroom.render.weights.base import DTYPES, TextEncoder
from darkroom.render.weights.reading import BaseWeights, shapes_of
from darkroom.render.weights.stored import stored_tensors
from darkroom.request import Encoder

_CHATS: dict[str, tuple[Kind, str, dict[str, Any]]] = {  # model type → kind, a token of its chats, their options
    "qwen3": (QWEN3, "<|im_start|>", {"add_generation_prompt": True, "enable_thinking": False}),
    "mistral": (MISTRAL3, "[INST]", {"add_generation_prompt": False}),
}
_PROCESSOR_TEMPLATE = "chat_template.json"  # of repositories whose processor reads pictures too


def check_text_encoder(checkpoint: Checkpoint) -> Iterator[DarkroomError]:
    """Every problem that headers and configs show: not the transformer's encoder, not whole, no tokenizer."""
    try:
        model, weights = build_text_encoder(checkpoint)
        weights.account(shapes_of(model))
    except DarkroomError as error:
        yield error
    try:
        _check_tokenizer_files(Path(checkpoint["tokenizer"].path))
    except DarkroomError as error:
        yield error


def load_text_encoder(checkpoint: Checkpoint, encoder: Encoder, device: torch.device) -> TextEncoder:
    """The text encoder with its tokenizer, in this dtype and quantisation; CheckpointError if not whole."""
    dtype = DTYPES[encoder.dtype]
    model, weights = build_text_encoder(checkpoint)
    tokenizer = _load_tokenizer(checkpoint["tokenizer"], model)
    if encoder.quantize_text_encoder:
        quantization.prepare(model, encoder.quantize_text_encoder)
    # The trainer's .to(dtype) rounds the rotary frequencies too, which from_pretrained keeps in float32.
    model.rotary_emb.to(device=device, dtype=dtype if encoder.text_encoder_cast else torch.float32)
    weights.fill(model, dtype, device, finish=quantization.finish)
    return TextEncoder(model, tokenizer, encoder.max_sequence_length, dtype, device)


def build_text_encoder(checkpoint: Checkpoint) -> tuple[Any, BaseWeights]:
    """The language model on the meta device, less what no hidden state depends on, and where its weights come from.

    Of its buffers, only the rotary frequencies are not stored: they are computed here, on the CPU, in float32.
    """
    from transformers import AutoModel

    component = checkpoint["text_encoder"]
    if component.layout == GGUF:
        check_gguf_encoder(Path(component.path), QWEN3_GGUF, text_features(checkpoint["transformer"]))
    stored = stored_tensors(component)
    own_key = QWEN3_GGUF.transformers_key if component.layout == GGUF else str
    found = _describe_partner(checkpoint, {own_key(key): tensor.shape for key, tensor in stored.items()})
    with torch.device("meta"):
        model = AutoModel.from_config(found.config, attn_implementation="sdpa")
    model.rotary_emb = type(model.rotary_emb)(found.config)
    model.norm = torch.nn.Identity()  # the whole model norms only what comes out of its last layer
    read = [tensor for key, tensor in stored.items() if found.is_read(own_key(key))]
    return model, BaseWeights(component, read, lambda key: found.layout(own_key(key)))


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
        found = describe(component, shapes)
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
    device = text_encoder.device
    tokens = _tokens(
        text_encoder,
        text,
        return_tensors="pt",
        padding="max_length",
        truncation=True,
        max_length=text_encoder.max_sequence_length,
    )
    output = text_encoder.model(
        input_ids=tokens["input_ids"].to(device),
        attention_mask=tokens["attention_mask"].to(device),
        output_hidden_states=True,
        use_cache=False,
    )
    kind, *_ = _CHATS[text_encoder.model.config.model_type]
    embeds = torch.cat([output.hidden_states[layer] for layer in kind.layers], dim=-1)
    return {"prompt_embeds": embeds.to(text_encoder.dtype)}


def tokens_cut(text_encoder: TextEncoder, text: str) -> int:
    """How many tokens of the chat around a prompt are beyond max_sequence_length, and so without effect."""
    length = len(_tokens(text_encoder, text, verbose=False)["input_ids"])
    return max(0, length - text_encoder.max_sequence_length)


def _tokens(text_encoder: TextEncoder, text: str, **options: Any) -> Any:
    """The chat around a prompt as token ids; a template that writes the first token itself gets no second one."""
    tokenizer = text_encoder.tokenizer
    kind, _, chat_options = _CHATS[text_encoder.model.config.model_type]
    chat = tokenizer.apply_chat_template(_turns(kind, text), tokenize=False, **chat_options)
    begun = tokenizer.bos_token is not None and chat.startswith(tokenizer.bos_token)
    return tokenizer(chat, add_special_tokens=not begun, **options)


def _turns(kind: Kind, text: str) -> list[dict[str, Any]]:
    """The conversation around a prompt, in the form that the chat templates of the kind take."""
    if kind is QWEN3:
        return [{"role": "user", "content": text}]
    prompt = text.replace("[IMG]", "")  # would stand for a picture
    said = {"system": SYSTEM_MESSAGE, "user": prompt}
    return [{"role": role, "content": [{"type": "text", "text": part}]} for role, part in said.items()]


def _check_tokenizer_files(folder: Path) -> None:
    """CheckpointError unless the files are there: without them, a tokenizer of one token would be loaded all the same.

    A chat template lies in one of three places.
    """
    template = folder / _PROCESSOR_TEMPLATE
    names = ("tokenizer.json", "tokenizer_config.json", *((template.name,) if template.is_file() else ()))
    told = any("chat_template" in values for values in [read_tokenizer_file(folder / name) for name in names])
    if not told and not (folder / "chat_template.jinja").is_file():
        raise CheckpointError(f"{folder}: the tokenizer has no chat template; expected the text encoder's own")


def _load_tokenizer(component: Component, model: Any) -> Any:
    """The tokenizer of a folder; CheckpointError for one that was not made for `model`."""
    from transformers import AutoTokenizer

    folder = Path(component.path)
    _check_tokenizer_files(folder)
    kind, token, _ = _CHATS[model.config.model_type]
    # transformers offers a corrected pattern for Mistral's words: the trainer's previews do without.
    options = {"fix_mistral_regex": False} if kind is MISTRAL3 else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
        if (template := folder / _PROCESSOR_TEMPLATE).is_file():  # goes ahead of others, as in a processor
            tokenizer.chat_template = json.loads(template.read_text(encoding="utf-8"))["chat_template"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder}: cannot be loaded as a tokenizer: {error!r}") from error
    lacks = {
        "has no padding token": tokenizer.pad_token is None,
        f"does not know {token}": token not in tokenizer.get_vocab(),
        f"has more tokens than the text encoder's {model.config.vocab_size}": len(tokenizer) > model.config.vocab_size,
    }
    check_tokenizer_lacks(folder, lacks, kind.title)
    return tokenizer

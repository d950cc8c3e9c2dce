"""The text encoders of a family: found, held against the transformer that was trained with them, checked, loaded.

Of families whose encoders are language models that take a prompt as a chat.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from darkroom.base_files.gguf.encoders import GgufKind, check_gguf_encoder
from darkroom.checkpoint import GGUF, Checkpoint, Component
from darkroom.errors import CheckpointError, ConfigError, DarkroomError
from darkroom.files.weight_file import read_header
from darkroom.render.families.chat import Chat, check_tokenizer_files, load_tokenizer
from darkroom.render.families.language_model import Description, Partner, Reading, build, describe
from darkroom.render.weights.base import DTYPES, TextEncoder
from darkroom.render.weights.quantization import quantizer
from darkroom.render.weights.reading import BaseWeights, shapes_of
from darkroom.render.weights.stored import stored_tensors
from darkroom.request.parts import PROMPT_EMBEDS, Encoder


@dataclass(frozen=True)
class TextEncoders:
    """Which text encoders a family has, by the transformer's text features, and how they read a prompt."""

    reading: Reading
    by_features: Mapping[int, Partner]  # the text features a token that a transformer reads
    chats: Mapping[str, Chat]  # by model type
    gguf: GgufKind
    text_features: Callable[[Component], int]  # of a transformer

    def check(self, checkpoint: Checkpoint) -> Iterator[DarkroomError]:
        """Every problem that headers and configs show: not the transformer's encoder, not whole, no tokenizer."""
        try:
            model, weights = self.build(checkpoint)
            weights.account(shapes_of(model))
        except DarkroomError as error:
            yield error
        try:
            check_tokenizer_files(Path(checkpoint["tokenizer"].path))
        except DarkroomError as error:
            yield error

    def check_embeds(self, checkpoint: Checkpoint, prompt_embeds: Iterable[str]) -> Iterator[DarkroomError]:
        """Encoded prompts, by the headers of their files, that are another model's than the transformer's."""
        expected = self.text_features(checkpoint["transformer"])
        for path in prompt_embeds:
            features = read_header(path).shapes[PROMPT_EMBEDS][-1]
            if features != expected:
                yield ConfigError(
                    f"{path}: the transformer of {checkpoint.name} expects {expected} features a token, got "
                    f"{features}: these embeddings are another model's"
                )

    def load(self, checkpoint: Checkpoint, encoder: Encoder, device: torch.device) -> TextEncoder:
        """The text encoder with its tokenizer, in this dtype and quantisation; CheckpointError if not whole."""
        dtype = DTYPES[encoder.dtype]
        model, weights = self.build(checkpoint)
        chat = self.chats[model.config.model_type]
        tokenizer = load_tokenizer(checkpoint["tokenizer"], chat, model.config.vocab_size)
        # The trainer's .to(dtype), which it does to a quantised one too, rounds the rotary frequencies, which
        # from_pretrained keeps in float32.
        model.rotary_emb.to(device=device, dtype=dtype if encoder.text_encoder_cast else torch.float32)
        weights.fill(model, dtype, device, finish=quantizer(model, encoder.quantize_text_encoder))
        return TextEncoder(model, tokenizer, encoder.max_sequence_length, dtype, device)

    def build(self, checkpoint: Checkpoint) -> tuple[Any, BaseWeights]:
        """The language model on the meta device, less what no hidden state depends on, and where its weights are."""
        component = checkpoint["text_encoder"]
        if component.layout == GGUF:
            check_gguf_encoder(Path(component.path), self.gguf, self.text_features(checkpoint["transformer"]))
        stored = stored_tensors(component)
        own_key = self.gguf.transformers_key if component.layout == GGUF else str
        found = self._describe(checkpoint, {own_key(key): tensor.shape for key, tensor in stored.items()})
        return build(component, stored, found, own_key)

    def _describe(self, checkpoint: Checkpoint, shapes: dict[str, tuple[int, ...]]) -> Description:
        """The text encoder found; CheckpointError unless it is the one that the transformer was trained with."""
        component, features = checkpoint["text_encoder"], self.text_features(checkpoint["transformer"])
        right = self.by_features.get(features)
        expected = f"{checkpoint.name} reads {features} text features a token, those of " + (
            f"{right.repo}: name that as checkpoint.text_encoder"
            if right
            else f"a text encoder of hidden size {features // self.reading.side_by_side}"
        )
        try:
            found = describe(component, shapes, self.reading)
        except CheckpointError as error:
            raise CheckpointError(f"{error}; {expected}") from error
        if found.text_features != features or (right and not self._is(found, right)):
            config = found.config
            raise CheckpointError(
                f"{component.path}: this text encoder is for another model: {found.kind.title} of hidden size "
                f"{config.hidden_size}, feed-forward size {config.intermediate_size}, {found.layers} layers; {expected}"
            )
        return found

    def _is(self, found: Description, right: Partner) -> bool:
        sizes = found.kind, found.config.hidden_size, found.config.intermediate_size
        as_deep = found.layers == right.layers or not self.reading.counts_from_the_end
        return as_deep and sizes == (right.kind, right.hidden, right.feed_forward)

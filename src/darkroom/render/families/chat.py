"""A prompt as the turns of a chat: the tokenizers of language models checked, loaded, and the tokens of one text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.checkpoint import Component
from darkroom.errors import CheckpointError
from darkroom.render.families.language_model import MISTRAL3, Kind
from darkroom.render.families.text_folder import check_tokenizer_lacks, read_tokenizer_file
from darkroom.render.weights.base import TextEncoder

_PROCESSOR_TEMPLATE = "chat_template.json"  # of repositories whose processor reads pictures too


@dataclass(frozen=True)
class Chat:
    """How a kind of language model is talked to."""

    kind: Kind
    token: str  # one of those that its chats have
    options: Mapping[str, Any]  # of the chat template
    system: str | None = None  # said before the prompt; then every turn is a list of parts

    def turns(self, text: str) -> list[dict[str, Any]]:
        """The conversation around a prompt, in the form that the chat templates of the kind take."""
        if self.system is None:
            return [{"role": "user", "content": text}]
        said = {"system": self.system, "user": text}
        return [{"role": role, "content": [{"type": "text", "text": part}]} for role, part in said.items()]


def tokens_of(text_encoder: TextEncoder, chat: Chat, text: str, **options: Any) -> Any:
    """The chat around a prompt as token ids; a template that writes the first token itself gets no second one."""
    tokenizer = text_encoder.tokenizer
    written = tokenizer.apply_chat_template(chat.turns(text), tokenize=False, **chat.options)
    begun = tokenizer.bos_token is not None and written.startswith(tokenizer.bos_token)
    return tokenizer(written, add_special_tokens=not begun, **options)


def padded_tokens_of(text_encoder: TextEncoder, chat: Chat, text: str) -> Any:
    """The same, cut or padded to the longest that is encoded: `input_ids` and `attention_mask`, (1, tokens) each."""
    return tokens_of(
        text_encoder,
        chat,
        text,
        return_tensors="pt",
        padding="max_length",
        truncation=True,
        max_length=text_encoder.max_sequence_length,
    )


def tokens_beyond(text_encoder: TextEncoder, chat: Chat, text: str) -> int:
    """How many tokens of the chat around a prompt are beyond max_sequence_length, and so without effect."""
    length = len(tokens_of(text_encoder, chat, text, verbose=False)["input_ids"])
    return max(0, length - text_encoder.max_sequence_length)


def check_tokenizer_files(folder: Path) -> None:
    """CheckpointError unless the files are there: without them, a tokenizer of one token would be loaded all the same.

    A chat template lies in one of three places.
    """
    template = folder / _PROCESSOR_TEMPLATE
    names = ("tokenizer.json", "tokenizer_config.json", *((template.name,) if template.is_file() else ()))
    told = any("chat_template" in values for values in [read_tokenizer_file(folder / name) for name in names])
    if not told and not (folder / "chat_template.jinja").is_file():
        raise CheckpointError(f"{folder}: the tokenizer has no chat template; expected the text encoder's own")


def load_tokenizer(component: Component, chat: Chat, vocabulary: int) -> Any:
    """The tokenizer of a folder; CheckpointError for one that was not made for a model of so many tokens."""
    from transformers import AutoTokenizer

    folder = Path(component.path)
    check_tokenizer_files(folder)
    # transformers offers a corrected pattern for Mistral's words: the trainer's previews do without.
    options = {"fix_mistral_regex": False} if chat.kind is MISTRAL3 else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
        if (template := folder / _PROCESSOR_TEMPLATE).is_file():  # goes ahead of others, as in a processor
            tokenizer.chat_template = json.loads(template.read_text(encoding="utf-8"))["chat_template"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder}: cannot be loaded as a tokenizer: {error!r}") from error
    lacks = {
        "has no padding token": tokenizer.pad_token is None,
        f"does not know {chat.token}": chat.token not in tokenizer.get_vocab(),
        f"has more tokens than the text encoder's {vocabulary}": len(tokenizer) > vocabulary,
    }
    check_tokenizer_lacks(folder, lacks, chat.kind.title)
    return tokenizer

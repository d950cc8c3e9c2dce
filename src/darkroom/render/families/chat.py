"""A prompt as the turns of a chat: the tokenizers of language models checked, loaded, and the tokens of one text."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.checkpoint import Component
from darkroom.errors import CheckpointError
from darkroom.render.families.known_tokens import KnownTokens
from darkroom.render.families.language_model import MISTRAL3, QWEN3, LanguageModel
from darkroom.render.families.text_folder import check_tokenizer_lacks, read_tokenizer_file
from darkroom.render.weights.base import TextEncoder

_PROCESSOR_TEMPLATE = "chat_template.json"  # of repositories whose processor reads pictures too
PROBE = "a cat on a skateboard"
_SHOWN = 80  # characters of a chat


@dataclass(frozen=True)
class Chat:
    """How a kind of language model is talked to."""

    kind: LanguageModel
    token: str  # one of those that its chats have
    options: Mapping[str, Any]  # of the chat template
    written: str  # what the template makes of a prompt, which stands in place of {}
    known: KnownTokens  # of such a chat
    system: str | None = None  # said before the prompt; then every turn is a list of parts
    pads: tuple[str, str] | None = None  # the padding, and the side that has it; None where that may be any

    def turns(self, text: str) -> list[dict[str, Any]]:
        """The conversation around a prompt, in the form that the chat templates of the kind take."""
        if self.system is None:
            return [{"role": "user", "content": text}]
        said = {"system": self.system, "user": text}
        return [{"role": role, "content": [{"type": "text", "text": part}]} for role, part in said.items()]


def qwen3_chat(*, thinks: bool) -> Chat:
    """Qwen3's, after which it would think, or has thought nothing."""
    thought, tokens = ("", ()) if thinks else ("<think>\n\n</think>\n\n", (151667, 271, 151668, 271))
    probe = (151644, 872, 198, 64, 8251, 389, 264, 97982, 151645, 198, 151644, 77091, 198)  # qwen.tiktoken
    return Chat(
        QWEN3,
        "<|im_start|>",
        {"add_generation_prompt": True, "enable_thinking": thinks},
        f"<|im_start|>user\n{{}}<|im_end|>\n<|im_start|>assistant\n{thought}",
        KnownTokens(151936, PROBE, (*probe, *tokens)),
        pads=("<|endoftext|>", "right"),
    )


def tokens_of(tokenizer: Any, chat: Chat, text: str, **options: Any) -> Any:
    """The chat around a prompt as token ids; a template that writes the first token itself gets no second one."""
    written = _written(tokenizer, chat, text)
    begun = tokenizer.bos_token is not None and written.startswith(tokenizer.bos_token)
    return tokenizer(written, add_special_tokens=not begun, **options)


def padded_tokens_of(text_encoder: TextEncoder, chat: Chat, text: str) -> Any:
    """The same, cut or padded to the longest that is encoded: `input_ids` and `attention_mask`, (1, tokens) each."""
    return tokens_of(
        text_encoder.tokenizer,
        chat,
        text,
        return_tensors="pt",
        padding="max_length",
        truncation=True,
        max_length=text_encoder.max_sequence_length,
    )


def tokens_beyond(text_encoder: TextEncoder, chat: Chat, text: str) -> int:
    """How many tokens of the chat around a prompt are beyond max_sequence_length, and so without effect."""
    length = len(tokens_of(text_encoder.tokenizer, chat, text, verbose=False)["input_ids"])
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
    pads = (tokenizer.pad_token, tokenizer.padding_side)
    lacks = {
        "has no padding token": tokenizer.pad_token is None,
        f"pads with {pads[0]} on the {pads[1]}": None not in (chat.pads, pads[0]) and pads != chat.pads,
        "cuts long texts on the left": tokenizer.truncation_side == "left",
        f"does not know {chat.token}": chat.token not in tokenizer.get_vocab(),
        f"has more tokens than the text encoder's {vocabulary}": len(tokenizer) > vocabulary,
    }
    check_tokenizer_lacks(folder, lacks, chat.kind.title)
    check_tokenizer_lacks(folder, _said_otherwise(tokenizer, chat, vocabulary, folder), chat.kind.title)
    return tokenizer


def _said_otherwise(tokenizer: Any, chat: Chat, vocabulary: int, folder: Path) -> dict[str, bool]:
    """What another model's chat template, or its tokens, would show by; CheckpointError where it takes no such chat."""
    from jinja2 import TemplateError

    text = chat.known.text
    try:
        written = _written(tokenizer, chat, text).removeprefix(tokenizer.bos_token or "")
        ids = tokens_of(tokenizer, chat, text)["input_ids"]
    except (TemplateError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{folder}: the chat template takes no chat of {chat.kind.title}: {error}; expected the text encoder's own"
        ) from error
    expected = chat.written.replace("{}", text)
    return {
        _differs(written, expected): written != expected,
        chat.known.told(ids): chat.known.are_others(vocabulary, ids),
    }


def _written(tokenizer: Any, chat: Chat, text: str) -> str:
    return str(tokenizer.apply_chat_template(chat.turns(text), tokenize=False, **chat.options))


def _differs(written: str, expected: str) -> str:
    """What two chats have from a little before where they part."""
    parts = (at for at, (one, other) in enumerate(zip(written, expected, strict=False)) if one != other)
    start = max(0, next(parts, min(len(written), len(expected))) - _SHOWN // 4)
    made, wanted = (repr(text[start : start + _SHOWN]) for text in (written, expected))
    return f"has a chat template that writes {made} where the trainer's writes {wanted}"

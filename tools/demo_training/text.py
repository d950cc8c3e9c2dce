"""The demo's tokenizer, trained on captions, and prompts as the text encoder sees them. Trains no weights.

A byte-level BPE as Qwen's, with Qwen3's special tokens and chat template.
"""

import json
import random
from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import BatchEncoding, Qwen2Tokenizer

from demo_training.captions import caption, instruction
from demo_training.scenes import draw_scene, edited
from demo_training.stage import seed_of

MAX_TOKENS = 40  # of a prompt with its chat around it
VOCABULARY = 640  # bytes, pieces of words and special tokens
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")  # the first one pads
THINK_TOKENS = ("<think>", "</think>")
_QWEN_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# What Qwen3's own template makes of plain turns; enable_thinking=False asks for an empty thought.
CHAT_TEMPLATE = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""


def train_tokenizer() -> Qwen2Tokenizer:
    """The same tokenizer each time: its corpus is drawn from a fixed seed."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_QWEN_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(False, use_regex=False),
        ]
    )
    room = VOCABULARY - len(SPECIAL_TOKENS) - len(THINK_TOKENS)
    trainer = trainers.BpeTrainer(
        vocab_size=room,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    learner.train_from_iterator(_corpus(), trainer)
    merges = _merges(learner)
    vocabulary = dict(learner.get_vocab()) | {token: room + index for index, token in enumerate(SPECIAL_TOKENS)}
    tokenizer = Qwen2Tokenizer(
        vocab=vocabulary,
        merges=merges,
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
        model_max_length=131072,
    )
    tokenizer.add_tokens(list(THINK_TOKENS))
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def tokens(tokenizer: Qwen2Tokenizer, prompts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, both (prompts, MAX_TOKENS), of the chats around prompts."""
    chats = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,
        )
        for prompt in prompts
    ]
    found: BatchEncoding = tokenizer(
        chats,
        return_tensors="pt",
        padding="max_length",
        truncation=True,
        max_length=MAX_TOKENS,
    )
    return found["input_ids"], found["attention_mask"]


def _corpus() -> list[str]:
    rng = random.Random(seed_of("tokenizer", 0))
    texts = ["user\nassistant\n\n\n"] * 500
    for _ in range(8000):
        scene = draw_scene(rng)
        texts += [caption(rng, scene), instruction(rng, *edited(rng, scene))]
    return texts


def _merges(learner: Tokenizer) -> list[tuple[str, str]]:
    return [tuple(pair) for pair in json.loads(learner.to_str())["model"]["merges"]]

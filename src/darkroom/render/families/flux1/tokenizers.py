"""The tokenizers of FLUX.1's two text encoders: found whole, loaded, and made for their encoder. Encodes nothing."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.checkpoint import Component
from darkroom.errors import CheckpointError
from darkroom.render.families.flux1.encoder_layout import CLIP, T5, EncoderLayout
from darkroom.render.families.known_tokens import KnownTokens
from darkroom.render.families.text_folder import check_tokenizer_lacks, read_tokenizer_file


@dataclass(frozen=True)
class Tokenizers:
    """One for each encoder."""

    clip: Any
    t5: Any


@dataclass(frozen=True)
class _Needs:
    """What a tokenizer has to be for one kind of text encoder."""

    part: str  # of a checkpoint
    tokenizer_class: str  # of transformers
    files: tuple[tuple[str, ...], ...]  # one of these sets; without any, transformers builds a tokenizer of few tokens
    algorithm: str  # model.type in tokenizer.json
    token: str  # ends a text
    known: KnownTokens


_NEEDS = {
    CLIP.title: _Needs(
        "tokenizer",
        "CLIPTokenizer",
        (("tokenizer.json",), ("vocab.json", "merges.txt")),
        "BPE",
        "<|endoftext|>",
        KnownTokens(49408, "a photo of a cat", (49406, 320, 1125, 539, 320, 2368, 49407)),
    ),
    # spiece.model is the same once more, for a library that Darkroom does without.
    T5.title: _Needs(
        "tokenizer_2",
        "T5TokenizerFast",
        (("tokenizer.json",),),
        "Unigram",
        "</s>",
        KnownTokens(32128, "The house is wonderful.", (37, 629, 19, 1627, 5, 1)),
    ),
}


def part_of(kind: EncoderLayout) -> str:
    """Which part of a checkpoint holds the tokenizer of an encoder."""
    return _NEEDS[kind.title].part


def check_tokenizer(component: Component, kind: EncoderLayout) -> None:
    """CheckpointError unless the folder holds the files of a tokenizer of this kind."""
    folder, needs = Path(component.path), _NEEDS[kind.title]
    sets = " or ".join(" and ".join(names) for names in needs.files)
    if not any(all((folder / name).is_file() for name in names) for names in needs.files):
        raise CheckpointError(f"{folder}: lacks {sets}: expected the tokenizer of {kind.title} as {needs.part}")
    read_tokenizer_file(folder / "tokenizer_config.json")
    whole = folder / "tokenizer.json"
    model = read_tokenizer_file(whole).get("model") if whole.is_file() else None
    algorithm = model.get("type") if isinstance(model, dict) else None
    if whole.is_file() and algorithm != needs.algorithm:
        raise CheckpointError(
            f"{whole}: model.type: expected {needs.algorithm}, got {algorithm}: not a tokenizer of {kind.title}; "
            "checkpoint.tokenizer is CLIP's, checkpoint.tokenizer_2 T5's"
        )


def load_tokenizer(component: Component, kind: EncoderLayout, config: Any) -> Any:
    """The tokenizer of a folder; CheckpointError for one that was not made for the encoder with this config."""
    import transformers

    check_tokenizer(component, kind)
    folder, needs = Path(component.path), _NEEDS[kind.title]
    tokenizer_class = getattr(transformers, needs.tokenizer_class)
    try:
        tokenizer = tokenizer_class.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder}: cannot be loaded as the tokenizer of {kind.title}: {error!r}") from error
    ids = tokenizer(needs.known.text)["input_ids"]
    longest = getattr(config, "max_position_embeddings", None)
    lacks = {
        "has no padding token": tokenizer.pad_token is None,
        f"does not end a text with {needs.token}": tokenizer.eos_token != needs.token,
        f"has more tokens than the text encoder's {config.vocab_size}": len(tokenizer) > config.vocab_size,
        f"cuts at {tokenizer.model_max_length} tokens, not at the text encoder's {longest}": (
            longest is not None and tokenizer.model_max_length != longest
        ),
        needs.known.told(ids): needs.known.are_others(config.vocab_size, ids),
    }
    check_tokenizer_lacks(folder, lacks, kind.title)
    return tokenizer

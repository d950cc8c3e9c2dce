"""Text encoders in .gguf files: how llama.cpp names what transformers names otherwise, and which file fits a model.

Told by headers alone, before anything is rendered and while rendering. Names against gguf-py's constants.py
(MODEL_TENSORS of QWEN3 and T5ENCODER) and ComfyUI-GGUF's loader.py; for both kinds llama.cpp's converter renames and
changes no values, as it does with the rows of q and k for llama and mistral.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from darkroom.base_files.encoder_sizes import FLUX2_ENCODERS, T5_ENCODERS, Z_IMAGE_ENCODERS, EncoderSizes
from darkroom.base_files.gguf.header import GgufHeader, read_gguf_header, unread_kinds
from darkroom.display import named
from darkroom.errors import CheckpointError, WeightFileError

_LISTED = 4  # tensors in a message


@dataclass(frozen=True)
class GgufKind:
    """A kind of text encoder: llama.cpp's names of its modules → transformers', and what is read of it."""

    title: str
    architectures: tuple[str, ...]  # general.architecture
    blocks: tuple[str, str]  # the list of blocks
    inside: Mapping[str, str]  # modules that each block has
    first: Mapping[str, str]  # that the first block alone has
    beside: Mapping[str, str]  # in no block, read
    beside_unread: Mapping[str, str]  # in no block, and no embedding depends on them
    depth: int | None  # blocks that these depend on; None for all that there are
    constants: Mapping[str, float]  # metadata below the architecture's name that shapes do not show
    sizes: EncoderSizes
    not_for: Mapping[int, str]  # features that a transformer reads → what it needs in place of any file of this kind

    def transformers_key(self, key: str) -> str:
        """The key that transformers has for a tensor; of a tensor that no such model has, its own."""
        module, _, leaf = key.rpartition(".")
        block = re.fullmatch(rf"{re.escape(self.blocks[0])}\.(\d+)\.(.+)", module)
        if block:
            inside = {**self.inside, **self.first}.get(block[2])
            return f"{self.blocks[1]}.{block[1]}.{inside}.{leaf}" if inside else key
        own = {**self.beside, **self.beside_unread}.get(module)
        return f"{own}.{leaf}" if own else re.sub(r"^dec\.", "decoder.", key)

    def lacking(self, keys: Mapping[str, object]) -> list[str]:
        """The tensors that are read and not there."""
        found = {int(match[1]) for key in keys if (match := re.match(rf"{re.escape(self.blocks[0])}\.(\d+)\.", key))}
        depth = self.depth or 1 + max(found, default=0)
        needed = [f"{module}.weight" for module in self.beside]
        for index in range(depth):
            modules = [*self.inside, *(self.first if index == 0 else ())]
            needed += [f"{self.blocks[0]}.{index}.{module}.weight" for module in modules]
        return [key for key in needed if key not in keys]


QWEN3_GGUF = GgufKind(
    title="Qwen3",
    architectures=("qwen3",),
    blocks=("blk", "model.layers"),
    inside={
        "attn_norm": "input_layernorm",
        "attn_q": "self_attn.q_proj",
        "attn_k": "self_attn.k_proj",
        "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj",
        "attn_q_norm": "self_attn.q_norm",
        "attn_k_norm": "self_attn.k_norm",
        "ffn_norm": "post_attention_layernorm",
        "ffn_gate": "mlp.gate_proj",
        "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj",
    },
    first={},
    beside={"token_embd": "model.embed_tokens"},
    beside_unread={"output_norm": "model.norm", "output": "lm_head"},
    depth=27,
    constants={"rope.freq_base": 1e6, "attention.layer_norm_rms_epsilon": 1e-6},
    sizes=FLUX2_ENCODERS,
    not_for={
        15360: "FLUX.2-dev reads Mistral-Small-3.1-24B-Instruct-2503, whose GGUF is not read: name its repository or a "
        "single .safetensors file"
    },
)
Z_IMAGE_GGUF = replace(QWEN3_GGUF, depth=35, sizes=Z_IMAGE_ENCODERS, not_for={})  # all layers but the last
T5_GGUF = GgufKind(
    title="T5",
    architectures=("t5encoder", "t5"),
    blocks=("enc.blk", "encoder.block"),
    inside={
        "attn_norm": "layer.0.layer_norm",
        "attn_q": "layer.0.SelfAttention.q",
        "attn_k": "layer.0.SelfAttention.k",
        "attn_v": "layer.0.SelfAttention.v",
        "attn_o": "layer.0.SelfAttention.o",
        "ffn_norm": "layer.1.layer_norm",
        "ffn_gate": "layer.1.DenseReluDense.wi_0",
        "ffn_up": "layer.1.DenseReluDense.wi_1",
        "ffn_down": "layer.1.DenseReluDense.wo",
    },
    first={"attn_rel_b": "layer.0.SelfAttention.relative_attention_bias"},
    beside={"token_embd": "shared", "enc.output_norm": "encoder.final_layer_norm"},
    beside_unread={"output": "lm_head"},
    depth=None,
    constants={"attention.layer_norm_rms_epsilon": 1e-6},
    sizes=T5_ENCODERS,
    not_for={},
)


def check_gguf_encoder(path: Path, kind: GgufKind | None, features: int | None) -> None:
    """CheckpointError unless a file holds a whole encoder of this kind, and the one that gives so many features.

    `kind`: None where no kind is read as GGUF; `features`: a token, that the transformer reads; None if not known.
    """
    try:
        header = read_gguf_header(path)
    except WeightFileError as error:
        raise CheckpointError(str(error)) from error
    if kind is None:
        raise CheckpointError(
            f"{path}: GGUF is read for the transformer, Qwen3 and T5, not for this text encoder; name a folder or a "
            ".safetensors file"
        )
    if faults := [*_faults(header, kind, features), *_unread(header)]:
        raise CheckpointError(f"{path}: {'; '.join(faults)}")


def _faults(header: GgufHeader, kind: GgufKind, features: int | None) -> Iterator[str]:
    shapes = {tensor.name: tensor.shape for tensor in header.tensors}
    if features is not None and features in kind.not_for:
        yield kind.not_for[features]
        return
    if header.architecture not in kind.architectures:
        wanted = f"; {kind.sizes.wanted(features)}" if features is not None else ""
        yield f"expected a text encoder of architecture {' or '.join(kind.architectures)}, got {_what(header)}{wanted}"
        return
    if misfit := kind.sizes.misfit(shapes, features):
        yield misfit
    for key, expected_number in kind.constants.items():
        found = header.metadata.get(f"{header.architecture}.{key}", expected_number)
        if not isinstance(found, float) or abs(found - expected_number) > 1e-5 * expected_number:
            yield f"{header.architecture}.{key}: expected {expected_number:g}, got {found}: is another {kind.title}"
    if "enc.blk.1.attn_rel_b.weight" in shapes:
        yield "is a UMT5, in which every block has a bias of its own"
    elif lacking := kind.lacking(shapes):
        yield f"lacks {named(lacking, _LISTED)}; is its download complete?"


def _unread(header: GgufHeader) -> Iterator[str]:
    if kinds := unread_kinds(header):
        yield f"holds tensors of type {named(kinds)}, which cannot be read; use Q8_0"


def _what(header: GgufHeader) -> str:
    if header.architecture == "clip" or header.metadata.get("general.type") == "mmproj":
        return "the part of a model that sees pictures (mmproj)"
    return header.architecture or "a file that names none"

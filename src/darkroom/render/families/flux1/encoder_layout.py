"""FLUX.1's text encoders as data, CLIP-L and T5-XXL: how their files name tensors, what of them is read, their sizes.

Knows names, shapes and config.json only; reads no weights, knows no tokens. Sources: the config.json of FLUX.1-dev's
`text_encoder` and `text_encoder_2`, transformers' models/clip and models/t5, ComfyUI's clip_l and t5xxl files.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.base_files.gguf.encoders import T5_GGUF, GgufKind
from darkroom.base_files.kinds import kind_of
from darkroom.checkpoint import DIFFUSERS, Component
from darkroom.errors import CheckpointError
from darkroom.render.families.text_folder import built_config, read_encoder_config
from darkroom.render.weights.reading import Part, read_config

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class EncoderLayout:
    """What distinguishes the two encoders: where their tensors lie, by which names, and who reads them."""

    title: str
    part: str  # of a checkpoint
    reads: str  # where a transformer's config.json says how many features it takes from it
    model_types: tuple[str, ...]  # in config.json
    config_class: str  # of transformers
    known: Mapping[int, str]  # hidden size → the model that has it
    names: Mapping[str, str]  # how files begin their keys → how transformers' module does; the first that fits counts
    first: str  # a parameter of every encoder of this kind
    not_read: re.Pattern[str]  # what of a file encodes no prompt
    gguf: GgufKind | None = None  # how .gguf files name its tensors; None if none is read

    def parameter(self, key: str) -> str | None:
        """The parameter that a stored key is, None for a key of something else."""
        for stored, own in self.names.items():
            if key.startswith(stored):
                return own + key.removeprefix(stored)
        return None

    def layout(self, key: str) -> tuple[Part, ...]:
        """Stored key → the parameter in it, as weights/reading.py asks for it."""
        name = self.parameter(key)
        return () if name is None else (Part(name),)


CLIP = EncoderLayout(
    title="CLIP",
    part="text_encoder",
    reads="pooled_projection_dim",
    model_types=("clip_text_model", "clip"),
    config_class="CLIPTextConfig",
    known={512: "CLIP ViT-B", 768: "CLIP-L", 1024: "OpenCLIP ViT-H", 1280: "OpenCLIP ViT-bigG"},
    names={"text_model.": "", **{name: name for name in ("embeddings.", "encoder.", "final_layer_norm.")}},
    first="embeddings.token_embedding.weight",
    # Positions are counted, not stored; then what a whole CLIP has beside its text encoder.
    not_read=re.compile(
        r"(text_model\.)?embeddings\.position_ids|text_projection\.weight|logit_scale"
        r"|vision_model\..+|visual_projection\.weight"
    ),
)
T5 = EncoderLayout(
    title="T5",
    part="text_encoder_2",
    reads="joint_attention_dim",
    model_types=("t5",),
    config_class="T5Config",
    known={512: "T5-small", 768: "T5-base", 1024: "T5-large", 2048: "T5-XL", 4096: "T5-XXL"},
    # Tokens have one embedding, which some files hold under both of its names.
    names={"shared.": "embed_tokens.", "encoder.": ""},
    first="embed_tokens.weight",
    not_read=re.compile(r"decoder\..+|lm_head\.weight|spiece_model"),  # a whole T5; ComfyUI's copy of the tokenizer
    gguf=T5_GGUF,
)
ENCODERS = (CLIP, T5)


def features_read(transformer: Component, kind: EncoderLayout) -> int:
    """How many features a transformer takes from an encoder: FLUX.1's 768 from CLIP, 4096 from T5."""
    size = read_config(transformer, "FluxTransformer2DModel").get(kind.reads)
    if not isinstance(size, int):
        raise CheckpointError(f"{transformer.path}/config.json: {kind.reads}: expected a number, got {size}")
    return size


def describe(component: Component, kind: EncoderLayout, shapes: Shapes) -> "PretrainedConfig":
    """The config of an encoder, from config.json in a folder and from the shapes alone in a single file.

    CheckpointError for another kind of model.
    """
    if component.layout == DIFFUSERS:
        return _from_folder(Path(component.path), kind)
    own = {name: shape for key, shape in shapes.items() if (name := kind.parameter(key))}
    if kind.first not in own or _is_umt5(own):
        found = kind_of(shapes) if not _is_umt5(own) else "a UMT5"
        got = found or (f"a file that begins with {min(shapes)}" if shapes else "a file without tensors")
        raise CheckpointError(f"{component.path}: expected a {kind.title} text encoder, got {got}")
    return _from_shapes(component.path, kind, own)


def _is_umt5(own: Shapes) -> bool:
    """True for its multilingual sibling, in which every block has a bias of its own."""
    return "block.1.layer.0.SelfAttention.relative_attention_bias.weight" in own


def _from_folder(folder: Path, kind: EncoderLayout) -> "PretrainedConfig":
    import transformers

    model_type, _ = read_encoder_config(folder, kind.model_types)
    config_class = getattr(transformers, kind.config_class)

    def build() -> "PretrainedConfig":
        config: PretrainedConfig = config_class.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        return config

    return built_config(folder, model_type, build)


def _from_shapes(path: str, kind: EncoderLayout, own: Shapes) -> "PretrainedConfig":
    import transformers

    def size(name: str, dimension: int = 0) -> int:
        if len(own.get(name, ())) <= dimension:
            raise CheckpointError(f"{path}: lacks {name}: expected a whole {kind.title} text encoder")
        return own[name][dimension]

    values = (_clip_values if kind is CLIP else _t5_values)(own, size)
    if not all(value for value in values.values() if isinstance(value, int)):
        raise CheckpointError(f"{path}: expected a whole {kind.title} text encoder, got {values} by its shapes")
    config: PretrainedConfig = getattr(transformers, kind.config_class)(**values)
    return config


def _clip_values(own: Shapes, size: Callable[..., int]) -> dict[str, Any]:
    hidden = size(CLIP.first, 1)
    return {
        "vocab_size": size(CLIP.first),
        "hidden_size": hidden,
        "intermediate_size": size("encoder.layers.0.mlp.fc1.weight"),
        "max_position_embeddings": size("embeddings.position_embedding.weight"),
        "num_hidden_layers": _count(own, r"encoder\.layers\.(\d+)\..+"),
        "num_attention_heads": hidden // 64,
        "eos_token_id": 2,  # pools the token with the highest number, as FLUX.1-dev's config does
        "projection_dim": hidden,
    }


def _t5_values(own: Shapes, size: Callable[..., int]) -> dict[str, Any]:
    attention, gated = "block.0.layer.0.SelfAttention", "block.0.layer.1.DenseReluDense.wi_0.weight"
    heads = size(f"{attention}.relative_attention_bias.weight", 1)
    return {
        "vocab_size": size(T5.first),
        "d_model": size(T5.first, 1),
        "d_kv": size(f"{attention}.q.weight") // max(heads, 1),
        "d_ff": size(gated),
        "num_layers": _count(own, r"block\.(\d+)\..+"),
        "num_heads": heads,
        "relative_attention_num_buckets": size(f"{attention}.relative_attention_bias.weight"),
        "feed_forward_proj": "gated-gelu",
    }


def _count(own: Shapes, layer: str) -> int:
    return 1 + max((int(match[1]) for name in own if (match := re.fullmatch(layer, name))), default=-1)

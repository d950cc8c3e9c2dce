"""FLUX.2's text encoders as data: which there are, how their files name tensors, what of them is read, their sizes.

Knows names, shapes and config.json only; reads no weights, knows no tokens. Sources: diffusers' pipelines/flux2 (hidden
states), the config.json of the repositories named here, ComfyUI's text_encoders/llama.py (its single files).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom.checkpoint import DIFFUSERS, Component
from darkroom.errors import CheckpointError
from darkroom.render.families.text_folder import built_config, read_encoder_config
from darkroom.render.weights.reading import Layout, Part

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Kind:
    """An architecture of text encoder; `layers`: the hidden states that FLUX.2 reads, 0 being the embedded tokens."""

    title: str
    layers: tuple[int, ...]
    constants: Mapping[str, Any]  # of the config, what the shapes in a single file do not show

    @property
    def depth(self) -> int:
        """Decoder layers that the last hidden state read depends on; those above are never loaded."""
        return max(self.layers)


QWEN3 = Kind("Qwen3", (9, 18, 27), {"rope_theta": 1e6, "rms_norm_eps": 1e-6})
MISTRAL3 = Kind(
    "Mistral 3", (10, 20, 30), {"rope_theta": 1e9, "rms_norm_eps": 1e-5, "head_dim": 128, "sliding_window": None}
)
_KIND_OF_MODEL_TYPE = {"qwen3": QWEN3, "mistral3": MISTRAL3, "mistral": MISTRAL3}


@dataclass(frozen=True)
class Partner:
    """The text encoder that a FLUX.2 transformer was trained with."""

    repo: str
    kind: Kind
    hidden: int
    feed_forward: int


PARTNERS = {  # by the text features of the transformer, 3 hidden states side by side
    7680: Partner("Qwen/Qwen3-4B", QWEN3, 2560, 9728),
    12288: Partner("Qwen/Qwen3-8B", QWEN3, 4096, 12288),
    15360: Partner("mistralai/Mistral-Small-3.1-24B-Instruct-2503", MISTRAL3, 5120, 32768),
}

# Of a language model, in the order tried: repositories of Mistral 3, transformers 5's own naming of it, text-only
# models and ComfyUI's single files, a model saved without its output layer.
_PREFIXES = ("language_model.model.", "model.language_model.", "model.", "")
# What of a file encodes no text: the output layer, the image part of Mistral 3, the tokenizer in ComfyUI's files.
_NOT_READ = re.compile(
    r"(language_model\.)?lm_head\..+|(model\.)?(vision_tower|multi_modal_projector)\..+|tekken_model"
)
_LAYER = re.compile(r"layers\.(\d+)\..+")


@dataclass(frozen=True)
class Description:
    """What a component's files hold: the kind, where the language model's names begin, its config cut to `kind.depth`.

    `config` is that of transformers' Qwen3Model or MistralModel.
    """

    kind: Kind
    prefix: str
    config: "PretrainedConfig"

    @property
    def text_features(self) -> int:
        """Features a token, as the transformer gets them."""
        return len(self.kind.layers) * int(self.config.hidden_size)

    def is_read(self, key: str) -> bool:
        """False for tensors that may stay unread; any other has to find its place."""
        if _NOT_READ.fullmatch(key):
            return False
        if not key.startswith(self.prefix):
            return True
        inside = key.removeprefix(self.prefix)
        layer = _LAYER.fullmatch(inside)
        return int(layer[1]) < self.kind.depth if layer else inside != "norm.weight"

    @property
    def layout(self) -> Layout:
        """Stored key → the parameter of the language model in it."""

        def parts(key: str) -> tuple[Part, ...]:
            return (Part(key.removeprefix(self.prefix)),) if key.startswith(self.prefix) else ()

        return parts


def describe(component: Component, shapes: Shapes) -> Description:
    """What the files of a text encoder hold, by config.json in a folder and by their shapes alone in a single file.

    CheckpointError for anything but a Qwen3 or Mistral 3 that is deep enough.
    """
    prefix = next((prefix for prefix in _PREFIXES if f"{prefix}embed_tokens.weight" in shapes), None)
    if component.layout == DIFFUSERS:
        kind, config = _from_folder(Path(component.path))
    else:
        kind, config = _from_shapes(shapes, prefix, component.path)
    if prefix is None:
        raise CheckpointError(
            f"{component.path}: lacks embed_tokens.weight: expected a whole {kind.title} language model"
        )
    inside = [key.removeprefix(prefix) for key in shapes if key.startswith(prefix)]
    found = 1 + max((int(match[1]) for key in inside if (match := _LAYER.fullmatch(key))), default=-1)
    if found < kind.depth:
        raise CheckpointError(
            f"{component.path}: expected at least {kind.depth} layers of {kind.title}, got {found}: "
            f"FLUX.2 reads its hidden states {', '.join(map(str, kind.layers))}"
        )
    return Description(kind, prefix, _cut(config, kind.depth))


def _from_folder(folder: Path) -> tuple[Kind, "PretrainedConfig"]:
    from transformers import Mistral3Config, MistralConfig, Qwen3Config

    model_type, values = read_encoder_config(folder, _KIND_OF_MODEL_TYPE)
    of_type = {"qwen3": Qwen3Config, "mistral3": Mistral3Config, "mistral": MistralConfig}[model_type]
    config = built_config(folder, model_type, lambda: of_type.from_dict(values))
    return _KIND_OF_MODEL_TYPE[model_type], config.get_text_config()


def _from_shapes(shapes: Shapes, prefix: str | None, path: str) -> tuple[Kind, "PretrainedConfig"]:
    from transformers import MistralConfig, Qwen3Config

    first = f"{prefix}layers.0."
    if prefix is None or f"{first}self_attn.q_proj.weight" not in shapes or f"{first}self_attn.q_proj.bias" in shapes:
        raise CheckpointError(f"{path}: expected a Qwen3 or Mistral 3 text encoder, got {_guess(shapes)}")

    def size(key: str) -> int:
        if not shapes.get(key):
            raise CheckpointError(f"{path}: lacks {key}: expected a whole text encoder")
        return shapes[key][0]

    norm = f"{first}self_attn.q_norm.weight"  # Qwen3 alone normalises queries and keys by head
    kind = QWEN3 if norm in shapes else MISTRAL3
    head = size(norm) if kind is QWEN3 else int(kind.constants["head_dim"])
    sizes = {
        "vocab_size": size(f"{prefix}embed_tokens.weight"),
        "hidden_size": size(f"{first}input_layernorm.weight"),
        "intermediate_size": size(f"{first}mlp.gate_proj.weight"),
        "num_attention_heads": size(f"{first}self_attn.q_proj.weight") // head,
        "num_key_value_heads": size(f"{first}self_attn.k_proj.weight") // head,
        "head_dim": head,
        "num_hidden_layers": kind.depth,
    }
    if not all(sizes.values()):
        raise CheckpointError(f"{path}: expected heads of {head} rows each, got {sizes} by its shapes")
    config_class = Qwen3Config if kind is QWEN3 else MistralConfig
    return kind, config_class(**{**sizes, **kind.constants})


def _guess(shapes: Shapes) -> str:
    """What a file without the tensors of a Qwen3 or Mistral 3 most likely is."""
    known = (
        (r"(text_encoders\..+\.)?encoder\.block\.\d+\..+", "a T5"),
        (r"(.+\.)?text_model\.encoder\.layers\.\d+\..+", "a CLIP"),
        (r"(.+\.)?layers\.0\.self_attn\.q_proj\.bias", "a Qwen2"),
        (r"(.+\.)?(double|single|transformer)_blocks\.\d+\..+", "a transformer"),
        (r"(en|de)coder\..+|(first_stage_model|vae)\..+", "a VAE"),
        (r"layers\.\d+\.attention\.w[qkvo]\.weight", "a Mistral in its makers' naming (take the model-*.safetensors)"),
    )
    for pattern, name in known:
        if any(re.fullmatch(pattern, key) for key in shapes):
            return name
    return f"a file that begins with {min(shapes)}" if shapes else "a file without tensors"


def _cut(config: "PretrainedConfig", depth: int) -> "PretrainedConfig":
    config.num_hidden_layers = depth
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:depth]
    return config

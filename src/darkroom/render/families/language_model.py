"""Language models as text encoders: which are read, how their files name tensors, what of them is read, their sizes.

A family says which hidden states it reads (`Reading`); what no hidden state depends on is never loaded. Built by
transformers' own modules. Sources: the config.json of the repositories, ComfyUI's text_encoders/llama.py (its single
files).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from darkroom.base_files.kinds import kind_of
from darkroom.checkpoint import DIFFUSERS, Component
from darkroom.errors import CheckpointError
from darkroom.render.families.text_folder import built_config, read_encoder_config
from darkroom.render.weights.reading import BaseWeights, Layout, Part
from darkroom.render.weights.stored import Stored

if TYPE_CHECKING:
    from transformers import PretrainedConfig

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class LanguageModel:
    """An architecture of language model."""

    title: str
    config_class: str  # of transformers
    constants: Mapping[str, Any]  # of the config, what the shapes in a single file do not show


QWEN3 = LanguageModel("Qwen3", "Qwen3Config", {"rope_theta": 1e6, "rms_norm_eps": 1e-6})
MISTRAL3 = LanguageModel(
    "Mistral 3", "MistralConfig", {"rope_theta": 1e9, "rms_norm_eps": 1e-5, "head_dim": 128, "sliding_window": None}
)
_BY_MODEL_TYPE = {"qwen3": QWEN3, "mistral3": MISTRAL3, "mistral": MISTRAL3}


@dataclass(frozen=True)
class Reading:
    """What a family reads: hidden states side by side; 0 is the embedded tokens, -1 what all layers give."""

    title: str  # of the family, in messages
    states: Mapping[str, tuple[int, ...]]  # by the title of a language model

    @property
    def side_by_side(self) -> int:
        """How many hidden states, of every language model as many."""
        return len(next(iter(self.states.values())))

    @property
    def counts_from_the_end(self) -> bool:
        """Whether which states these are depends on how deep the whole model is."""
        return any(state < 0 for states in self.states.values() for state in states)


@dataclass(frozen=True)
class Partner:
    """The text encoder that a transformer was trained with."""

    repo: str
    kind: LanguageModel
    hidden: int
    feed_forward: int
    layers: int


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
    """What a component's files hold: the kind, where the language model's names begin, its config.

    `config` is that of transformers' Qwen3Model or MistralModel, of the layers that `states` depend on; the files have
    `layers` of them.
    """

    kind: LanguageModel
    prefix: str
    config: "PretrainedConfig"
    states: tuple[int, ...]  # the hidden states that are read, counted from the embedded tokens
    layers: int

    @property
    def text_features(self) -> int:
        """Features a token, as the transformer gets them."""
        return len(self.states) * int(self.config.hidden_size)

    def is_read(self, key: str) -> bool:
        """False for tensors that may stay unread; any other has to find its place."""
        if _NOT_READ.fullmatch(key):
            return False
        if not key.startswith(self.prefix):
            return True
        inside = key.removeprefix(self.prefix)
        layer = _LAYER.fullmatch(inside)
        return int(layer[1]) < max(self.states) if layer else inside != "norm.weight"

    @property
    def layout(self) -> Layout:
        """Stored key → the parameter of the language model in it."""

        def parts(key: str) -> tuple[Part, ...]:
            return (Part(key.removeprefix(self.prefix)),) if key.startswith(self.prefix) else ()

        return parts


def describe(component: Component, shapes: Shapes, reading: Reading) -> Description:
    """What the files of a text encoder hold, by config.json in a folder and by their shapes alone in a single file.

    CheckpointError for anything but a language model of a kind that is read, and deep enough.
    """
    prefix = next((prefix for prefix in _PREFIXES if f"{prefix}embed_tokens.weight" in shapes), None)
    inside = [key.removeprefix(prefix) for key in shapes if key.startswith(prefix)] if prefix is not None else []
    found = 1 + max((int(match[1]) for key in inside if (match := _LAYER.fullmatch(key))), default=-1)
    if component.layout == DIFFUSERS:
        kind, config = _from_folder(Path(component.path), reading)
    else:
        kind, config = _from_shapes(shapes, prefix, found, component.path, reading)
    if prefix is None:
        raise CheckpointError(
            f"{component.path}: lacks embed_tokens.weight: expected a whole {kind.title} language model"
        )
    whole: int = config.num_hidden_layers
    states = tuple(state if state >= 0 else whole + 1 + state for state in reading.states[kind.title])
    if found < max(states):
        raise CheckpointError(
            f"{component.path}: expected at least {max(states)} layers of {kind.title}, got {found}: "
            f"{reading.title} reads its hidden states {', '.join(map(str, states))}"
        )
    return Description(kind, prefix, _cut(config, max(states)), states, whole)


def build(
    component: Component, stored: Mapping[str, Stored], found: Description, own_key: Callable[[str], str]
) -> tuple[Any, BaseWeights]:
    """The language model on the meta device, less what no hidden state depends on, and where its weights come from.

    Of its buffers, only the rotary frequencies are not stored: they are computed here, on the CPU, in float32.
    `own_key`: transformers' name of a stored tensor.
    """
    from transformers import AutoModel

    with torch.device("meta"):
        model = AutoModel.from_config(found.config, attn_implementation="sdpa")
    model.rotary_emb = type(model.rotary_emb)(found.config)
    model.norm = torch.nn.Identity()  # the whole model norms only what comes out of its last layer
    read = [tensor for key, tensor in stored.items() if found.is_read(own_key(key))]
    return model, BaseWeights(component, read, lambda key: found.layout(own_key(key)))


def on_meta(partner: Partner, depth: int, vocabulary: int) -> Any:
    """So many layers of a transformer's text encoder at its real sizes, on the meta device. Has no weights."""
    import transformers

    values = {
        "hidden_size": partner.hidden,
        "num_hidden_layers": depth,
        "intermediate_size": partner.feed_forward,
        "vocab_size": vocabulary,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
    }
    config = getattr(transformers, partner.kind.config_class)(**{**values, **partner.kind.constants})
    with torch.device("meta"):
        return transformers.AutoModel.from_config(config)


def _from_folder(folder: Path, reading: Reading) -> tuple[LanguageModel, "PretrainedConfig"]:
    from transformers import Mistral3Config, MistralConfig, Qwen3Config

    types = [name for name, kind in _BY_MODEL_TYPE.items() if kind.title in reading.states]
    model_type, values = read_encoder_config(folder, types)
    of_type = {"qwen3": Qwen3Config, "mistral3": Mistral3Config, "mistral": MistralConfig}[model_type]
    config = built_config(folder, model_type, lambda: of_type.from_dict(values)).get_text_config()
    kind = _BY_MODEL_TYPE[model_type]
    _check_constants(kind, config, folder / "config.json")
    return kind, config


def _check_constants(kind: LanguageModel, config: "PretrainedConfig", path: Path) -> None:
    """CheckpointError for what has the sizes alone: Qwen3-4B-Instruct-2507, a Qwen3-4B set up for long texts (yarn)."""
    rope = {"rope_type": "default", **(config.rope_parameters or {})}
    for name, expected in {"rope_type": "default", **kind.constants}.items():
        found = rope[name] if name in rope else getattr(config, name)
        if found != expected:
            raise CheckpointError(
                f"{path}: {name}: expected {expected}, as {kind.title} has it, got {found}: this is "
                "another model of its size, such as Instruct-2507, or was edited, as for longer texts; no transformer "
                "was trained with it"
            )


def _from_shapes(
    shapes: Shapes, prefix: str | None, layers: int, path: str, reading: Reading
) -> tuple[LanguageModel, "PretrainedConfig"]:
    import transformers

    first, expected = f"{prefix}layers.0.", " or ".join(reading.states)
    if prefix is None or f"{first}self_attn.q_proj.weight" not in shapes or f"{first}self_attn.q_proj.bias" in shapes:
        got = kind_of(shapes) or (f"a file that begins with {min(shapes)}" if shapes else "a file without tensors")
        raise CheckpointError(f"{path}: expected a {expected} text encoder, got {got}")

    def size(key: str) -> int:
        if not shapes.get(key):
            raise CheckpointError(f"{path}: lacks {key}: expected a whole text encoder")
        return shapes[key][0]

    norm = f"{first}self_attn.q_norm.weight"  # Qwen3 alone normalises queries and keys by head
    kind = QWEN3 if norm in shapes else MISTRAL3
    if kind.title not in reading.states:
        raise CheckpointError(f"{path}: expected a {expected} text encoder, got a {kind.title}")
    head = size(norm) if kind is QWEN3 else int(kind.constants["head_dim"])
    sizes = {
        "vocab_size": size(f"{prefix}embed_tokens.weight"),
        "hidden_size": size(f"{first}input_layernorm.weight"),
        "intermediate_size": size(f"{first}mlp.gate_proj.weight"),
        "num_attention_heads": size(f"{first}self_attn.q_proj.weight") // head,
        "num_key_value_heads": size(f"{first}self_attn.k_proj.weight") // head,
        "head_dim": head,
        "num_hidden_layers": layers,
    }
    if not all(sizes.values()):
        raise CheckpointError(f"{path}: expected heads of {head} rows each, got {sizes} by its shapes")
    return kind, getattr(transformers, kind.config_class)(**{**sizes, **kind.constants})


def _cut(config: "PretrainedConfig", depth: int) -> "PretrainedConfig":
    config.num_hidden_layers = depth
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:depth]
    return config

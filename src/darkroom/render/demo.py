"""The demo's weights: a tiny klein checkpoint, a LoRA and a LoKr, built from a fixed seed. Knows nothing of rendering.

Real classes in the folder layout of black-forest-labs/FLUX.2-klein-base-4B; only the sizes are tiny and nothing is
trained. The weights are drawn so that pictures are smooth, coloured, and differ by prompt, seed and adapter.
"""

import math
import tempfile
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from darkroom.demo_folder import DEMO_FILES
from darkroom.errors import StoreError
from darkroom.render.demo_adapters import HIDDEN, LAYERS, adapter_bytes, lokr_tensors, lora_tensors, normal

if TYPE_CHECKING:
    from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel
    from transformers import Qwen2Tokenizer, Qwen3ForCausalLM

TEXT_HIDDEN = 32  # the hidden states of three layers are joined: 96 features a token

# Their ids follow the 256 bytes'. <|endoftext|> pads.
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
THINK_TOKENS = ("<think>", "</think>")

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


def make_demo(folder: Path) -> None:
    """Build the DEMO_FILES below `folder`, all or none; a demo that is there already is replaced. StoreError.

    The same bytes each time with the same torch, diffusers and transformers. Nothing is downloaded, and torch's random
    state stays as it is.
    """
    present = [file.relative_to(folder).as_posix() for file in sorted(folder.rglob("*")) if file.is_file()]
    foreign = [name for name in present if name not in DEMO_FILES]
    if foreign:
        raise StoreError(f"{folder}: expected a new folder or an earlier demo, got {foreign[0]}; name another folder")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as scratch:
            built = Path(scratch) / "new"
            _save_checkpoint(built / "klein")
            (built / "demo_lora.safetensors").write_bytes(adapter_bytes("demo_lora", lora_tensors()))
            (built / "demo_lokr.safetensors").write_bytes(adapter_bytes("demo_lokr", lokr_tensors()))
            if folder.exists():
                folder.rename(Path(scratch) / "old")
            built.rename(folder)
    except OSError as error:
        raise StoreError(f"{folder}: the demo's files cannot be written: {error}") from error


def _save_checkpoint(folder: Path) -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler, Flux2KleinPipeline  # seconds to import, needed here only
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    # constructors draw weights of their own, which are then replaced
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        pipeline = Flux2KleinPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
            text_encoder=_text_encoder().bfloat16(),
            tokenizer=_tokenizer(),
            transformer=_transformer().bfloat16(),
            vae=_vae().bfloat16(),
        )
    pipeline.save_pretrained(folder)


def _text_encoder() -> "Qwen3ForCausalLM":
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(
        vocab_size=256 + len(SPECIAL_TOKENS) + len(THINK_TOKENS),
        hidden_size=TEXT_HIDDEN,
        intermediate_size=2 * TEXT_HIDDEN,
        num_hidden_layers=28,  # hidden states 9, 18 and 27 make the embedding
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        tie_word_embeddings=True,
    )
    model = Qwen3ForCausalLM(config)
    _draw(model, {"model.embed_tokens.weight": math.sqrt(TEXT_HIDDEN)})
    return model


def _tokenizer() -> "Qwen2Tokenizer":
    """One token a byte; the special tokens, padding and template of Qwen3."""
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    vocabulary = (*sorted(ByteLevel.alphabet()), *SPECIAL_TOKENS)
    tokenizer = Qwen2Tokenizer(
        vocab={token: index for index, token in enumerate(vocabulary)},
        merges=[],
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
        model_max_length=131072,
    )
    tokenizer.add_tokens(list(THINK_TOKENS))
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _transformer() -> "Flux2Transformer2DModel":
    """Its velocity is 2 norm(latents + what the blocks say): noise fades, and the prompt draws in its place."""
    from diffusers import Flux2Transformer2DModel

    model = Flux2Transformer2DModel(
        num_layers=LAYERS["double_blocks"],
        num_single_layers=LAYERS["single_blocks"],
        attention_head_dim=32,
        num_attention_heads=HIDDEN // 32,
        joint_attention_dim=3 * TEXT_HIDDEN,
        axes_dims_rope=(8, 8, 8, 8),
        guidance_embeds=False,
    )
    # q and k norms above 1: attention sharp enough for single letters and neighbouring tokens to matter
    _draw(model, {"*.norm_*[qk].weight": 1.6, "*modulation*": 0.8, "norm_out.*": 0.3})
    model.x_embedder.weight.copy_(torch.eye(HIDDEN))
    model.proj_out.weight.copy_(2 * torch.eye(HIDDEN))
    # timestep features by falling frequency, cosines then sines: the slow ones keep neighbouring steps alike
    model.time_guidance_embed.timestep_embedder.linear_1.weight.mul_(torch.linspace(0, 1, 128).square().repeat(2))
    return model


def _vae() -> "AutoencoderKLFlux2":
    """Its decoder blurs as it doubles the size: smooth shapes in place of the noise that random kernels make."""
    from diffusers import AutoencoderKLFlux2

    # groups of several channels let a picture keep a tint of its own, which a norm per channel would remove
    model = AutoencoderKLFlux2(block_out_channels=(32, 32, 32, 32), layers_per_block=1, norm_num_groups=8)
    _draw(model, {"decoder.conv_out.weight": 0.7, "*": 1.4})
    blur = torch.outer(torch.tensor([1.0, 2.0, 1.0]), torch.tensor([1.0, 2.0, 1.0])) / 16
    for kernel in model.decoder.parameters():
        if kernel.shape[2:] == (3, 3):
            kernel.copy_(kernel.sum((2, 3), keepdim=True) * blur + 0.3 * kernel)
    colours = model.decoder.conv_out
    colours.weight.copy_((colours.weight + colours.weight.mean(0)) / 2)  # paler: red, green and blue agree in part
    colours.bias.copy_(torch.tensor([0.43, 0.23, 0.35]))  # makes up for the mean colour of these weights
    return model


def _draw(module: nn.Module, gains: Mapping[str, float]) -> None:
    """Draw every parameter anew. The first pattern of `gains` that fits its name decides, otherwise the gain is 1.

    Matrices and kernels: normal, of standard deviation gain / sqrt(inputs). Biases: 0. Norms: the gain, 1 in the VAE.
    """
    for name, parameter in module.named_parameters():
        gain = next((gain for pattern, gain in gains.items() if fnmatchcase(name, pattern)), 1.0)
        if parameter.ndim > 1:
            parameter.copy_(normal(name, tuple(parameter.shape), gain / math.sqrt(parameter[0].numel())))
        else:
            parameter.fill_(0.0 if name.endswith("bias") else gain)

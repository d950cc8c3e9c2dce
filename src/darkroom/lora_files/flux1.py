"""LoRA and LoKr files of FLUX.1, Flex.1 and Flex.2: how they name layers, which there are, and the bases, as data.

The three share the trainer's naming, which is that of diffusers' modules (transformer_flux.py), and the hidden size;
blocks and headers tell them apart, as far as anything does (ai-toolkit writes `flux.1` for both FLUX.1 and Flex.1).
"""

from darkroom.lora_files.naming import HIDDEN, AdapterNaming, Blocks, KnownBase, Layer, OtherNames

_SQUARE = Layer(HIDDEN, HIDDEN)
_CLIP_FEATURES = 768

_DOUBLE = {
    "norm1.linear": Layer(6 * HIDDEN, HIDDEN),
    "norm1_context.linear": Layer(6 * HIDDEN, HIDDEN),
    **dict.fromkeys(("attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0"), _SQUARE),
    **dict.fromkeys(("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj", "attn.to_add_out"), _SQUARE),
    "ff.net.0.proj": Layer(4 * HIDDEN, HIDDEN),
    "ff.net.2": Layer(HIDDEN, 4 * HIDDEN),
    "ff_context.net.0.proj": Layer(4 * HIDDEN, HIDDEN),
    "ff_context.net.2": Layer(HIDDEN, 4 * HIDDEN),
}
_SINGLE = {
    "norm.linear": Layer(3 * HIDDEN, HIDDEN),
    "proj_mlp": Layer(4 * HIDDEN, HIDDEN),
    "proj_out": Layer(HIDDEN, 5 * HIDDEN),
    **dict.fromkeys(("attn.to_q", "attn.to_k", "attn.to_v"), _SQUARE),
}
_BESIDE = {
    "time_text_embed.timestep_embedder.linear_1": Layer(HIDDEN, 256),
    "time_text_embed.timestep_embedder.linear_2": _SQUARE,
    "time_text_embed.text_embedder.linear_1": Layer(HIDDEN, _CLIP_FEATURES),
    "time_text_embed.text_embedder.linear_2": _SQUARE,
    "context_embedder": Layer(HIDDEN, "text_features"),
    "x_embedder": Layer(HIDDEN, "channels"),
    "norm_out.linear": Layer(2 * HIDDEN, HIDDEN),
    "proj_out": Layer(64, HIDDEN),
}
_GUIDANCE = {
    "time_text_embed.guidance_embedder.linear_1": Layer(HIDDEN, 256),
    "time_text_embed.guidance_embedder.linear_2": _SQUARE,
}

_QKV = dict.fromkeys(("attn.to_q", "attn.to_k", "attn.to_v"), 1)
_ADDED_QKV = dict.fromkeys(("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"), 1)

_BFL = OtherNames(  # black-forest-labs/flux, src/flux/model.py, in whose names sd-scripts and ComfyUI write
    blocks=(
        (
            "double_blocks",
            {
                "img_mod.lin": {"norm1.linear": 1},
                "img_attn.qkv": _QKV,
                "img_attn.proj": {"attn.to_out.0": 1},
                "img_mlp.0": {"ff.net.0.proj": 1},
                "img_mlp.2": {"ff.net.2": 1},
                "txt_mod.lin": {"norm1_context.linear": 1},
                "txt_attn.qkv": _ADDED_QKV,
                "txt_attn.proj": {"attn.to_add_out": 1},
                "txt_mlp.0": {"ff_context.net.0.proj": 1},
                "txt_mlp.2": {"ff_context.net.2": 1},
            },
        ),
        (
            "single_blocks",
            {
                "linear1": {**_QKV, "proj_mlp": 4},
                "linear2": {"proj_out": 1},
                "modulation.lin": {"norm.linear": 1},
            },
        ),
    ),
    beside={
        "img_in": {"x_embedder": 1},
        "txt_in": {"context_embedder": 1},
        "time_in.in_layer": {"time_text_embed.timestep_embedder.linear_1": 1},
        "time_in.out_layer": {"time_text_embed.timestep_embedder.linear_2": 1},
        "vector_in.in_layer": {"time_text_embed.text_embedder.linear_1": 1},
        "vector_in.out_layer": {"time_text_embed.text_embedder.linear_2": 1},
        "guidance_in.in_layer": {"time_text_embed.guidance_embedder.linear_1": 1},
        "guidance_in.out_layer": {"time_text_embed.guidance_embedder.linear_2": 1},
        "final_layer.adaLN_modulation.1": {"norm_out.linear": 1},
        "final_layer.linear": {"proj_out": 1},
    },
    swapped="final_layer.adaLN_modulation.1",
)
_XLABS = OtherNames(  # XLabs-AI/x-flux: processors of BFL's blocks, which leave the rest of linear1 as it is
    blocks=(
        (
            "double_blocks",
            {
                "processor.qkv_lora1": _QKV,
                "processor.qkv_lora2": _ADDED_QKV,
                "processor.proj_lora1": {"attn.to_out.0": 1},
                "processor.proj_lora2": {"attn.to_add_out": 1},
            },
        ),
        ("single_blocks", {"processor.qkv_lora": _QKV, "processor.proj_lora": {"proj_out": 1}}),
    ),
)
_FUSED = OtherNames(  # diffusers' modules after fuse_qkv_projections()
    blocks=(
        ("transformer_blocks", {"attn.to_qkv": _QKV, "attn.to_added_qkv": _ADDED_QKV}),
        ("single_transformer_blocks", {"attn.to_qkv": _QKV}),
    ),
)
_DIFFSYNTH = OtherNames(  # modelscope/DiffSynth-Studio, diffsynth/models/flux_dit.py
    blocks=(
        (
            "blocks",
            {
                "norm1_a.linear": {"norm1.linear": 1},
                "norm1_b.linear": {"norm1_context.linear": 1},
                "attn.a_to_qkv": _QKV,
                "attn.b_to_qkv": _ADDED_QKV,
                "attn.a_to_out": {"attn.to_out.0": 1},
                "attn.b_to_out": {"attn.to_add_out": 1},
                "ff_a.0": {"ff.net.0.proj": 1},
                "ff_a.2": {"ff.net.2": 1},
                "ff_b.0": {"ff_context.net.0.proj": 1},
                "ff_b.2": {"ff_context.net.2": 1},
            },
        ),
        (
            "single_blocks",
            {
                "norm.linear": {"norm.linear": 1},
                "to_qkv_mlp": {**_QKV, "proj_mlp": 4},
                "proj_out": {"proj_out": 1},
            },
        ),
    ),
)


def _base(name: str, header: str, repo: str, double_blocks: int, channels: int) -> KnownBase:
    return KnownBase(
        name=name,
        header=header,
        repos=(repo,),
        hidden=3072,
        blocks=(double_blocks, 38),
        channels=channels,
        text_features=4096,
        embeds_guidance=True,
    )


FLEX1 = _base("Flex.1", "flux.1", "ostris/Flex.1-alpha", double_blocks=8, channels=64)
FLUX1 = _base("FLUX.1", "flux.1", "black-forest-labs/FLUX.1-dev", double_blocks=19, channels=64)
FLEX2 = _base("Flex.2", "flex2", "ostris/Flex.2-preview", double_blocks=8, channels=196)


def _naming(*bases: KnownBase) -> AdapterNaming:
    return AdapterNaming(
        trained_for=" and ".join(base.name for base in bases),
        named_alike="FLUX.1, Flex.1 or Flex.2",
        blocks=(
            Blocks("transformer_blocks", "transformer_blocks", "double", _DOUBLE),
            Blocks("single_transformer_blocks", "single_transformer_blocks", "single", _SINGLE),
        ),
        beside=_BESIDE,
        guidance=_GUIDANCE,
        bases=bases,
        others=(_BFL, _XLABS, _FUSED, _DIFFSYNTH),
        kin=tuple(base for base in (FLEX1, FLUX1, FLEX2) if base not in bases),
    )


FLUX_NAMING = _naming(FLEX1, FLUX1)  # of the family `flux`
FLEX2_NAMING = _naming(FLEX2)  # of the family `flex2`

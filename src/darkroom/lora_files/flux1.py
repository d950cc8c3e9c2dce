"""LoRA and LoKr files of FLUX.1, Flex.1 and Flex.2: how they name layers, which there are, and the bases, as data.

The three share the naming, which is that of diffusers' modules (transformer_flux.py), and the hidden size;
blocks and headers tell them apart, as far as anything does (ai-toolkit writes `flux.1` for both FLUX.1 and Flex.1).
"""

from darkroom.lora_files.naming import HIDDEN, AdapterNaming, KnownBase, Layer

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


def _base(name: str, header: str, repo: str, double_blocks: int, channels: int) -> KnownBase:
    return KnownBase(
        name=name,
        header=header,
        repos=(repo,),
        hidden=3072,
        double_blocks=double_blocks,
        single_blocks=38,
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
        other_tools="in diffusers naming",
        prefix="transformer.",
        double_blocks="transformer_blocks",
        single_blocks="single_transformer_blocks",
        double=_DOUBLE,
        single=_SINGLE,
        beside=_BESIDE,
        guidance=_GUIDANCE,
        bases=bases,
        kin=tuple(base for base in (FLEX1, FLUX1, FLEX2) if base not in bases),
    )


FLUX_NAMING = _naming(FLEX1, FLUX1)  # of the family `flux`
FLEX2_NAMING = _naming(FLEX2)  # of the family `flex2`

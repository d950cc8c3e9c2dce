"""LoRA and LoKr files of FLUX.1, Flex.1 and Flex.2: how they name layers and what they are made for, as data.

The three share the naming (diffusers' module names) and the hidden size; blocks and headers tell them apart, as far as
anything does (ai-toolkit writes `flux.1` for both FLUX.1 and Flex.1).
"""

from darkroom.lora_files.naming import AdapterNaming, KnownBase

FLEX1 = KnownBase("Flex.1", "flux.1", 3072, 8, 38)
FLUX1 = KnownBase("FLUX.1", "flux.1", 3072, 19, 38)
FLEX2 = KnownBase("Flex.2", "flex2", 3072, 8, 38)

_HIDDEN_SIDE = {
    **dict.fromkeys(("attn.to_q", "attn.to_k", "attn.to_v"), 1),
    **dict.fromkeys(("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"), 1),
    **dict.fromkeys(("attn.to_out.0", "attn.to_add_out", "ff.net.2", "ff_context.net.2"), 0),
    **dict.fromkeys(("ff.net.0.proj", "ff_context.net.0.proj", "proj_mlp"), 1),
    **dict.fromkeys(("norm.linear", "norm1.linear", "norm1_context.linear", "norm_out.linear"), 1),
    **dict.fromkeys(("x_embedder", "context_embedder"), 0),
}  # proj_out is left out: in a single block it has the hidden size in its rows, after all blocks in its columns


def _naming(*bases: KnownBase) -> AdapterNaming:
    return AdapterNaming(
        trained_for=" and ".join(base.name for base in bases),
        prefix="transformer.",
        double_blocks="transformer_blocks",
        single_blocks="single_transformer_blocks",
        hidden_side=_HIDDEN_SIDE,
        bases=bases,
        kin=tuple(base for base in (FLEX1, FLUX1, FLEX2) if base not in bases),
    )


FLUX_NAMING = _naming(FLEX1, FLUX1)  # of the family `flux`
FLEX2_NAMING = _naming(FLEX2)  # of the family `flex2`

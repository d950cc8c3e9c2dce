"""LoRA and LoKr files of FLUX.2: how they name layers, which there are, and the bases, as data.

The trainer's names are BFL's, and so are kohya's and ComfyUI's; against Flux2Params in black-forest-labs/flux2,
src/flux2/model.py. Other tools name diffusers' modules, which are the parts; against its single_file_utils.py.
"""

from darkroom.lora_files.naming import HIDDEN, AdapterNaming, Blocks, KnownBase, Layer, OtherNames

_CHANNELS = 128

_DOUBLE = {
    "img_attn.qkv": Layer(3 * HIDDEN, HIDDEN, ("attn.to_q", "attn.to_k", "attn.to_v")),
    "img_attn.proj": Layer(HIDDEN, HIDDEN, ("attn.to_out.0",)),
    "img_mlp.0": Layer(6 * HIDDEN, HIDDEN, ("ff.linear_in",)),
    "img_mlp.2": Layer(HIDDEN, 3 * HIDDEN, ("ff.linear_out",)),
    "txt_attn.qkv": Layer(3 * HIDDEN, HIDDEN, ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj")),
    "txt_attn.proj": Layer(HIDDEN, HIDDEN, ("attn.to_add_out",)),
    "txt_mlp.0": Layer(6 * HIDDEN, HIDDEN, ("ff_context.linear_in",)),
    "txt_mlp.2": Layer(HIDDEN, 3 * HIDDEN, ("ff_context.linear_out",)),
}
_SINGLE = {
    "linear1": Layer(9 * HIDDEN, HIDDEN, ("attn.to_qkv_mlp_proj",)),
    "linear2": Layer(HIDDEN, 4 * HIDDEN, ("attn.to_out",)),
}
_BESIDE = {
    "img_in": Layer(HIDDEN, "channels", ("x_embedder",)),
    "txt_in": Layer(HIDDEN, "text_features", ("context_embedder",)),
    "time_in.in_layer": Layer(HIDDEN, 256, ("time_guidance_embed.timestep_embedder.linear_1",)),
    "time_in.out_layer": Layer(HIDDEN, HIDDEN, ("time_guidance_embed.timestep_embedder.linear_2",)),
    "double_stream_modulation_img.lin": Layer(6 * HIDDEN, HIDDEN, ("double_stream_modulation_img.linear",)),
    "double_stream_modulation_txt.lin": Layer(6 * HIDDEN, HIDDEN, ("double_stream_modulation_txt.linear",)),
    "single_stream_modulation.lin": Layer(3 * HIDDEN, HIDDEN, ("single_stream_modulation.linear",)),
    "final_layer.adaLN_modulation.1": Layer(2 * HIDDEN, HIDDEN, ("norm_out.linear",)),
    "final_layer.linear": Layer("channels", HIDDEN, ("proj_out",)),
}
_GUIDANCE = {
    "guidance_in.in_layer": Layer(HIDDEN, 256, ("time_guidance_embed.guidance_embedder.linear_1",)),
    "guidance_in.out_layer": Layer(HIDDEN, HIDDEN, ("time_guidance_embed.guidance_embedder.linear_2",)),
}
_FUSED = OtherNames(  # diffusers' modules after fuse_qkv_projections()
    blocks=(
        ("transformer_blocks", {"attn.to_qkv": {"img_attn.qkv": 1}, "attn.to_added_qkv": {"txt_attn.qkv": 1}}),
        ("single_transformer_blocks", {}),
    ),
)

KLEIN_4B = KnownBase(
    name="FLUX.2 klein-4B",
    header="flux2_klein_4b",
    repos=("black-forest-labs/FLUX.2-klein-base-4B", "black-forest-labs/FLUX.2-klein-4B"),
    hidden=3072,
    blocks=(5, 20),
    channels=_CHANNELS,
    text_features=7680,
    embeds_guidance=False,
)
KLEIN_9B = KnownBase(
    name="FLUX.2 klein-9B",
    header="flux2_klein_9b",
    repos=("black-forest-labs/FLUX.2-klein-base-9B", "black-forest-labs/FLUX.2-klein-9B"),
    hidden=4096,
    blocks=(8, 24),
    channels=_CHANNELS,
    text_features=12288,
    embeds_guidance=False,
)
FLUX2_DEV = KnownBase(
    name="FLUX.2 dev",
    header="flux2",
    repos=("black-forest-labs/FLUX.2-dev",),
    hidden=6144,
    blocks=(8, 48),
    channels=_CHANNELS,
    text_features=15360,
    embeds_guidance=True,
)

FLUX2_NAMING = AdapterNaming(
    trained_for="FLUX.2",
    named_alike="FLUX.2",
    blocks=(
        Blocks("double_blocks", "transformer_blocks", "double", _DOUBLE),
        Blocks("single_blocks", "single_transformer_blocks", "single", _SINGLE),
    ),
    beside=_BESIDE,
    guidance=_GUIDANCE,
    bases=(KLEIN_4B, KLEIN_9B, FLUX2_DEV),
    others=(_FUSED,),
)

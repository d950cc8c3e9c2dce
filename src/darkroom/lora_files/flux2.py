"""LoRA and LoKr files of FLUX.2: how they name layers and what they are made for, as data."""

from darkroom.lora_files.naming import AdapterNaming, KnownBase

FLUX2_NAMING = AdapterNaming(
    trained_for="FLUX.2",
    prefix="diffusion_model.",
    double_blocks="double_blocks",
    single_blocks="single_blocks",
    hidden_side={
        **dict.fromkeys(("img_attn.qkv", "txt_attn.qkv", "img_mlp.0", "txt_mlp.0", "linear1", "final_layer.linear"), 1),
        **dict.fromkeys(("img_attn.proj", "txt_attn.proj", "img_mlp.2", "txt_mlp.2", "linear2", "img_in", "txt_in"), 0),
    },
    bases=(
        KnownBase("FLUX.2 klein-4B", "flux2_klein_4b", 3072, 5, 20),
        KnownBase("FLUX.2 klein-9B", "flux2_klein_9b", 4096, 8, 24),
        KnownBase("FLUX.2 dev", "flux2", 6144, 8, 48),
    ),
)

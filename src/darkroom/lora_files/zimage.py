"""LoRA and LoKr files of Z-Image: how they name layers, which there are, and the base, as data.

The trainer's names are those of diffusers' modules (transformer_z_image.py). ComfyUI's, in which single files of the
base are, have q, k and v in one layer. Base, Turbo and De-Turbo have the same layers, and one header: nothing in a file
tells them apart.
"""

from darkroom.lora_files.naming import HIDDEN, AdapterNaming, Blocks, KnownBase, Layer, OtherNames, Shares

_TIME_FEATURES = 256
_FEED_FORWARD = 10240

_SQUARE = Layer(HIDDEN, HIDDEN)
_CONTEXT = {
    **dict.fromkeys(("attention.to_q", "attention.to_k", "attention.to_v", "attention.to_out.0"), _SQUARE),
    "feed_forward.w1": Layer(_FEED_FORWARD, HIDDEN),
    "feed_forward.w2": Layer(HIDDEN, _FEED_FORWARD),
    "feed_forward.w3": Layer(_FEED_FORWARD, HIDDEN),
}
_MODULATED = {**_CONTEXT, "adaLN_modulation.0": Layer(4 * HIDDEN, _TIME_FEATURES)}
_BESIDE = {
    "t_embedder.mlp.0": Layer(1024, _TIME_FEATURES),
    "t_embedder.mlp.2": Layer(_TIME_FEATURES, 1024),
    "cap_embedder.1": Layer(HIDDEN, "text_features"),
    "all_x_embedder.2-1": Layer(HIDDEN, "channels"),
    "all_final_layer.2-1.linear": Layer("channels", HIDDEN),
    "all_final_layer.2-1.adaLN_modulation.1": Layer(HIDDEN, _TIME_FEATURES),
}
_COMFY: dict[str, Shares] = {
    "attention.qkv": dict.fromkeys(("attention.to_q", "attention.to_k", "attention.to_v"), 1),
    "attention.out": {"attention.to_out.0": 1},
    **{f"attention.to.{part}": {f"attention.to_{part}": 1} for part in "qkv"},  # Anime-Z's trainer
}


def _base(name: str, repo: str) -> KnownBase:
    return KnownBase(
        name=name,
        header="zimage",
        repos=(repo,),
        hidden=3840,
        blocks=(30, 2, 2),
        channels=64,
        text_features=2560,
        embeds_guidance=False,
    )


Z_IMAGE = _base("Z-Image", "Tongyi-MAI/Z-Image")
DE_TURBO = _base("Z-Image-De-Turbo", "ostris/Z-Image-De-Turbo")
TURBO = _base("Z-Image-Turbo", "Tongyi-MAI/Z-Image-Turbo")

Z_IMAGE_NAMING = AdapterNaming(
    trained_for="Z-Image",
    named_alike="Z-Image",
    blocks=(
        Blocks("layers", "layers", "main", _MODULATED),
        Blocks("noise_refiner", "noise_refiner", "noise-refining", _MODULATED),
        Blocks("context_refiner", "context_refiner", "context-refining", _CONTEXT),
    ),
    beside=_BESIDE,
    guidance={},
    bases=(Z_IMAGE, DE_TURBO, TURBO),
    others=(
        OtherNames(
            blocks=tuple((name, _COMFY) for name in ("layers", "noise_refiner", "context_refiner")),
            beside={
                "x_embedder": {"all_x_embedder.2-1": 1},
                "final_layer.linear": {"all_final_layer.2-1.linear": 1},
                "final_layer.adaLN_modulation.1": {"all_final_layer.2-1.adaLN_modulation.1": 1},
            },
        ),
    ),
)

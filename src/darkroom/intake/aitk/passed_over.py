"""The keys of an ai-toolkit job that importing passes over, as lines for people. Knows no values.

The trainer's: ModelConfig, NetworkConfig and SampleConfig in its toolkit/config_modules.py, and what the loading code
of each architecture takes of them (version 0.12.26). What a value of null, false or nothing switches off is not named.
"""

from collections.abc import Iterator, Sequence

from darkroom.intake.aitk.section import Section

_WITHOUT_EFFECT = (  # keys of the model section that somebody may count on, and that no architecture's code looks at
    *("te_name_or_path", "model_paths", "unconditional_lora_path"),
    "model_kwargs",  # match_target_res and the rest: while training only
)
_TAKEN = {
    "model": (
        *(
            "name_or_path",
            "extras_name_or_path",
            "arch",
            "is_flux",
            "vae_path",
            "quantize",
            "quantize_te",
            "qtype",
            "qtype_te",
        ),
        *("quantize_kwargs", "accuracy_recovery_adapter", "low_vram", "layer_offloading", "auto_memory"),
        *("attn_masking", "use_flux_cfg", "lora_path", "assistant_lora_path", "inference_lora_path"),
    ),
    "network": ("type", "pretrained_lora_path"),
    "sample": (
        *("sampler", "width", "height", "neg", "seed", "walk_seed", "guidance_scale", "sample_steps"),
        *("network_multiplier", "prompts", "samples"),
    ),
    "samples": (
        *("prompt", "width", "height", "neg", "seed", "guidance_scale", "sample_steps", "network_multiplier"),
        *("ctrl_img", "ctrl_img_1", "ctrl_img_2", "ctrl_img_3", "ctrl_idx"),
    ),
}
_INERT = {  # without effect on the previews of these models, or seen in what they left
    "model": (
        "dtype",  # train.dtype goes before it
        *("layer_offloading_transformer_percent", "layer_offloading_text_encoder_percent"),  # where, not how
        *("ignore_if_contains", "only_if_contains"),  # what is trained
        *("use_text_encoder_1", "use_text_encoder_2", "text_encoder_bits", "refiner_start_at"),  # other models
        *("block_compile", "compile_mode", "compile_fullgraph", "compile_dynamic", "cache_size_limit"),  # of compile
        "split_model_other_module_param_count_scale",  # of split_model_over_gpus
    ),
    "network": (  # the adapter file shows them
        *("linear", "rank", "linear_alpha", "alpha", "conv", "conv_alpha", "dropout", "network_kwargs", "lorm"),
        *("lokr_full_rank", "lokr_factor", "old_lokr_format", "transformer_only", "split_multistage_loras"),
        *("all_layers", "layer_offloading"),
    ),
    "sample": (
        *("sample_every", "sample_start_step", "format"),  # the files show them
        *("num_frames", "fps", "guidance_rescale", "do_cfg_norm", "refiner_start_at"),  # other models
        *("adapter_conditioning_scale", "extra_values"),  # of a section adapter, which is a reason of its own
    ),
    "samples": ("num_frames", "fps", "do_cfg_norm"),
}


def passed_over(process: Section, arch: str, ignored: Sequence[str]) -> Iterator[str]:
    """A line for the keys that the trainer passes over as well, and one for all others that are not taken over.

    `ignored`: those of the section model that the code of `arch` alone does not look at.
    """
    model = process.section("model")
    idle = [f"model.{key}" for key in (*_WITHOUT_EFFECT, *ignored) if model.content.get(key)]
    if idle:
        yield f"no effect in the trainer's {arch}: {', '.join(idle)}"
    unknown = [
        *_unknown(model, "model", "model", (*_TAKEN["model"], *_WITHOUT_EFFECT)),
        *_unknown(process.section("network"), "network", "network", _TAKEN["network"]),
    ]
    for name in ("sample", "first_sample"):
        section = process.section(name)
        unknown += _unknown(section, "sample", name, _TAKEN["sample"])
        for item in section.sections("samples"):
            unknown += _unknown(item, "samples", f"{name}.samples[]", _TAKEN["samples"])
    if unknown:
        yield f"not taken over, and what they did to the previews is not known: {', '.join(dict.fromkeys(unknown))}"


def _unknown(section: Section, kind: str, name: str, known: tuple[str, ...]) -> Iterator[str]:
    for key, value in section.content.items():
        if value and key not in known and key not in _INERT[kind]:
            yield f"{name}.{key}"

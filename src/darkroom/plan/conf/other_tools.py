"""What other tools call a key, and what ours is: the answer to a key of diffusers, ComfyUI, A1111 or kohya."""

import re
from collections.abc import Collection, Mapping
from dataclasses import fields

from darkroom.display import closest, suggestion
from darkroom.plan.conf.schema import Config, Settings

# Our key: what other tools call it, written as `_plain` writes them. A word may stand at several of our keys.
_OURS: Mapping[str, str] = {
    "prompt": "text caption positive positive_prompt text_prompt prompt_text",
    "prompt_embeds": "embeds embeddings prompt_embedding prompt_embeddings",
    "trigger_word": "trigger triggers trigger_words trigger_phrase activation_text instance_token instance_prompt",
    "neg": "negative negative_prompt neg_prompt negativeprompt negative_text uncond unconditional_prompt",
    "width": "w image_width img_width",
    "height": "h image_height img_height",
    "aspect_ratio": "aspect ratio ar",
    "seed": "noise_seed random_seed manual_seed rng_seed rand_seed generator",
    "sample_steps": "steps step num_steps inference_steps num_inference_steps sampling_steps infer_steps",
    "guidance_scale": "cfg cfg_scale guidance guidance_strength distilled_guidance true_cfg true_cfg_scale "
    "embedded_guidance embedded_guidance_scale distilled_cfg_scale unconditional_guidance_scale scale",
    "network_multiplier": "strength strengths weight weights scale multiplier lora_scale lora_strength lora_weight "
    "lora_weights lora_multiplier strength_model strength_clip model_strength network_weight network_strength "
    "network_mul adapter_scale adapter_strength adapter_weight adapter_weights cross_attention_kwargs",
    "ctrl_img": "image images image_path init_image input_image input_images reference reference_image ref_image "
    "ref_images control_image control_img conditioning_image",
    "path": "file file_name filename name lora lora_name lora_path lora_file model_path",
    "loras": "lora files adapters adapter",
    "format": "extension ext file_format image_format output_format",
    "quality": "jpeg_quality webp_quality jpg_quality",
    "checkpoint": "base_model model_name model_path name_or_path ckpt ckpt_name pretrained_model_name_or_path",
    "repo": "name_or_path repo_id model_id pretrained_model_name_or_path",
    "transformer": "unet unet_name diffusion_model dit",
    "text_encoder": "clip clip_name te",
    "vae": "vae_name ae",
    "dtype": "torch_dtype precision weight_dtype mixed_precision",
    "quantize": "quantization quantise",
    "max_sequence_length": "max_length max_token_length text_encoder_max_length t5xxl_max_token_length",
}

# What Darkroom has no key for: which of other tools' words, and what to do.
_INSTEAD: Mapping[str, str] = {
    "hydra": "what comes of an experiment lies in results/; hydra.searchpath goes on the command line",
    "size resolution image_size dimensions res": "write width and height, or aspect_ratio",
    "sampler sampler_name sampling_method scheduler scheduler_name schedule_type noise_scheduler solver": (
        "there is no choice of samplers: the model's `schedule` says how its times are spaced, conf/model/"
    ),
    "shift flow_shift timestep_shift discrete_flow_shift base_shift max_shift": (
        "times are shifted as the trainer does; the model's `schedule` chooses, conf/model/"
    ),
    "batch_size batch_count n_iter n_samples num_images num_images_per_prompt num_outputs num_samples count repeat "
    "images_per_prompt": "several pictures of a prompt are an axis of the matrix: seed: 1..4",
    "lora loras lora_name lora_path adapter adapters": "LoRAs are files of conf/lora/, chosen by matrix.lora",
    "model models model_name base_model ckpt_name": "models are files of conf/model/, chosen by matrix.model",
    "subseed subseed_strength variation_seed variation_strength eta s_churn s_noise ensd": (
        "nothing is drawn but the seed's noise; leave it out"
    ),
    "clip_skip denoise denoising denoising_strength image_strength hr_scale hr_upscaler enable_hr hires_fix "
    "restore_faces tiling upscale": "there is nothing like it; leave it out",
    "prompt_2 negative_prompt_2 text_2": "one text goes to all text encoders, as in the trainer: prompt, neg",
}

_OF_OTHERS: dict[str, list[str]] = {}
for _ours, _words in _OURS.items():
    for _word in _words.split():
        _OF_OTHERS.setdefault(_word, []).append(_ours)
_ADVICE = {word: advice for words, advice in _INSTEAD.items() for word in words.split()}


def answer(key: str, known: Collection[str]) -> str:
    """What to write for an unknown key, where the `known` ones can stand; `here it is sample_steps` for `steps`.

    >>> answer("CFG scale", ("guidance_scale", "seed"))
    'here it is guidance_scale'
    """
    return instead(key, known) or suggestion(key, known)


def instead(key: str, known: Collection[str]) -> str | None:
    """`answer`, or None where that could only list the `known` keys."""
    if ours := our_key(key, known):
        return f"here it is {ours}"
    return _ADVICE.get(_plain(key)) or (suggestion(key, known) if closest(key, known) else None)


def answer_at_root(key: str) -> str:
    """The same for a key that the root of conf/ does not have, but a prompt may."""
    settings = [each.name for each in fields(Settings)]
    if ours := our_key(key, settings):
        return f"here it is matrix.{ours}, or prompts.defaults.{ours} for prompts that name none"
    return answer(key, [each.name for each in fields(Config)])


def our_key(key: str, known: Collection[str]) -> str | None:
    """Which of the `known` keys means the same: a known one itself; None where none does."""
    if key in known:
        return key
    word, dot, rest = key.partition(".")  # strength.sks is an axis, as network_multiplier.sks
    return next((f"{ours}{dot}{rest}" for ours in _OF_OTHERS.get(_plain(word), ()) if ours in known), None)


def _plain(key: str) -> str:
    """`numInferenceSteps`, `num-inference-steps` and `Num inference steps` as num_inference_steps."""
    return re.sub(r"[\s-]+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key.strip())).lower()

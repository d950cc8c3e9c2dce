"""How the tools that write adapter files name their tensors: `<beginning><module>.<ending>`, as data.

The modules are the families' (AdapterNaming.places). Sources: diffusers' lora_conversion_utils.py, PEFT's
save_and_load.py, kohya-ss/sd-scripts and musubi-tuner, LyCORIS, ai-toolkit's network_mixins.py.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

ALPHA = "alpha"
_LOKR = ("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b")

# What stands before the module, once or several times: PEFT, ComfyUI, torch.compile and DDP each put theirs there.
_DOTTED = r"(?:(?:base_model\.model|model|diffusion_model|transformer|unet|dit|pipe|module|_orig_mod)\.)*"
_UNDERSCORED = r"(?:lora_unet|lora_transformer|lycoris)__?"  # two of them, and one behind a module: odd exports
_OLD = r"(?:lora\.|lora_linear_layer\.|(?<=_lora\.)|(?<=_lora[12]\.))"  # diffusers before PEFT; XLabs' processors
_ENDINGS = (  # of keys, and what they are called here, which is what ai-toolkit calls them; an adapter may have a name
    (rf"lora_A(?:\.[^.]+)?\.weight|lora_A|lora_down\.weight|{_OLD}down\.weight", "lora_A.weight"),
    (rf"lora_B(?:\.[^.]+)?\.weight|lora_B|lora_up\.weight|{_OLD}up\.weight", "lora_B.weight"),
    *((name, name) for name in (*_LOKR, "diff", ALPHA)),
)
_REFUSED = (  # endings of keys, and what a file with them is
    (r"magnitude", "DoRA (magnitude), which its trainer cannot merge either"),
    (r"dora_scale", "DoRA (dora_scale)"),
    (r"lora_magnitude_vector(?:\..*)?", "DoRA (lora_magnitude_vector)"),
    (r"diff_b", "a delta with biases (diff_b)"),
    (r"[bw]_norm|norm_\w+\.diff", "a training of norms as well"),
    (r"set_weight|reshape_weight", "a delta that changes the shape of layers (set_weight, reshape_weight)"),
    (r"lora_[AB](?:\.[^.]+)?\.bias", "LoRA with biases (lora_bias)"),
    (r"lokr_t2", "LoKr of convolutions (lokr_t2), but these layers are linear"),
    (r"lora_mid\.weight", "LoRA of convolutions (lora_mid), but these layers are linear"),
    (r"hada_.*", "LoHa (hada_w1_a)"),
    (r"oft_.*", "OFT (oft_blocks)"),
    (r"(?:a|b)[12]\.weight", "GLoRA (a1, b1)"),
)
_TEXT_ENCODER = re.compile(r"lora_te\d?_|(?:base_model\.model\.)?text_(?:encoder|model)|clip_l\.|t5xxl\.")
_TOKENS = re.compile(r"emb_params|bundle_emb\..*|(?:clip_l|t5)(?:_embeddings?)?|learned_embeds.*|string_to_param.*")
_TOOLS = (  # beginnings of keys, and the tool that writes them, in words; the first that fits
    (r"lora_transformer_|transformer\..*\.lora_(?:down|up)\.weight$", "OneTrainer"),
    (r"lora_unet_", "kohya (sd-scripts, musubi-tuner)"),
    (r"lycoris_", "LyCORIS (SimpleTuner, ai-toolkit before 2026)"),
    (r".*\.processor\.\w+\.(?:down|up)\.weight$", "XLabs"),
    (r".*\.lora_(?:down|up)\.weight$", "ComfyUI"),
    (r"base_model\.|.*\.lora_[AB]\.\w+\.weight$", "PEFT"),
    (r"diffusion_model\.", "ai-toolkit or ComfyUI"),
    (r"transformer\.", "diffusers or ai-toolkit"),
)

_KEY = re.compile(
    rf"(?P<beginning>{_UNDERSCORED}|{_DOTTED})(?P<module>.+?)_?"
    rf"\.(?:{'|'.join(f'({ending})' for ending, _ in _ENDINGS)})"
)
_REFUSED_KEY = re.compile(rf".+?\.(?:{'|'.join(f'({ending})' for ending, _ in _REFUSED)})")


@dataclass(frozen=True)
class Named:
    """A key that is a tensor of a delta. `suffix` as the trainer has it: lora_A.weight, lokr_w1, diff, alpha, …"""

    module: str  # with dots, or with underscores for them
    suffix: str
    is_prefixed: bool


def read_key(key: str) -> Named | None:
    """What a key says; None for one that is no tensor of a LoRA, a LoKr or a full delta."""
    match = _KEY.fullmatch(key)
    if match is None:
        return None
    ending = next(i for i, found in enumerate(match.groups()[2:]) if found is not None)
    return Named(match["module"], _ENDINGS[ending][1], is_prefixed=bool(match["beginning"]))


def is_adapter(keys: Iterable[str]) -> bool:
    """True where a key is one of a delta, of a kind that can be applied or not."""
    return any(read_key(key) or _REFUSED_KEY.fullmatch(key) for key in keys)


def unsupported(keys: Iterable[str]) -> tuple[str, list[str]] | None:
    """What a file is that cannot be applied, in words that follow "is", and the keys that show it."""
    found: dict[int, list[str]] = {}
    for key in keys:
        if match := _REFUSED_KEY.fullmatch(key):
            found.setdefault(next(i for i, ending in enumerate(match.groups()) if ending is not None), []).append(key)
    return (_REFUSED[min(found)][1], found[min(found)]) if found else None


def of_text_encoders(keys: Iterable[str]) -> list[str]:
    """The keys of deltas for a text encoder."""
    return [key for key in keys if _TEXT_ENCODER.match(key)]


def text_encoder_patterns(keys: Iterable[str]) -> list[str]:
    """Of such keys, what they all fit: `lora_te1_*`."""
    return sorted({f"{match[0]}*" for key in keys if (match := _TEXT_ENCODER.match(key))})


def of_tokens(keys: Iterable[str]) -> list[str]:
    """The keys of trained words (textual inversion), which some trainers save beside a delta."""
    return [key for key in keys if _TOKENS.fullmatch(key)]


def tool_of(keys: Iterable[str]) -> str:
    """Whose names a file's keys are, in words; several tools may share them."""
    first = min((key for key in keys if not key.endswith(f".{ALPHA}")), default="")
    return next((tool for pattern, tool in _TOOLS if re.match(pattern, first)), "diffusers or BFL, without a prefix")

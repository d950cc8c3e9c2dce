"""The goldens' cases on this device against a CPU: tiny models of the real code, from tests/data/parity."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from figures import Row, Setting, equal, made_by, psnr, request_of, same
from safetensors.torch import save_file

from darkroom.checkpoint import DIFFUSERS, SINGLE_FILE, Checkpoint, Component
from darkroom.files.weight_file import sha256_of
from darkroom.render.family import family
from darkroom.render.nudge import nudged_repeats
from darkroom.render.pipelines import Pipelines
from darkroom.request.parts import Lora, ReferenceImage
from darkroom.request.request import Request

_LEEWAY = 6.0  # dB: twice as far as nudged repeats are
_PARITY = Path(__file__).parents[1] / "tests/data/parity"


def golden_cases(each: int, most: int | None) -> list[dict[str, Any]]:
    """Every `each`th of them, at most so many."""
    cases: list[dict[str, Any]] = json.loads((_PARITY / "golden/cases.json").read_text())["cases"]
    return cases[::each][:most]


def golden(setting: Setting, case: dict[str, Any], here: Pipelines, on_cpu: Pipelines) -> Iterator[Row]:
    """One case in bfloat16: how far this device's picture is from the CPU's, beside its own floor, and from itself."""
    request, checkpoint = _golden(setting, case)
    first, again, theirs = (made_by(setting, pipelines, checkpoint, request) for pipelines in (here, here, on_cpu))
    repeats = nudged_repeats(here, checkpoint, setting.store, request, 1 if setting.is_tiny else 2)
    floor = min(psnr(first.pixels, repeat) for repeat in repeats)
    distance = psnr(first.pixels, theirs.pixels)
    yield Row("goldens", f"{case['id']}: its own floor", floor, "dB")
    yield Row("goldens", f"{case['id']}: from the CPU's", distance, "dB", distance >= floor - _LEEWAY)
    yield Row("goldens", f"{case['id']}: twice the same", same(first, again), is_good=equal(first, again))


def _golden(setting: Setting, case: dict[str, Any]) -> tuple[Request, Checkpoint]:
    """With texts encoded on the CPU, so that only what renders differs."""
    is_dev = case["model"] == "dev"
    adapters = [_PARITY / "adapters" / f"{case['adapter']}.safetensors"] if case["adapter"] else []
    loras = tuple(Lora(str(path), case["network_multiplier"], sha256_of(path)) for path in adapters)
    images = [_PARITY / "references" / f"{name}.png" for name in case["references"]]
    request = request_of("tiny", 96, case["width"] // 16 * 16, case["sample_steps"], case["guidance_scale"]).changed(
        height=case["height"] // 16 * 16,
        seed=case["seed"],
        prompt="" if is_dev else case["prompt"],
        neg=case["neg"],
        prompt_embeds=str(_PARITY / "dev/prompt_embeds.safetensors") if is_dev else None,
        guidance="embedded" if is_dev else "cfg",
        text_encoder_cast=case["text_encoder_cast"],
        quantize_transformer=case["quantize"],
        quantize_text_encoder=case["quantize"],
        loras=loras,
        lora_merge=case["lora_merge"] if loras else None,
        ctrl_images=tuple(ReferenceImage(str(path), sha256_of(path)) for path in images),
    )
    transformer = "dev/flux2-dev" if is_dev else "klein/flux-2-klein-base-4b"
    texts = Component(str(_PARITY / "klein/qwen3"), DIFFUSERS, "qwen3")
    checkpoint = Checkpoint(
        "tiny",
        None,
        {
            "transformer": Component(str(_PARITY / f"{transformer}.safetensors"), SINGLE_FILE, transformer),
            "vae": Component(str(_PARITY / "klein/ae.safetensors"), SINGLE_FILE, "ae"),
            "text_encoder": texts,
            "tokenizer": texts,
        },
    )
    request = request.changed(checkpoint_digest=checkpoint.digest)
    _encode(setting, request, checkpoint)
    return request, checkpoint


def _encode(setting: Setting, request: Request, checkpoint: Checkpoint) -> None:
    kind, encoder = family("flux2"), None
    for text in request.texts:
        path = setting.store.embedding(request.encoder.embedding_id(text))
        if not path.is_file():
            encoder = encoder or kind.load_text_encoder(checkpoint, request.encoder, torch.device("cpu"))
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({name: tensor.contiguous() for name, tensor in kind.encode(encoder, text).items()}, path)

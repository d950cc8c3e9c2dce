"""The yardstick: renders Darkroom's own requests with stock diffusers in one process, and prints the seconds it took.

The same prompts, negative prompts, sizes, seeds, steps, guidance and adapters, but diffusers' schedule and rounding, so
the pictures are others. It does what a careful user's script does and no more: loads the model once, encodes each text
once, loads each adapter once, saves PNG files. Needs `pip install peft`, which Darkroom does not.

    python benchmarks/bare_diffusers.py --checkpoint FOLDER --output FOLDER --requests REQUESTS.json...
"""

import argparse
import json
import time
from itertools import groupby
from pathlib import Path
from typing import Any

START = time.perf_counter()

import torch  # noqa: E402  (its import is one of the things that are timed)
from diffusers import Flux2KleinPipeline  # noqa: E402
from PIL import Image  # noqa: E402


def main() -> None:
    arguments = parse_arguments()
    clock = {"import": time.perf_counter() - START}
    requests = [flat(one) for file in arguments.requests for one in json.loads(file.read_text())["requests"]]
    requests.sort(key=adapters_of)
    torch.set_num_threads(arguments.threads)
    arguments.output.mkdir(parents=True, exist_ok=True)

    start = time.perf_counter()
    pipeline = Flux2KleinPipeline.from_pretrained(arguments.checkpoint, dtype=torch.bfloat16)
    pipeline.set_progress_bar_config(disable=True)
    clock["load"] = time.perf_counter() - start

    start = time.perf_counter()
    texts = {text for request in requests for text in (request["prompt"], request["neg"])}
    with torch.no_grad():
        [length] = {request["max_sequence_length"] for request in requests}
        embeddings = {text: pipeline.encode_prompt(text, max_sequence_length=length)[0] for text in sorted(texts)}
    clock["encode"] = time.perf_counter() - start

    start = time.perf_counter()
    number = 0
    for adapters, images in groupby(requests, key=adapters_of):
        use_adapters(pipeline, adapters, arguments.adapters)
        for request in images:
            render(pipeline, request, embeddings).save(arguments.output / f"{number:05d}.png")
            number += 1
    clock["render"] = time.perf_counter() - start
    clock["total"] = time.perf_counter() - START
    seconds = {phase: round(value, 3) for phase, value in clock.items()}
    print(json.dumps({"images": number, "adapters": arguments.adapters, "seconds": seconds}))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True, help="a klein checkpoint in diffusers layout")
    parser.add_argument("--requests", type=Path, nargs="+", required=True, help='files of {"requests": [...]}')
    parser.add_argument("--output", type=Path, required=True, help="folder for the PNG files")
    parser.add_argument("--threads", type=int, default=1, help="of torch, per operation")
    parser.add_argument(
        "--adapters", choices=("live", "fused"), default="fused", help="beside the base, or added to it"
    )
    return parser.parse_args()


def flat(request: dict[str, Any]) -> dict[str, Any]:
    """The fields of a request's parts, side by side."""
    return {name: value for part in request.values() if isinstance(part, dict) for name, value in part.items()}


def adapters_of(request: dict[str, Any]) -> list[tuple[str, float]]:
    """Files and strengths. Sorted by it, requests of one file stay together, and those without any come first."""
    return [(lora["path"], lora["network_multiplier"]) for lora in request["loras"] if lora["network_multiplier"]]


def use_adapters(pipeline: Flux2KleinPipeline, adapters: list[tuple[str, float]], how: str) -> None:
    """Switch to the adapters, loading those files that the group before did not use."""
    names = {path: Path(path).stem for path, _ in adapters}
    loaded = pipeline.get_list_adapters().get("transformer", [])
    if how == "fused" and loaded:
        pipeline.unfuse_lora()
    if loaded and set(loaded) != set(names.values()):
        pipeline.unload_lora_weights()
        pipeline.transformer.unfuse_qkv_projections()  # a LoKr leaves them fused, and a LoRA's share of them unused
        loaded = []
    for path, name in names.items():
        if name not in loaded:
            pipeline.load_lora_weights(path, adapter_name=name)
    if adapters:
        pipeline.set_adapters(list(names.values()), [strength for _, strength in adapters])
    if how == "fused" and adapters:
        pipeline.fuse_lora()


def render(pipeline: Flux2KleinPipeline, request: dict[str, Any], embeddings: dict[str, torch.Tensor]) -> Image.Image:
    """One picture by the stock pipeline, its noise drawn as Darkroom draws it."""
    picture: Image.Image = pipeline(
        prompt_embeds=embeddings[request["prompt"]],
        negative_prompt_embeds=embeddings[request["neg"]],
        width=request["width"],
        height=request["height"],
        num_inference_steps=request["sample_steps"],
        guidance_scale=request["guidance_scale"],
        generator=torch.Generator().manual_seed(request["seed"]),
    ).images[0]
    return picture


if __name__ == "__main__":
    main()

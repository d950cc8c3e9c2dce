"""A model of the real shapes with random weights: loading, speed, memory modes, switching, and what runs out."""

import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from figures import Row, Setting, equal, made_by, pipelines_on, psnr, request_of, same
from random_flux2 import RandomModel, touched_bytes, write_lokr, write_lora, write_model
from safetensors.torch import save_file

from darkroom.errors import PictureError
from darkroom.files.weight_file import sha256_of
from darkroom.render.device.compiled import why_not_compiled
from darkroom.render.device.environment import memory_budget
from darkroom.render.device.mode import IN_FILE, LADDER, ON_DEVICE, PINNED, Budget, Workload
from darkroom.render.family import family
from darkroom.render.job import Destination
from darkroom.render.loop import Loop, Rendered, Task
from darkroom.render.picture import Made
from darkroom.render.pipelines import Pipelines
from darkroom.request.parts import Lora
from darkroom.request.request import Request
from darkroom.request.speedups import BATCHED_GUIDANCE, COMPILED_BLOCKS, SPEEDUPS, numerics_in_full

_WISHES = {"resident": "none", "model": "model", "block": "block"}  # mode → --offload


def full_size(setting: Setting, name: str) -> Iterator[Row]:
    """Loading, speed, memory modes, switching, the host's share, and memory that runs out; for one model."""
    # 1. Its files
    started = time.monotonic()
    model = write_model(setting.folder / name, name, setting.device)
    yield Row(name, "weights of the transformer", model.bytes / 1e9, "GB")
    yield Row(name, "writing random weights", time.monotonic() - started, "s")
    large, small = (request_of(name, model.text_features, side, 4, 1.0) for side in setting.sides)
    large, small = (request.changed(checkpoint_digest=model.checkpoint.digest) for request in (large, small))
    for request in (large, large.changed(guidance_scale=4.0)):
        _random_texts(setting, request, model)
    # 2. Loaded, and the first picture
    pipelines = pipelines_on(setting.device)
    first = made_by(setting, pipelines, model.checkpoint, large)
    yield Row(name, "loading (from a file that was just written)", first.cost.seconds_load, "s")
    yield Row(name, "the mode that was chosen", str(first.cost.memory_mode))
    yield from _attention(setting, pipelines, model, small)
    # 3. Figures of the warm model
    yield from _speed(setting, pipelines, model, large, small)
    yield from _switching(setting, pipelines, model, small)
    yield from _host(setting, pipelines, model, small)
    pipelines.let_go()
    for request in (small,) if setting.is_tiny else (large, small):
        yield from _fast(setting, model, request.changed(guidance_scale=4.0))
    # 4. The same picture in every mode, and where memory runs out
    yield from _modes(setting, model, large, first)
    yield from _running_out(setting, model, large, first)


def _attention(setting: Setting, pipelines: Pipelines, model: RandomModel, request: Request) -> Iterator[Row]:
    """The operators that computed one picture's attention: those of a kernel, not of its parts."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        made_by(setting, pipelines, model.checkpoint, request)
    names = sorted({event.key for event in seen.key_averages() if event.key.startswith("aten::_scaled_dot_product")})
    is_fused = not any(name.endswith("_math") for name in names)
    yield Row(model.name, "attention that ran", ", ".join(names), is_good=is_fused)


def _speed(setting: Setting, pipelines: Pipelines, model: RandomModel, large: Request, small: Request) -> Iterator[Row]:
    steps = 3 if setting.is_tiny else 25
    guided = large.changed(sample_steps=steps, guidance_scale=4.0)
    cases = [(large, "4 steps"), (small, "4 steps"), (guided, f"{steps} steps, guided")]
    for request, what in cases:
        made = [made_by(setting, pipelines, model.checkpoint, request) for _ in range(setting.repeats)]
        size = f"{request.sampling.width}², {what}"
        for part in ("denoise", "decode"):
            seconds = statistics.median(getattr(each.cost, f"seconds_{part}") for each in made)
            yield Row(model.name, f"{size}: {part}", seconds, "s")
        yield Row(model.name, f"{size}: twice the same", same(made[0], made[-1]), is_good=equal(made[0], made[-1]))


def _switching(setting: Setting, pipelines: Pipelines, model: RandomModel, request: Request) -> Iterator[Row]:
    """From the base to each adapter, to another strength of it, and back; beside one copy of the weights touched.

    From each place where the weights as they were before can rest: the same pictures.
    """
    copy = _copy_seconds(touched_bytes(model), setting.device)
    yield Row(model.name, "one copy of the weights that adapters touch", copy, "s")
    pictures: dict[tuple[str, float], Made] = {}
    for place in (ON_DEVICE, PINNED, IN_FILE) if setting.device.type == "cuda" else (ON_DEVICE, IN_FILE):
        for label, path in _adapters(setting, model):
            digest = sha256_of(path)
            for what, strength in (("first", 1.0), ("another strength", 0.5), ("back to the base", 0.0)):
                changed = request.changed(loras=(Lora(str(path), strength, digest),), lora_merge="merged")
                pipelines.base(model.checkpoint, changed).pristine.move(place)
                made = made_by(setting, pipelines, model.checkpoint, changed)
                name, seconds = f"switch from the {made.cost.switched_from}, {label}, {what}", made.cost.seconds_switch
                yield Row(model.name, name, seconds, "s")
                yield Row(model.name, f"{name}: ÷ one copy", seconds / copy)
                first = pictures.setdefault((label, strength), made)
                if first is not made:
                    yield Row(model.name, f"{name}: the same picture", same(made, first), is_good=equal(made, first))


def _adapters(setting: Setting, model: RandomModel) -> Iterator[tuple[str, Path]]:
    for rank in (2, 4) if setting.is_tiny else (16, 64):
        write_lora(path := setting.folder / f"{model.name}-{rank}.safetensors", model, rank, setting.device)
        yield f"LoRA of rank {rank}", path
    write_lokr(path := setting.folder / f"{model.name}-lokr.safetensors", model, setting.device)
    yield "LoKr", path


def _host(setting: Setting, pipelines: Pipelines, model: RandomModel, request: Request) -> Iterator[Row]:
    """Through the loop and the writer, as a worker renders: what the device waits for besides its own work."""
    count = 3 if setting.is_tiny else 24
    tasks = [
        Task(
            seeded := request.changed(seed=seed),
            Destination(
                request_id=seeded.request_id,
                stored=setting.store.image(seeded.request_id, "png", 95),
                shown=setting.folder / f"{model.name}-{seed}.png",
                image_format="png",
                quality=95,
                stored_latents=None,
                shown_latents=None,
                metadata="full",
                directory=setting.folder,
            ),
        )
        for seed in range(count)
    ]
    loop = Loop(
        pipelines=pipelines, checkpoint=model.checkpoint, store=setting.store, offload="auto", survived=(PictureError,)
    )
    started = time.monotonic()
    made = [each for each in loop.render(tasks, lambda done: None) if isinstance(each, Rendered)]
    seconds = time.monotonic() - started
    busy = sum(each.cost.seconds_denoise + each.cost.seconds_decode for each in made)
    yield Row(
        model.name, f"{count} pictures of {request.sampling.width}², written", len(made), is_good=len(made) == count
    )
    yield Row(model.name, f"{count} pictures: all the time ÷ denoise and decode", seconds / busy)
    yield Row(
        model.name, "encoding and writing one, on another thread", _median(e.cost.seconds_save for e in made), "s"
    )


def _fast(setting: Setting, model: RandomModel, exact: Request) -> Iterator[Row]:
    """A guided picture by what fast does, one thing at a time and all at once: its seconds, its distance from exact."""
    side = f"{exact.sampling.width}², {exact.sampling.sample_steps} steps, guided"
    slow = _made_warm(setting, model, exact)
    yield Row(model.name, f"{side}, exact: an image", _seconds(slow[1:]), "s")
    for speedups in ((), (BATCHED_GUIDANCE,), (COMPILED_BLOCKS,), SPEEDUPS):
        request = exact.changed(numerics="fast", **dict.fromkeys(speedups, True))
        name = f"{side}, {numerics_in_full(request.base)}"
        if COMPILED_BLOCKS in speedups and (why := why_not_compiled(setting.device)):
            yield Row(model.name, name, f"not measured: {why}")
            continue
        made = _made_warm(setting, model, request)
        yield Row(model.name, f"{name}: an image", _seconds(made[1:]), "s")
        yield Row(model.name, f"{name}: the first image, with what is compiled for it", _seconds(made[:1]), "s")
        yield Row(model.name, f"{name}: from exact", psnr(made[0].pixels, slow[0].pixels), "dB")
        yield Row(model.name, f"{name}: twice the same", same(made[0], made[-1]), is_good=equal(made[0], made[-1]))
        yield from _peak(setting, model, request, made, name)


def _made_warm(setting: Setting, model: RandomModel, request: Request) -> list[Made]:
    """One and as many more as timings are repeated, on a model that is let go behind them."""
    pipelines = pipelines_on(setting.device)
    made = [made_by(setting, pipelines, model.checkpoint, request) for _ in range(1 + setting.repeats)]
    pipelines.let_go()
    return made


def _seconds(made: Sequence[Made]) -> float:
    return statistics.median(each.cost.seconds_denoise + each.cost.seconds_decode for each in made)


def _peak(setting: Setting, model: RandomModel, request: Request, made: Sequence[Made], name: str) -> Iterator[Row]:
    """No more memory than was estimated for the mode that they were made in."""
    footprint = family("flux2").footprints(model.checkpoint, request.base, [Workload.of(request)])[None]
    peak, estimate = max(each.cost.peak_memory_bytes or 0 for each in made), footprint.peak(made[0].cost.memory_mode)
    yield Row(model.name, f"{name}: peak memory", peak / 1e9, "GB")
    # A CPU's peak is the process's; of tiny models the embeddings and the pixels count, which no rule has.
    is_within = peak <= estimate if setting.device.type == "cuda" and not setting.is_tiny else None
    yield Row(model.name, f"{name}: peak memory, estimated", estimate / 1e9, "GB", is_within)


def _modes(setting: Setting, model: RandomModel, request: Request, first: Made) -> Iterator[Row]:
    """Each memory mode: bit for bit the same picture, no more memory than was estimated, and what it costs."""
    for mode in LADDER if setting.device.type == "cuda" else LADDER[:1]:
        pipelines = pipelines_on(setting.device)
        made = [
            made_by(setting, pipelines, model.checkpoint, request, _WISHES[mode]) for _ in range(1 + setting.repeats)
        ]
        yield Row(model.name, f"{mode}: the same picture", same(made[-1], first), is_good=equal(made[-1], first))
        yield Row(model.name, f"{mode}: an image", _seconds(made[1:]), "s")
        yield from _peak(setting, model, request, made, mode)
        pipelines.let_go()


def _running_out(setting: Setting, model: RandomModel, request: Request, first: Made) -> Iterator[Row]:
    """A plan that believes in more memory than there is: it runs out, one step down the picture is the same."""
    if setting.device.type != "cuda":
        yield Row(model.name, "memory that runs out", "not provoked: a CPU's is not to be filled")
        return
    footprint = family("flux2").footprints(model.checkpoint, request.base, [Workload.of(request)])[None]
    wanted = (footprint.peak("resident") + footprint.peak("model")) // 2
    torch.cuda.empty_cache()
    ballast = torch.empty(max(0, torch.cuda.mem_get_info()[0] - wanted), dtype=torch.uint8, device=setting.device)

    def budget(device: torch.device) -> Budget:
        return replace(memory_budget(device), free=memory_budget(device).total)

    pipelines = Pipelines(budget)
    pipelines.device = setting.device
    made = made_by(setting, pipelines, model.checkpoint, request)
    yield Row(model.name, "memory ran out: the mode after it", str(made.cost.memory_mode))
    yield Row(model.name, "memory ran out: the same picture", same(made, first), is_good=equal(made, first))
    del ballast
    torch.cuda.empty_cache()


def _random_texts(setting: Setting, request: Request, model: RandomModel) -> None:
    for seed, text in enumerate(request.texts):
        path = setting.store.embedding(request.encoder.embedding_id(text))
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn = torch.randn(1, 512, model.text_features, generator=torch.Generator().manual_seed(seed))
        save_file({"prompt_embeds": drawn.bfloat16()}, path)


def _median(values: Iterable[float | None]) -> float:
    return statistics.median(value for value in values if value is not None)


def _copy_seconds(size: int, device: torch.device) -> float:
    """Of one copy of so many bytes in the device's memory; the best of five."""
    source = torch.empty(size, dtype=torch.uint8, device=device)
    target, seconds = torch.empty_like(source), []
    for _ in range(5):
        started = time.monotonic()
        target.copy_(source)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.monotonic() - started)
    return min(seconds)

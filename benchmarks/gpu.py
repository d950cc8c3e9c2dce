"""What a GPU makes of Darkroom: one command, one table, one JSON file, in ten minutes at most.

    python benchmarks/gpu.py              random klein-4B at full size, and the tiny goldens (8 GB of disk for a while)
    python benchmarks/gpu.py --short      the same with fewer repeats, in half the time
    python benchmarks/gpu.py --large      klein-9B and dev as well
    python benchmarks/gpu.py --tiny       everything at a size for a CPU: what the tests run

Drives the render room in this process: neither Snakemake nor Hydra has to be installed. A part that fails is a row of
the table, the others go on, and the exit status is 1. Result: benchmarks/results/gpu-<date>-<card>.json
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
sys.path[:0] = [str(REPOSITORY / "src"), str(REPOSITORY / "benchmarks")]

import numpy as np  # noqa: E402  (after the path, so that a checkout needs no installation)
import torch  # noqa: E402
from random_flux2 import RandomModel, touched_bytes, write_lokr, write_lora, write_model  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from darkroom.checkpoint import DIFFUSERS, SINGLE_FILE, Checkpoint, Component  # noqa: E402
from darkroom.errors import PictureError  # noqa: E402
from darkroom.files.weight_file import sha256_of  # noqa: E402
from darkroom.render.device.environment import environment_of, memory_budget  # noqa: E402
from darkroom.render.device.mode import LADDER, Budget, Workload  # noqa: E402
from darkroom.render.families.sampling import generator  # noqa: E402
from darkroom.render.family import family  # noqa: E402
from darkroom.render.job import Destination  # noqa: E402
from darkroom.render.loop import Loop, Rendered, Task  # noqa: E402
from darkroom.render.picture import Made, make_picture  # noqa: E402
from darkroom.render.pipelines import Pipelines  # noqa: E402
from darkroom.request import (  # noqa: E402
    Asked,
    BaseModel,
    Encoder,
    Lora,
    ReferenceImage,
    Request,
    Sampling,
    Source,
    Text,
    Title,
)
from darkroom.store import Store  # noqa: E402

PARITY = REPOSITORY / "tests/data/parity"
WISHES = {"resident": "none", "model": "model", "block": "block"}  # mode → --offload
POISON = """
import torch
table = torch.zeros(2, device="cuda")
try:
    print(table[torch.tensor([5], device="cuda")].cpu())
except Exception as error:
    print(type(error).__name__, str(error).splitlines()[0])
"""


@dataclass(frozen=True)
class Row:
    """One figure. `is_good`: what has to hold does; None where nothing has to."""

    part: str
    what: str
    value: float | str
    unit: str = ""
    is_good: bool | None = None


@dataclass(frozen=True)
class Setting:
    """What all parts share. `repeats`: of each timing, of which the median counts."""

    folder: Path
    device: torch.device
    is_tiny: bool
    repeats: int

    @property
    def store(self) -> Store:
        return Store(self.folder / "store")

    @property
    def sides(self) -> tuple[int, int]:
        """Of pictures, in pixels: a large one and a small one."""
        return (128, 64) if self.is_tiny else (1024, 512)


def main() -> int:
    options = _options()
    device = torch.device("cpu" if options.tiny or not torch.cuda.is_available() else "cuda")
    names = ["tiny"] if options.tiny else ["flux2_klein_4b", *(["flux2_klein_9b", "flux2"] if options.large else [])]
    if device.type == "cpu" and not options.tiny:
        print("gpu.py: no CUDA device: --tiny runs everything on a CPU, at a size that says nothing of a GPU")
        return 1
    torch.set_num_threads(1 if options.tiny else torch.get_num_threads())
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        setting = Setting(Path(folder), device, options.tiny, 1 if options.tiny else 2 if options.short else 5)
        rows = list(_rows(setting, names, options.short or options.tiny))
    rows.append(Row("whole", "seconds that all of this took", time.monotonic() - started, "s"))
    _write(rows, device, options)
    return int(any(row.is_good is False for row in rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="fewer repeats, fewer goldens")
    parser.add_argument("--large", action="store_true", help="klein-9B and dev too: 18 and 64 GB of weights")
    parser.add_argument("--tiny", action="store_true", help="on a CPU, as the tests do")
    parser.add_argument("--folder", type=Path, help="where random weights lie for a while (default: the system's)")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "benchmarks/results", help="for the JSON file")
    return parser.parse_args()


def _rows(setting: Setting, names: Sequence[str], is_short: bool) -> Iterator[Row]:
    """Part by part, each printed as it comes."""
    cases = json.loads((PARITY / "golden/cases.json").read_text())["cases"][:: 8 if is_short else 1]
    cases = cases[:4] if setting.is_tiny else cases
    here, on_cpu = Pipelines(), Pipelines()
    here.device, on_cpu.device = setting.device, torch.device("cpu")
    parts: list[tuple[str, Callable[[], Iterator[Row]]]] = [
        ("device", partial(device_facts, setting)),
        *(
            ("goldens", partial(golden, setting, case, here, on_cpu))
            for case in cases[: 4 if setting.is_tiny else None]
        ),
        ("noise", partial(noise, setting)),
        *((name, partial(full_size, setting, name)) for name in names),
        ("poisoned context", partial(poisoned_context, setting)),
    ]
    for name, part in parts:
        try:
            for row in part():
                print(_line(row), flush=True)
                yield row
        except Exception as error:  # of any kind: the other parts have to be measured all the same
            traceback.print_exc()
            row = Row(name, "failed", f"{type(error).__name__}: {str(error).partition(chr(10))[0]}", is_good=False)
            print(_line(row), flush=True)
            yield row


# 1. What is here


def device_facts(setting: Setting) -> Iterator[Row]:
    environment = environment_of(setting.device, torch.bfloat16)
    yield Row("device", "card", environment.gpu_name or platform.processor() or platform.machine())
    yield Row("device", "attention in effect", environment.attention_backend)
    yield Row("device", "torch", environment.torch_version)
    yield Row("device", "diffusers", environment.diffusers_version)
    if setting.device.type == "cuda":
        capability = torch.cuda.get_device_capability()
        yield Row("device", "compute capability", ".".join(map(str, capability)))
        yield Row("device", "CUDA", f"{torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}")
        yield Row("device", "memory", memory_budget(setting.device).total / 1e9, "GB")


# 2. The goldens' cases on this device against a CPU


def golden(setting: Setting, case: dict[str, Any], here: Pipelines, on_cpu: Pipelines) -> Iterator[Row]:
    """One case in bfloat16: how far this device's picture is from the CPU's, and from itself."""
    request, checkpoint = _golden(setting, case)
    first, again, theirs = (_made(setting, pipelines, checkpoint, request) for pipelines in (here, here, on_cpu))
    distance = _psnr(first.pixels, theirs.pixels)
    yield Row("goldens", f"{case['id']}: from the CPU's", distance, "dB", distance > 20)
    yield Row("goldens", f"{case['id']}: twice the same", _same(first, again), is_good=_equal(first, again))


def _golden(setting: Setting, case: dict[str, Any]) -> tuple[Request, Checkpoint]:
    """With texts encoded on the CPU, so that only what renders differs."""
    is_dev = case["model"] == "dev"
    adapters = [PARITY / "adapters" / f"{case['adapter']}.safetensors"] if case["adapter"] else []
    loras = tuple(Lora(str(path), case["network_multiplier"], sha256_of(path)) for path in adapters)
    images = [PARITY / "references" / f"{name}.png" for name in case["references"]]
    request = _request("tiny", 96, case["width"] // 16 * 16, case["sample_steps"], case["guidance_scale"]).changed(
        height=case["height"] // 16 * 16,
        seed=case["seed"],
        prompt="" if is_dev else case["prompt"],
        neg=case["neg"],
        prompt_embeds=str(PARITY / "dev/prompt_embeds.safetensors") if is_dev else None,
        guidance="embedded" if is_dev else "cfg",
        text_encoder_cast=case["text_encoder_cast"],
        quantize_transformer=case["quantize"],
        quantize_text_encoder=case["quantize"],
        loras=loras,
        lora_merge=case["lora_merge"] if loras else None,
        ctrl_images=tuple(ReferenceImage(str(path), sha256_of(path)) for path in images),
    )
    transformer = "dev/flux2-dev" if is_dev else "klein/flux-2-klein-base-4b"
    texts = Component(str(PARITY / "klein/qwen3"), DIFFUSERS, "qwen3")
    checkpoint = Checkpoint(
        "tiny",
        None,
        {
            "transformer": Component(str(PARITY / f"{transformer}.safetensors"), SINGLE_FILE, transformer),
            "vae": Component(str(PARITY / "klein/ae.safetensors"), SINGLE_FILE, "ae"),
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


# 3. Noise


def noise(setting: Setting) -> Iterator[Row]:
    """Drawn on the device: the same from the same seed, and other than the CPU's."""
    drawn = [
        torch.randn(1, 128, 64, 64, generator=generator(42, where), device=where).cpu()
        for where in (setting.device.type, setting.device.type, "cpu")
    ]
    yield Row("noise", "twice the same", _word(torch.equal(drawn[0], drawn[1])), is_good=torch.equal(*drawn[:2]))
    is_cpus = torch.equal(drawn[0], drawn[2])
    yield Row("noise", "the CPU's", _word(is_cpus), is_good=is_cpus == (setting.device.type == "cpu"))


# 4. A model of the real shapes


def full_size(setting: Setting, name: str) -> Iterator[Row]:
    """Loading, speed, memory modes, switching, the host's share, and memory that runs out; for one model."""
    # 1. Its files
    started = time.monotonic()
    model = write_model(setting.folder / name, name, setting.device)
    yield Row(name, "weights of the transformer", model.bytes / 1e9, "GB")
    yield Row(name, "writing random weights", time.monotonic() - started, "s")
    large, small = (_request(name, model.text_features, side, 4, 1.0) for side in setting.sides)
    large, small = (request.changed(checkpoint_digest=model.checkpoint.digest) for request in (large, small))
    for request in (large, large.changed(guidance_scale=4.0)):
        _random_texts(setting, request, model)
    # 2. Loaded, and the first picture
    pipelines = Pipelines()
    pipelines.device = setting.device
    first = _made(setting, pipelines, model.checkpoint, large)
    yield Row(name, "loading (from a file that was just written)", first.cost.seconds_load, "s")
    yield Row(name, "the mode that was chosen", str(first.cost.memory_mode))
    # 3. Figures of the warm model
    yield from _speed(setting, pipelines, model, large, small)
    yield from _switching(setting, pipelines, model, small)
    yield from _host(setting, pipelines, model, small)
    pipelines.let_go()
    yield from _fast(setting, model, large, first)
    # 4. The same picture in every mode, and where memory runs out
    yield from _modes(setting, model, large, first)
    yield from _running_out(setting, model, large, first)


def _speed(setting: Setting, pipelines: Pipelines, model: RandomModel, large: Request, small: Request) -> Iterator[Row]:
    cases = [(large, "4 steps"), (small, "4 steps"), (large.changed(sample_steps=25, guidance_scale=4.0), "25 steps")]
    for request, what in cases:
        made = [_made(setting, pipelines, model.checkpoint, request) for _ in range(setting.repeats)]
        size = f"{request.sampling.width}², {what}"
        for part in ("denoise", "decode"):
            seconds = statistics.median(getattr(each.cost, f"seconds_{part}") for each in made)
            yield Row(model.name, f"{size}: {part}", seconds, "s")
        yield Row(model.name, f"{size}: twice the same", _same(made[0], made[-1]), is_good=_equal(made[0], made[-1]))


def _switching(setting: Setting, pipelines: Pipelines, model: RandomModel, request: Request) -> Iterator[Row]:
    """From the base to each adapter, to another strength of it, and back; beside one copy of the weights touched."""
    copy = _copy_seconds(touched_bytes(model), setting.device)
    yield Row(model.name, "one copy of the weights that adapters touch", copy, "s")
    for label, path in _adapters(setting, model):
        digest = sha256_of(path)
        for what, strength in (("first", 1.0), ("another strength", 0.5), ("back to the base", 0.0)):
            changed = request.changed(loras=(Lora(str(path), strength, digest),), lora_merge="merged")
            seconds = _made(setting, pipelines, model.checkpoint, changed).cost.seconds_switch
            yield Row(model.name, f"switch, {label}, {what}", seconds, "s")
            yield Row(model.name, f"switch, {label}, {what}: ÷ one copy", seconds / copy)


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
                is_public=False,
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


def _fast(setting: Setting, model: RandomModel, request: Request, exact: Made) -> Iterator[Row]:
    pipelines = Pipelines()
    pipelines.device = setting.device
    fast = request.changed(numerics="fast")
    made = [_made(setting, pipelines, model.checkpoint, fast) for _ in range(1 + setting.repeats)]
    seconds = statistics.median(each.cost.seconds_denoise + each.cost.seconds_decode for each in made[1:])
    yield Row(model.name, "numerics: fast, an image", seconds, "s")
    yield Row(model.name, "numerics: fast, from exact", _psnr(made[0].pixels, exact.pixels), "dB")


def _modes(setting: Setting, model: RandomModel, request: Request, first: Made) -> Iterator[Row]:
    """Each memory mode: bit for bit the same picture, no more memory than was estimated, and what it costs."""
    footprint = family("flux2").footprints(model.checkpoint, request.base, [Workload.of(request)])[None]
    for mode in LADDER if setting.device.type == "cuda" else LADDER[:1]:
        pipelines = Pipelines()
        pipelines.device = setting.device
        made = [_made(setting, pipelines, model.checkpoint, request, WISHES[mode]) for _ in range(1 + setting.repeats)]
        peak, estimate = max(each.cost.peak_memory_bytes for each in made), footprint.peak(mode)
        seconds = statistics.median(each.cost.seconds_denoise + each.cost.seconds_decode for each in made[1:])
        yield Row(model.name, f"{mode}: the same picture", _same(made[-1], first), is_good=_equal(made[-1], first))
        yield Row(model.name, f"{mode}: an image", seconds, "s")
        yield Row(model.name, f"{mode}: peak memory", peak / 1e9, "GB")
        is_within = peak <= estimate if setting.device.type == "cuda" else None  # a CPU's peak is the process's
        yield Row(model.name, f"{mode}: peak memory, estimated", estimate / 1e9, "GB", is_within)
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
    made = _made(setting, pipelines, model.checkpoint, request)
    yield Row(model.name, "memory ran out: the mode after it", str(made.cost.memory_mode))
    yield Row(model.name, "memory ran out: the same picture", _same(made, first), is_good=_equal(made, first))
    del ballast
    torch.cuda.empty_cache()


# 5. A context that is lost


def poisoned_context(setting: Setting) -> Iterator[Row]:
    """A kernel that fails takes its process's context; another process has the device as before."""
    if setting.device.type != "cuda":
        yield Row("poisoned context", "an index out of bounds on the device", "not provoked: needs a GPU")
        return
    ended = subprocess.run([sys.executable, "-c", POISON], capture_output=True, text=True, check=False)
    yield Row("poisoned context", "what torch says", ended.stdout.strip()[:200])
    is_well = torch.equal(torch.ones(4, device="cuda").cpu(), torch.ones(4))
    yield Row("poisoned context", "this process computes on", _word(is_well), is_good=is_well)


# What the parts use


def _request(name: str, text_features: int, side: int, steps: int, guidance_scale: float) -> Request:
    return Request(
        title=Title(experiment="gpu", model=name, lora="none", prompts="gpu", index=0, image_name="0"),
        base=BaseModel(family="flux2", dtype="bfloat16", guidance="cfg", numerics="exact"),
        encoder=Encoder(family="flux2", dtype="bfloat16", max_sequence_length=512),
        sampling=Sampling(
            width=side, height=side, seed=42, sample_steps=steps, guidance_scale=guidance_scale, schedule="aitk"
        ),
        text=Text(prompt=f"noise of {text_features} features a token"),
        source=Source(checkpoint=name, text_encoder="random"),
        asked=Asked(prompt_template="", width_requested=side, height_requested=side),
    )


def _random_texts(setting: Setting, request: Request, model: RandomModel) -> None:
    for seed, text in enumerate(request.texts):
        path = setting.store.embedding(request.encoder.embedding_id(text))
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn = torch.randn(1, 512, model.text_features, generator=torch.Generator().manual_seed(seed))
        save_file({"prompt_embeds": drawn.bfloat16()}, path)


def _median(values: Iterable[float | None]) -> float:
    return statistics.median(value for value in values if value is not None)


def _made(
    setting: Setting, pipelines: Pipelines, checkpoint: Checkpoint, request: Request, offload: str = "auto"
) -> Made:
    return pipelines.with_base(
        checkpoint,
        request,
        lambda loaded: make_picture(setting.store, request, loaded, lambda: None),
        frozenset({Workload.of(request)}),
        offload,
    )


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


def _psnr(left: Any, right: Any) -> float:
    """dB between two pictures of 8 bits; infinite for equal ones."""
    error = float(np.mean((np.asarray(left).astype(float) - np.asarray(right).astype(float)) ** 2))
    return float("inf") if error == 0 else 10 * float(np.log10(255**2 / error))


def _equal(left: Made, right: Made) -> bool:
    return torch.equal(left.latents, right.latents) and bool(np.array_equal(left.pixels, right.pixels))


def _same(left: Made, right: Made) -> str:
    return "yes" if _equal(left, right) else f"no: {_psnr(left.pixels, right.pixels):.1f} dB"


def _word(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _line(row: Row) -> str:
    value = f"{row.value:.4g}" if isinstance(row.value, float) else row.value
    mark = {True: "ok ", False: "BAD", None: "   "}[row.is_good]
    return f"{mark} {row.part:16} {row.what:52} {value} {row.unit}".rstrip()


def _write(rows: Sequence[Row], device: torch.device, options: argparse.Namespace) -> None:
    card = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
    now = datetime.now(UTC)
    name = f"gpu-{now:%Y-%m-%d}-{card.replace(' ', '-').replace('/', '-')}{'-tiny' if options.tiny else ''}.json"
    content = {
        "made_at": now.isoformat(timespec="seconds"),
        "command": " ".join(["gpu.py", *sys.argv[1:]]),
        "rows": [asdict(row) for row in rows],
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / name).write_text(json.dumps(content, indent=1) + "\n")
    bad = sum(row.is_good is False for row in rows)
    print(f"{options.out / name}: {len(rows)} rows, {bad} bad")


if __name__ == "__main__":
    sys.exit(main())

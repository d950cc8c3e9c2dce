"""How often a picture's own floor is wrong: false alarms between kinds of processors, and faults that it lets pass.

    python benchmarks/floors.py FOLDER --seeds 12            # 12 x 42 pictures by three kinds of arithmetic: hours
    python benchmarks/floors.py FOLDER --seeds 12 --table    # of what there is by now

What was rendered stays in FOLDER, and the same command goes on where it was stopped. A model and a seed is an
experiment; each kind of arithmetic, which torch and oneDNN are held to, is a machine with a folder of its own, which
renders the experiment, its nudged repeats, and, on the first machine, each fault; and then more repeats of the pictures
that a few leave in doubt, as `regress` does.
"""

import argparse
import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from darkroom.record.rows import Record, read_records
from darkroom.review.pair.measures import Measures, Pixels, measure, psnr
from darkroom.review.pair.own_floor import CLOSER_REPEATS, REPEATS, is_in_doubt
from darkroom.review.pair.picture_file import ENCODINGS, as_encoded, read_picture
from darkroom.review.regress.judged_pair import verdict_of
from darkroom.review.regress.verdicts import DRIFTED, UNDECIDED
from darkroom.review.regress.whole_set import ALPHA, WholeSet, excess
from darkroom.store import ExperimentFolder
from darkroom.thresholds import ModelThresholds
from darkroom.trials import CLOSER, FLOOR, OUTCOMES, Outcomes, Trial, TrialSheet, sheet_of

PARITY = Path(__file__).parents[1] / "tests/data/parity"
MACHINES: Mapping[str, Mapping[str, str]] = {
    "as it is": {},
    "AVX-512": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
}
FIRST = next(iter(MACHINES))
FOUR = ["a photo of a cat", "a red cube on a table", "a forest at night, fog", "portrait of a woman, studio light"]
TINY = {"defaults": {"width": 64, "height": 64, "sample_steps": 25, "guidance_scale": 4.0}, "dtype": "bfloat16"}
KLEIN = {
    "family": "flux2",
    "checkpoint": {
        "repo": str(PARITY / "klein"),
        "transformer": str(PARITY / "klein/flux-2-klein-base-4b.safetensors"),
        "vae": str(PARITY / "klein/ae.safetensors"),
        "text_encoder": str(PARITY / "klein/qwen3"),
    },
}
MODELS: Mapping[str, Any] = {
    "tiny_klein": TINY | KLEIN,
    "tiny_flux": TINY | {"family": "flux", "guidance": "embedded", "checkpoint": {"repo": str(PARITY / "flux1/flux")}},
}
ADAPTERS = {
    "klein_lora": PARITY / "adapters/lora_bf16.safetensors",
    "klein_lokr": PARITY / "adapters/lokr_dec_bf16.safetensors",
    "flux_lora": PARITY / "flux1/adapters/flux_lora_bf16.safetensors",
    "flux_lokr": PARITY / "flux1/adapters/flux_lokr_new_bf16.safetensors",
}
SETS: Mapping[str, Mapping[str, Any]] = {  # the axes of each model; the second and third LoRA stand for checkpoints
    "demo": {"lora": ["none", "demo_lora", "demo_lokr"], "prompts": ["demo_loras", "demo_prompts"]},
    "tiny_klein": {"lora": ["none", "klein_lora", "klein_lokr"], "prompts": ["four"]},
    "tiny_flux": {"lora": ["none", "flux_lora", "flux_lokr"], "prompts": ["four"]},
}
FAULTS: Mapping[str, Sequence[str]] = {
    "strength 0.95 for 1.0": ["matrix.network_multiplier=0.95"],
    "24 steps for 25": ["model.defaults.sample_steps=24"],
    "schedule of stock diffusers": ["model.schedule=diffusers"],
    "qfloat8 for bf16": ["model.quantize.transformer=qfloat8"],
}
OWN_SCHEDULE = "tiny_flux"  # the trainer's schedule is diffusers' own there, so that there is no other
SAME_RUN = ("seed + 1", "another checkpoint", "LoRA absent")  # pictures that are there already, of something else
MARGIN = 2.0  # dB, as conf/compare/default.yaml
OWN = ModelThresholds(source="", own_floor=MARGIN)
ONE_FOR_ALL = ModelThresholds(source="", psnr=46.0, ssim=0.998, flip=0.036)  # what conf/compare/ said before
ONE_FOR_ALL_LOSSY = ModelThresholds(source="", psnr=36.6, ssim=0.985, flip=0.062)
KINDS = {"PNG": None, "JPEG": ENCODINGS["JPEG"]}

Picture = tuple[str, str, int]  # LoRA, prompt set, index
Now = tuple[str, str, Picture]  # machine, experiment

# As `darkroom floor` renders a sheet.
RENDER_SHEET = (
    "import sys; from pathlib import Path; from darkroom.render.job import SheetJob;"
    "from darkroom.render.worker.client import render_sheet;"
    "render_sheet(SheetJob.here(Path(sys.argv[1]), 'auto'), Path('results'))"
)


@dataclass(frozen=True)
class Pair:
    """A preview beside a render of one picture, and the render's repeats, in one encoding."""

    measures: Measures
    repeats: tuple[Measures, ...]  # more of them where a few left a doubt, and those are rendered
    group: tuple[str, ...]  # pairs of one comparison
    now: Now

    @property
    def is_in_doubt(self) -> bool:
        return is_in_doubt(self.measures.psnr, self.repeats, MARGIN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=12, help="pictures of each prompt")
    parser.add_argument("--models", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--table", action="store_true", help="render nothing")
    options = parser.parse_args()
    runs = list(itertools.product(range(1, options.seeds + 1), options.models))
    if not options.table:
        for machine in MACHINES:
            write_conf(options.folder / machine, runs)
        for (seed, model), machine in itertools.product(runs, MACHINES):
            render(options.folder / machine, machine, f"{model}_{seed}")
        look_closer(options.folder, runs)
    print_table(options.folder, runs)


def write_conf(folder: Path, runs: Sequence[tuple[int, str]]) -> None:
    for name, model in MODELS.items():
        write(folder / f"conf/model/{name}.yaml", model)
    for name, path in ADAPTERS.items():
        write(folder / f"conf/lora/{name}.yaml", {"loras": [str(path)]})
    write(folder / "conf/prompts/four.yaml", {"prompts": FOUR})
    for seed, model in runs:
        matrix = {"model": [model], **SETS[model], "seed": [seed]}
        write(folder / f"conf/experiment/{model}_{seed}.yaml", {"matrix": matrix})


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))


def render(folder: Path, machine: str, experiment: str) -> None:
    """What of one experiment is not there yet; a stage is done when its mark is there."""
    stages = {"pictures": ["run", experiment], "repeats": ["floor", experiment]}
    if machine == FIRST:
        faults = [fault for fault in FAULTS if not (experiment.startswith(OWN_SCHEDULE) and "schedule" in fault)]
        stages |= {fault: ["run", experiment, "--name", variant(experiment, fault), *FAULTS[fault]] for fault in faults}
    for stage, words in stages.items():
        mark = folder / "done" / f"{experiment} {stage}"
        if mark.is_file():
            continue
        print(machine, experiment, stage, flush=True)
        command = [sys.executable, "-m", "darkroom", *words]
        done = subprocess.run(command, cwd=folder, env=os.environ | MACHINES[machine], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        mark.parent.mkdir(exist_ok=True)
        mark.touch()


def look_closer(folder: Path, runs: Sequence[tuple[int, str]]) -> None:
    """Sixteen repeats of each picture that four leave in doubt in any pair."""
    doubtful: dict[tuple[str, str], set[Picture]] = {}
    for kind in KINDS:
        faults = (pair for fault in (*FAULTS, *SAME_RUN) for pair in misses(folder, runs, fault, kind))
        for pair in itertools.chain(false_alarms(folder, runs, kind), faults):
            if pair.is_in_doubt:
                machine, experiment, picture = pair.now
                doubtful.setdefault((machine, experiment), set()).add(picture)
    for (machine, experiment), found in doubtful.items():
        print(machine, experiment, f"{len(found)} pictures closer", flush=True)
        known = repeats(folder / machine, experiment, CLOSER).keys()
        render_closer(folder / machine, machine, experiment, found | known)
    repeats.cache_clear()


def render_closer(here: Path, machine: str, experiment: str, found: set[Picture]) -> None:
    root = here / "results" / experiment
    rows = [row for row in read_records(ExperimentFolder(root).manifest)[0] if picture_of(row) in found]
    model = rows[0].request.title.model
    sheet = sheet_of(root, model, CLOSER)
    TrialSheet(
        name=f"{experiment} {model}",
        checkpoint=f"results/{experiment}/checkpoints/{model}.json",
        image_format="png",
        quality=100,
        threads=rows[0].environment.threads,
        trials=tuple(Trial(" ".join(map(str, picture_of(row))), row.request) for row in rows),
        repeats=CLOSER_REPEATS,
    ).write(sheet)
    command = [sys.executable, "-c", RENDER_SHEET, str(sheet.relative_to(here))]
    done = subprocess.run(command, cwd=here, env=os.environ | MACHINES[machine], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{sheet}\n{done.stdout}{done.stderr}")


def variant(experiment: str, fault: str) -> str:
    return f"{experiment}_{list(FAULTS).index(fault)}"


def is_done(folder: Path, machine: str, experiment: str, stage: str) -> bool:
    return (folder / machine / "done" / f"{experiment} {stage}").is_file()


@cache
def pictures(folder: Path, experiment: str) -> dict[Picture, Pixels]:
    rows, _ = read_records(ExperimentFolder(folder / "results" / experiment).manifest)
    return {picture_of(row): read_picture(folder / row.image_path).pixels for row in rows}


@cache
def repeats(folder: Path, experiment: str, look: str) -> dict[Picture, list[Pixels]]:
    """Of each picture that is looked at so, its repeats."""
    root = folder / "results" / experiment
    rows, _ = read_records(ExperimentFolder(root).manifest)
    found = [Outcomes.read(path) for path in root.glob(f"{look}/*/{OUTCOMES}")]
    by_request = {each.request_id: each.repeats for outcomes in found for each in outcomes.outcomes}
    return {
        picture_of(row): [read_picture(folder / path).pixels for path in by_request[row.request_id]]
        for row in rows
        if row.request_id in by_request
    }


def picture_of(row: Record) -> Picture:
    title = row.request.title
    return title.lora, title.prompts, title.index


def false_alarms(folder: Path, runs: Sequence[tuple[int, str]], kind: str) -> Iterator[Pair]:
    """Each machine's pictures as previews of each other's."""
    for (seed, model), (then, now) in itertools.product(runs, itertools.permutations(MACHINES, 2)):
        name = f"{model}_{seed}"
        if is_done(folder, then, name, "pictures") and is_done(folder, now, name, "repeats"):
            yield from beside(folder, now, name, pictures(folder / then, name), kind, (model, then, now))


def misses(folder: Path, runs: Sequence[tuple[int, str]], fault: str, kind: str) -> Iterator[Pair]:
    """Pictures with a fault as previews of those without, all by the first machine."""
    for seed, model in runs:
        name = f"{model}_{seed}"
        if not is_done(folder, FIRST, name, "repeats"):
            continue
        if other := faulty(folder / FIRST, model, seed, fault, folder):
            yield from beside(folder, FIRST, name, other, kind, (model,))


def faulty(here: Path, model: str, seed: int, fault: str, folder: Path) -> dict[Picture, Pixels]:
    name = f"{model}_{seed}"
    none, lora, other = SETS[model]["lora"]
    if fault in FAULTS:
        found = pictures(here, variant(name, fault)) if is_done(folder, FIRST, name, fault) else {}
        return {key: each for key, each in found.items() if key[0] != none or "strength" not in fault}
    if fault == "seed + 1":
        next_one = f"{model}_{seed + 1}"
        return pictures(here, next_one) if is_done(folder, FIRST, next_one, "pictures") else {}
    source = none if fault == "LoRA absent" else other
    return {(lora, *key[1:]): each for key, each in pictures(here, name).items() if key[0] == source}


def beside(
    folder: Path, machine: str, name: str, previews: Mapping[Picture, Pixels], kind: str, group: tuple[str, ...]
) -> Iterator[Pair]:
    renders = pictures(folder / machine, name)
    few, many = (repeats(folder / machine, name, look) for look in (FLOOR, CLOSER))
    for key, preview in previews.items():
        then, now = (encoded(pixels, kind) for pixels in (preview, renders[key]))
        if (measured := measure(then, now)).psnr is not None:
            four = tuple(far(now, encoded(each, kind)) for each in few[key])
            closer = tuple(far(now, encoded(each, kind)) for each in many.get(key, ()))
            pair = Pair(measured, four, group, (machine, name, key))
            yield replace(pair, repeats=closer) if pair.is_in_doubt and closer else pair


def encoded(pixels: Pixels, kind: str) -> Pixels:
    encoding = KINDS[kind]
    return pixels if encoding is None else as_encoded(pixels, encoding)


def far(render: Pixels, repeat: Pixels) -> Measures:
    """PSNR alone: all that a floor asks for."""
    return Measures(max_abs=0, mean_abs=0.0, psnr=psnr(render, repeat), ssim=1.0, flip=0.0)


def print_table(folder: Path, runs: Sequence[tuple[int, str]]) -> None:
    heads = ("", "encoding", "pairs", "beyond own floor", "undecided", "beyond 46 dB (JPEG: 36.6) and the like", "sets")
    print(f"| {' | '.join(heads)} | farther as a whole |\n|{'---|' * (len(heads) + 1)}")
    for kind in KINDS:
        print_row("another processor", kind, list(false_alarms(folder, runs, kind)))
    for fault, kind in itertools.product((*FAULTS, *SAME_RUN), KINDS):
        print_row(fault, kind, list(misses(folder, runs, fault, kind)))


def print_row(what: str, kind: str, pairs: Sequence[Pair]) -> None:
    """Counts of pairs, then of sets: all pictures of one model, of all seeds, in one comparison."""
    own = [verdict_of(pair.measures, OWN, pair.repeats) for pair in pairs]
    limits = ONE_FOR_ALL if KINDS[kind] is None else ONE_FOR_ALL_LOSSY
    one = [verdict_of(pair.measures, limits, ()) for pair in pairs]
    groups = {pair.group: [each for each in pairs if each.group == pair.group] for pair in pairs}
    sets = [
        WholeSet(tuple(excess(each.measures, each.repeats[:REPEATS]) for each in group)) for group in groups.values()
    ]
    ps = ", ".join(f"{whole.p:.1g}" for whole in sets)
    counts = (len(pairs), own.count(DRIFTED), own.count(UNDECIDED), one.count(DRIFTED), len(sets))
    print(f"| {what} | {kind} | {' | '.join(map(str, counts))} | {sum(whole.p < ALPHA for whole in sets)} (p {ps}) |")


if __name__ == "__main__":
    main()

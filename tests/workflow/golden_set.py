"""Goldens as experiments: conf files for cases of the trainer's, and how near the pictures came that Snakemake made."""

import hashlib
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file
from tests.workflow.project import Project

TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2}  # mean |difference| / mean |golden| on another kind of processor
Run = tuple[str, str]  # case, dtype
Conf = dict[str, Any]


@dataclass(frozen=True)
class GoldenSet:
    """One folder of goldens, and how its cases read as conf/model and as a prompt."""

    folder: Path
    model_of: Callable[[Conf, str], Conf]
    prompt_of: Callable[[Conf], Conf]
    cases: dict[str, Conf] = field(init=False)
    hashes: dict[str, dict[str, dict[str, list[str]]]] = field(init=False)  # canary → dtype → case → [latents, pixels]

    def __post_init__(self) -> None:
        golden = self.folder / "golden"
        cases = {case["id"]: case for case in json.loads((golden / "cases.json").read_text())["cases"]}
        object.__setattr__(self, "cases", cases)
        object.__setattr__(self, "hashes", json.loads((golden / "hashes.json").read_text()))

    def write_conf(self, project: Project, runs: Sequence[Run]) -> None:
        """Options for models, adapters and prompts, and an experiment `goldens` of exactly these runs."""
        wanted, models, loras = set(), dict[str, Any](), {"none": {"loras": []}}
        for name, dtype in runs:
            case = self.cases[name]
            settings = self.model_of(case, dtype)
            model = f"m{hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:8]}"
            models[model] = settings
            lora = case["adapter"] or "none"
            if case["adapter"]:
                loras[lora] = {"loras": [str(self.folder / "adapters" / f"{lora}.safetensors")]}
            project.write(f"conf/prompts/{name}.yaml", yaml.safe_dump({"prompts": [self.prompt_of(case)]}))
            wanted |= {("model", model, name), ("lora", lora, name)}
        for group, options in (("model", models), ("lora", loras)):
            for name, content in options.items():
                project.write(f"conf/{group}/{name}.yaml", yaml.safe_dump(content))
        axes = {"model": [*models], "lora": [*loras], "prompts": list(dict.fromkeys(name for name, _ in runs))}
        exclude = [
            {group: option, "prompts": prompts}
            for group in ("model", "lora")
            for option, prompts in itertools.product(axes[group], axes["prompts"])
            if (group, option, prompts) not in wanted
        ]
        content = {"matrix": axes, "exclude": exclude, "output": {"save_latents": True}}
        project.write("conf/experiment/goldens.yaml", yaml.safe_dump(content))

    def check_near(self, project: Project, case: str, dtype: str) -> None:
        """Is the picture the trainer's, but for how another kind of processor rounds?"""
        (row,) = [row for row in project.rows("goldens") if (row["prompts"], row["dtype"]) == (case, dtype)]
        theirs = load_file(self.folder / "golden" / f"{dtype}.safetensors")
        golden, latents = theirs[f"{case}.latents"].float(), latents_of(project, row)
        assert (latents - golden).abs().mean() / golden.abs().mean() < TOLERANCE[dtype]
        if f"{case}.pixels" in theirs:
            picture = pixels_of(project, row).astype(float)
            assert np.abs(picture - theirs[f"{case}.pixels"].numpy()).mean() < 2, "levels of 255"

    def unequal(self, project: Project, canary: str) -> list[Run]:
        """The runs that are not bit for bit those of this kind of processor."""
        known = self.hashes[canary]
        return [
            (row["prompts"], row["dtype"])
            for row in project.rows("goldens")
            if [_digest(latents_of(project, row).numpy()), _digest(pixels_of(project, row))]
            != known[row["dtype"]][row["prompts"]]
        ]


def latents_of(project: Project, row: Conf) -> torch.Tensor:
    return load_file(project.folder / row["latents_path"])["latents"]


def pixels_of(project: Project, row: Conf) -> Any:
    return np.asarray(Image.open(project.folder / row["image_path"]))


def _digest(values: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]

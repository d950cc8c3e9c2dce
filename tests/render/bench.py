"""A results folder in which single combinations of the tiny klein are rendered."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from darkroom.checkpoint import Checkpoint, component_digest
from darkroom.files.atomic import atomic, write_json
from darkroom.files.weight_file import sha256_of
from darkroom.planned import PlannedCombination
from darkroom.record.rows import read_records
from darkroom.render.combination import render_combination
from darkroom.render.job import Job
from darkroom.render.pipelines import Pipelines
from darkroom.render.progress import Progress
from darkroom.request.request import Request
from darkroom.store import ExperimentFolder, Store

MakeRequest = Callable[..., Request]


class Bench:
    """A results folder, the tiny klein with its digests, and one warm state, as a worker has it."""

    def __init__(self, folder: Path, klein: Checkpoint) -> None:
        self.folder = folder
        self.store = Store(folder / "results/store")
        parts = {
            part: replace(component, digest=component_digest(Path(component.path), component.layout, sha256_of))
            for part, component in klein.components.items()
        }
        self.checkpoint = replace(klein, components=parts)
        self.pipelines = Pipelines()

    def request(self, make: MakeRequest, **changes: Any) -> Request:
        digests = {
            "checkpoint_digest": self.checkpoint.digest,
            "text_encoder_digest": self.checkpoint.text_encoder_digest,
        }
        request = make(**{"experiment": "bench", "sample_steps": 1, "lora_merge": "merged", **digests, **changes})
        for text in request.texts:
            path = self.store.embedding(request.encoder.embedding_id(text))
            if not path.is_file():
                generator = torch.Generator().manual_seed(len(text))
                with atomic(path) as temporary:
                    save_file(
                        {"prompt_embeds": torch.randn(1, 512, 96, generator=generator)}, temporary, {"tokens_cut": "0"}
                    )
        return request

    def render(self, *requests: Request, **output: Any) -> tuple[list[dict[str, Any]], list[Progress]]:
        """A run of one combination in this process; its records, and the progress that was reported."""
        seen: list[Progress] = []
        render_combination(self.write(*requests, **output), self.pipelines, seen.append)
        ExperimentFolder(self.folder / "results/bench").forget_costs()
        return self.records(), seen

    def write(self, *requests: Request, **output: Any) -> Job:
        """A job of these requests, with its files; `output`: conf's output section."""
        named = [request.changed(image_name=f"{n:03d}_{request.sampling.seed}") for n, request in enumerate(requests)]
        usual = {"format": "png", "quality": 95, "save_latents": False, "metadata": "full", "provenance": "none"}
        settings = {**usual, **output}
        planned = PlannedCombination(asked="", lost="", output=settings, lora_merge="auto", requests=tuple(named))
        planned.write(self.folder / "requests.json")
        write_json(self.folder / "checkpoint.json", self.checkpoint.to_json())
        contents = ExperimentFolder(self.folder / "results/bench").contents
        write_json(contents, {"experiment": "bench", "combinations": [["tiny_klein", "none", "test", len(named), 0]]})
        return Job(
            directory=self.folder,
            requests=self.folder / "requests.json",
            checkpoint=self.folder / "checkpoint.json",
            records=self.folder / "records.parquet",
            results=self.folder / "results",
            store=self.folder / "results/store",
        )

    def records(self) -> list[dict[str, Any]]:
        """The rows of the job that was rendered last."""
        return [record.row() for record in read_records(self.folder / "records.parquet")[0]]

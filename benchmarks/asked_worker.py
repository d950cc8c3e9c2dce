"""One job of a tiny model, asked of a worker as Snakemake's jobs do, and waited for."""

import contextlib
import socket
import time
from dataclasses import replace
from pathlib import Path

import torch
from figures import request_of
from random_flux2 import RandomModel
from safetensors.torch import save_file

from darkroom.checkpoint import component_digest
from darkroom.files.atomic import write_json
from darkroom.files.weight_file import sha256_of
from darkroom.planned import Contained, Contents, PlannedCombination
from darkroom.render.job import Job
from darkroom.render.progress import Progress
from darkroom.render.worker.channel import Channel
from darkroom.render.worker.message import Done, Message
from darkroom.request.parts import Lora
from darkroom.request.request import Request
from darkroom.store import ExperimentFolder, Store


def ask(path: Path, job: Job) -> None:
    """`path`: of its socket, which may have yet to open. Ends the script where the job fails."""
    answer = answer_to(path, job)
    if not isinstance(answer, Done):
        raise SystemExit(f"{job.requests}: {answer}")


def answer_to(path: Path, job: Job) -> Message | None:
    """What a worker says at last; None where it ends without a word."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        while True:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                connection.connect(str(path))
                break
            time.sleep(0.05)
        worker = Channel(connection)
        worker.send(job)
        while isinstance(answer := worker.receive(), Progress):
            pass
    return answer


def a_request(store: Store, model: RandomModel, base: str, lora: Lora | None = None) -> Request:
    """One step of the tiny model, whose embedding the store then has. `base`: a name, of which loading makes one."""
    request = request_of(base, model.text_features, 64, 1, 1.0)
    request = replace(request, base=replace(request.base, checkpoint_digest=model.checkpoint.digest))
    if base != "base_0":
        request = replace(request, base=replace(request.base, checkpoint_digest=base))
    if lora:
        request = request.changed(loras=(lora,), lora_merge="merged")
    path = store.embedding(request.encoder.embedding_id(request.text.prompt))
    if not path.is_file():
        path.parent.mkdir(parents=True)
        save_file({"prompt_embeds": torch.randn(1, 512, model.text_features)}, path, {"tokens_cut": "0"})
    return request


def a_job(folder: Path, model: RandomModel) -> Job:
    store = Store(folder / "results/store")
    request = a_request(store, model, "base_0")
    output = {"format": "png", "quality": 95, "save_latents": False, "metadata": "full", "provenance": "none"}
    planned = PlannedCombination(asked="", lost="", output=output, lora_merge="auto", requests=(request,))
    planned.write(folder / "requests.json")
    write_json(folder / "checkpoint.json", model.checkpoint.to_json())
    contained = Contained(request.title.names, 1, 0)
    Contents(experiment="gpu", source="gpu", combinations=(contained,)).write(
        ExperimentFolder(folder / "results/gpu").contents
    )
    return Job(
        directory=folder,
        requests=folder / "requests.json",
        checkpoint=folder / "checkpoint.json",
        records=folder / "records.parquet",
        results=folder / "results",
        store=store.root,
    )


def with_digests(model: RandomModel) -> RandomModel:
    """The model with its files' own, which a worker asks for."""
    parts = {
        part: replace(component, digest=component_digest(Path(component.path), component.layout, sha256_of))
        for part, component in model.checkpoint.components.items()
    }
    return replace(model, checkpoint=replace(model.checkpoint, components=parts))

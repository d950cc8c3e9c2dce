"""Looks at this machine, results/ and the hub for what an estimate rests on; writes nothing, reads no weights."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from darkroom.checkpoint import Checkpoint
from darkroom.errors import CheckpointError, DarkroomError, StoreError
from darkroom.plan.conf.schema import Model
from darkroom.plan.digests import complete
from darkroom.plan.done_so_far import DoneSoFar
from darkroom.plan.estimate.estimate import Estimate, MachineFacts, estimate
from darkroom.plan.estimate.past import past_pictures
from darkroom.plan.experiment import Combination, Experiment
from darkroom.plan.weights.catalogue import size_about
from darkroom.plan.weights.checkpoint_files import local_files
from darkroom.plan.weights.downloads import Download, downloads
from darkroom.plan.weights.hub import hub_cache
from darkroom.plan.weights.places import Here, OnHub, place_of
from darkroom.request.request import Request
from darkroom.store import STORE, ExperimentFolder, Store


def estimate_of(experiment: Experiment, results: Path, *, card: str | None, ask_hub: bool = True) -> Estimate:
    """What rendering an experiment would take, now and here. `card`: the GPU's name, None for the processor.

    `ask_hub`: what it would send, for at most 3 seconds a repository.
    """
    folder = ExperimentFolder(results / experiment.name)
    done, store = DoneSoFar(experiment, folder), Store(results / STORE)
    missing = {
        combination.names: list(_missing(combination, experiment, folder, store))
        for combination in experiment.combinations
        if not done.of(combination).is_complete
    }
    models = {names.model for names, requests in missing.items() if requests}
    machine = MachineFacts(
        card=card,
        cores=len(os.sched_getaffinity(0)),
        disk_free=shutil.disk_usage(_existing(results)).free,
        weights={name: _weights(experiment.models[name]) for name in models},
        cache_free=shutil.disk_usage(_existing(hub_cache())).free,
        downloads=tuple(_downloads(experiment, models, ask_hub)),
    )
    return estimate(experiment, missing, past_pictures(results.glob("*/manifest.parquet")), machine)


def _missing(
    combination: Combination, experiment: Experiment, folder: ExperimentFolder, store: Store
) -> Iterator[Request]:
    """The requests whose pictures the store does not have, as far as digests are known that were taken before."""
    name, output = combination.names.model, experiment.output
    try:
        checkpoint = Checkpoint.read(folder.checkpoint(name))
    except (StoreError, KeyError, TypeError):  # not looked for yet, or of another version
        yield from combination.requests
        return
    for request in combination.requests:
        try:
            known = complete(request, experiment.models[name].lora_merge, checkpoint, lambda file: _known(file, store))
        except (DarkroomError, OSError):  # a digest has to be taken first, or a file is not there
            yield request
            continue
        if not store.image(known.request_id, output.format, output.quality).is_file():
            yield request


def _known(file: Path, store: Store) -> str:
    sha256 = store.known_sha256(file)
    if sha256 is None:
        raise CheckpointError(f"{file}: its digest was not taken yet")
    return sha256


def _weights(model: Model) -> int | None:
    """Bytes of the transformer: of its files here, else of those that came along in name."""
    try:
        place = place_of(model.checkpoint, "transformer")
    except CheckpointError:  # told among the problems
        return None
    if isinstance(place, OnHub):
        return size_about(place.repo, "transformer")
    files = local_files(model.checkpoint, model.family, needs_text=False)
    return sum(file.stat().st_size for file in files if _is_of(place, file))


def _is_of(place: Here, file: Path) -> bool:
    return file == place.path or file.is_relative_to(place.path)


def _downloads(experiment: Experiment, models: set[str], ask_hub: bool) -> Iterator[Download]:
    """Each repository once, though several models take from it."""
    seen = set()
    for name in sorted(models):
        model = experiment.models[name]
        for each in downloads(model.checkpoint, model.family, bool(experiment.texts(name)), ask=ask_hub):
            if (each.repo, each.parts) not in seen:
                seen.add((each.repo, each.parts))
                yield each


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    return folder if folder.exists() else _existing(folder.parent)

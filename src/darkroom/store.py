"""Where files lie below results/: in the store by content id, shared by all, and in each experiment's folder.

results/store/images/ab/<request_id>.png        pictures, latents and embeddings by content id:
results/store/embeddings/ab/<id>.safetensors    what is there is never computed again
results/store/digests/<id>.json                 SHA-256 of weight files by path, size and modification time
results/<experiment>/drafts, requests, records, images / <model> / <lora> / <prompts>
results/<experiment>/fresh                      a store of its own, of a run that renders everything anew, until it ends
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.errors import StoreError
from darkroom.files.atomic import link, read_json, write_json
from darkroom.files.content import digests_of, is_intact, note_digest
from darkroom.files.weight_file import identity, sha256_of
from darkroom.names import Names
from darkroom.request.digest import digest_of

RESULTS = Path("results")  # relative to the working directory, as the rules name it
STORE = "store"  # its folder in results, so the one name that no experiment can have
_DIGESTS = "digests"  # of weight files
_COSTS = "costs"  # of pictures whose run has not ended well yet
IMAGES = "images"  # the folder of the pictures that people open, in that of their experiment
ENDINGS = {"png": "png", "jpeg": "jpg", "webp": "webp"}
_FORMATS = {".jpeg": "jpeg"} | {f".{ending}": image_format for image_format, ending in ENDINGS.items()}


def format_of(picture: Path) -> str:
    """conf's word for a picture's format, by its ending; that itself where it is of none of the formats."""
    return _FORMATS.get(picture.suffix.lower(), picture.suffix.removeprefix("."))


def check_folder(results: Path) -> None:
    """StoreError where something that is no folder has the name of the results folder."""
    if os.path.lexists(results) and not results.is_dir():
        raise StoreError(
            f"{results.absolute()}: expected a folder, got something else; move it away, or work elsewhere"
        )


def check_writable(folder: Path) -> None:
    """StoreError where a folder, which need not be there yet, could not be written to."""
    existing = folder.absolute()
    while not os.path.lexists(existing):
        existing = existing.parent
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise StoreError(f"{folder.absolute()}: cannot be written: {existing} is not a folder that you may write to")


@dataclass(frozen=True)
class Store:
    """Content by id, shared by all experiments under one results folder."""

    root: Path  # results/store

    def image(self, request_id: str, image_format: str, quality: int) -> Path:
        """Where a picture lies; quality counts for lossy formats only, since PNG bytes do not depend on it."""
        suffix = "" if image_format == "png" else f".q{quality}"
        return self._path("images", f"{request_id}{suffix}.{ENDINGS[image_format]}")

    def latents(self, request_id: str) -> Path:
        return self._path("images", f"{request_id}.safetensors")

    def embedding(self, embedding_id: str) -> Path:
        return self._path("embeddings", f"{embedding_id}.safetensors")

    def sha256(self, path: Path) -> str:
        """SHA-256 of a weight file, read once for each (path, size, modification time)."""
        if known := self.known_sha256(path):
            return known
        seen = identity(path)
        sha256 = sha256_of(path)
        write_json(self._note(seen), {"file": seen, "sha256": sha256})
        return sha256

    def known_sha256(self, path: Path) -> str | None:
        """The same where it was taken before; None where the file would have to be read for it."""
        note = self._note(identity(path))
        return str(read_json(note)["sha256"]) if note.is_file() else None

    def _note(self, seen: list[Any]) -> Path:
        return self.root / "digests" / f"{digest_of(seen)[:32]}.json"

    def _path(self, folder: str, name: str) -> Path:
        return self.root / folder / name[:2] / name


@dataclass(frozen=True)
class ExperimentFolder:
    """results/<experiment>: what one experiment asked for and got. The Snakefile's rules name the same paths."""

    root: Path

    def draft(self, names: Names) -> Path:
        """The combination as conf/ gives it, before any weight file was read."""
        return self.root.joinpath("drafts", *names[:2], f"{names.prompts}.json")

    def requests(self, names: Names) -> Path:
        return self.root.joinpath("requests", *names[:2], f"{names.prompts}.json")

    def records(self, names: Names) -> Path:
        return self.root.joinpath("records", *names[:2], f"{names.prompts}.parquet")

    def costs(self, names: Names) -> Path:
        """The folder of what the combination's pictures took, in a run that has not ended well yet."""
        return self.root.joinpath(_COSTS, *names)

    def forget_costs(self) -> None:
        """The run has ended well: of the next one's point of view every picture was there."""
        shutil.rmtree(self.root / _COSTS, ignore_errors=True)

    def written(self, names: Names) -> Path:
        """What the combination's files were when its job had written them: Written."""
        return self.root.joinpath("records", *names[:2], f"{names.prompts}.json")

    def images(self, names: Names) -> Path:
        return self.root.joinpath(IMAGES, *names)

    def image(self, names: Names, image_name: str, image_format: str) -> Path:
        """One picture, where a person opens it."""
        return self.images(names) / f"{image_name}.{ENDINGS[image_format]}"

    @property
    def contents(self) -> Path:
        """The experiment's table of contents: its combinations and how many images each has."""
        return self.root / "contents.json"

    @property
    def lock(self) -> Path:
        """Held by whoever is changing the experiment."""
        return self.root / ".lock"

    @property
    def manifest(self) -> Path:
        """Every picture's record, a row each."""
        return self.root / "manifest.parquet"

    @property
    def finished(self) -> Path:
        """An empty file, there while the manifest is that of a run in which no picture failed."""
        return self.root / "finished"

    @property
    def report(self) -> Path:
        """The contact sheet."""
        return self.root / "report.html"

    @property
    def comparison(self) -> Path:
        """How each picture compares with its stored preview."""
        return self.root / "compare.parquet"

    @property
    def thresholds(self) -> Path:
        """By model, how near a render has to come to its preview."""
        return self.root / "thresholds.json"

    @property
    def scorers(self) -> Path:
        """By name, what gives its pictures scores."""
        return self.root / "scorers.json"

    def scores(self, scorer: str) -> Path:
        """What one of these gave each picture."""
        return self.root / "scores" / f"{scorer}.parquet"

    @property
    def fresh_store(self) -> Path:
        """The store of a run that renders everything anew, there until it ends."""
        return self.root / "fresh"

    @property
    def store(self) -> Store:
        """Where the run at work, or the last one, has its pictures by content id."""
        fresh = self.fresh_store
        return Store(fresh if fresh.is_dir() else self.root.parent / STORE)

    @property
    def shards(self) -> Path:
        """Which job of a cluster renders which combinations; there once a run had such jobs."""
        return self.root / "shards.json"

    def shard(self, run: str, model: str, number: str) -> Path:
        """What came of one of these jobs: there once it has ended well."""
        return self.root.joinpath("shards", run, model, f"{number}.json")

    def staged(self, run: str) -> "ExperimentFolder":
        """Records as these jobs write them, laid out as here, where they come one by one."""
        return ExperimentFolder(self.root / "staged" / run)

    def log(self, rule: str, *names: str) -> Path:
        """Of a job of one of the rules, by the model or the combination that it is for."""
        return self.logs.joinpath(rule, *names[:-1], f"{names[-1]}.log")

    @property
    def logs(self) -> Path:
        """A file a job, and why those that failed did."""
        return self.root / "logs"

    @property
    def worker_logs(self) -> Path:
        """A log a worker, and what each is doing."""
        return self.logs / "worker"

    def model(self, model: str) -> Path:
        """One model as conf/ gives it, with the texts that it must encode."""
        return self.root / "models" / f"{model}.json"

    def checkpoint(self, model: str) -> Path:
        """The model's files as found, with their digests."""
        return self.root / "checkpoints" / f"{model}.json"

    def embeddings(self, model: str) -> Path:
        """The embedding ids of a model's texts, once they are in the store."""
        return self.root / "embeddings" / f"{model}.json"


def begin_afresh(folder: ExperimentFolder, store: Path) -> None:
    """Forget what was rendered of an experiment, and give it a store that knows no more than what weight files are."""
    for rendered in (folder.root / "records", folder.root / "images", folder.root / _COSTS):
        if rendered.is_dir():
            shutil.rmtree(rendered)
    for note in (store / _DIGESTS).rglob("*.json"):
        link(note, folder.fresh_store / note.relative_to(store))
    folder.fresh_store.mkdir(parents=True, exist_ok=True)


def settle(folder: ExperimentFolder, store: Path) -> None:
    """End a run that rendered everything anew, also one that was killed: what the store lacks it gets.

    What the store has as it was written stays, since other experiments show it; this one shows what it has rendered.
    """
    if not folder.fresh_store.is_dir():
        return
    for file in folder.fresh_store.rglob("[!.]*.*"):
        known = store / file.relative_to(folder.fresh_store)
        if file.is_file() and not is_intact(known):
            for sha256 in digests_of(file):
                note_digest(known, sha256)
            link(file, known)
    shutil.rmtree(folder.fresh_store)

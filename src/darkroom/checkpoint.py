"""A base model's files as found: where each component lies, in which layout, and its digest.

Written by `darkroom rule checkpoint` (plan), read by `darkroom rule encode` and `darkroom rule render`.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from darkroom.errors import CheckpointError, StoreError
from darkroom.files.atomic import read_json
from darkroom.request.digest import digest_of

DIFFUSERS = "diffusers"  # a folder: config.json and .safetensors files, diffusers or transformers naming
TOKENIZER = "tokenizer"  # a folder, of which weights do not count
SINGLE_FILE = "single_file"  # one .safetensors file; whose naming it has, its keys tell
GGUF = "gguf"  # one .gguf file
LAYOUT_OF_ENDING = {".safetensors": SINGLE_FILE, ".sft": SINGLE_FILE, ".gguf": GGUF}

TRAINING_ADAPTER = "training_adapter"  # merged into a transformer, and cancelled beside it: not every model has one
RENDERING = ("transformer", "vae", TRAINING_ADAPTER)  # what denoises and decodes; all other components encode text
READ_ENDINGS = (".json", ".jinja", ".txt")  # of files that loading reads besides weights; a README changes no pixel
_WEIGHT_FILES = ("diffusion_pytorch_model.safetensors", "model.safetensors")  # of diffusers, of transformers


@dataclass(frozen=True)
class Component:
    """One part of a base model: a folder or a single file, and a digest over the contents of all its files."""

    path: str
    layout: str  # DIFFUSERS | TOKENIZER | SINGLE_FILE | GGUF
    digest: str
    source: str = ""  # as configured: hub id, a file in it, or a local path
    revision: str | None = None  # commit of a hub repository, None for local files
    quantized: str | None = None  # how its files have weights in fewer than 16 bits: "GGUF", "8-bit float", "nvfp4"

    def check_unchanged(self, sha256: Callable[[Path], str]) -> None:
        """CheckpointError when the files are gone, or not those any more that the digest was taken of."""
        if not Path(self.path).exists():
            raise CheckpointError(f"{self.path}: gone; Snakemake with --forcerun checkpoint finds it again")
        if component_digest(Path(self.path), self.layout, sha256) != self.digest:
            raise CheckpointError(f"{self.path}: changed after the plan was made; run Snakemake again")


@dataclass(frozen=True)
class Checkpoint:
    """A base model by component: "transformer", "vae", and what its texts are encoded with, unless there are none."""

    name: str  # as configured: hub id or folder
    revision: str | None  # commit of a hub repository, None for local files
    components: Mapping[str, Component]

    def __getitem__(self, part: str) -> Component:
        """CheckpointError where the model was found without this component: nothing that was asked for needs it."""
        if part not in self.components:
            raise CheckpointError(f"{self.name}: has no {part}, and was planned to need none; run Snakemake again")
        return self.components[part]

    @property
    def rendering(self) -> tuple[Component, ...]:
        """Those that denoise and decode; the training adapter where there is one."""
        return tuple(self[part] for part in RENDERING if part != TRAINING_ADAPTER or part in self.components)

    def check_rendering(self, sha256: Callable[[Path], str]) -> None:
        """CheckpointError where what renders is not, or not any more, what its digests were taken of."""
        for component in self.rendering:
            component.check_unchanged(sha256)

    @property
    def encoding(self) -> tuple[Component, ...]:
        """Text encoders and tokenizers, () for a model whose prompts come encoded."""
        return tuple(component for part, component in sorted(self.components.items()) if part not in RENDERING)

    @property
    def digest(self) -> str:
        """What pixels depend on once the text is encoded."""
        return "+".join(component.digest for component in self.rendering)

    @property
    def text_encoder_digest(self) -> str:
        """What embeddings depend on; the tokenizer counts as part of the text encoder."""
        return "+".join(component.digest for component in self.encoding)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, path: Path) -> Self:
        """StoreError when it is missing, unreadable, or of another version of Darkroom."""
        values = read_json(path)
        try:
            components = {part: Component(**component) for part, component in values["components"].items()}
            return cls(**{**values, "components": components})
        except (KeyError, TypeError, AttributeError) as error:
            raise StoreError(f"{path}: of another version of Darkroom ({error}); run Snakemake again") from error


def files_read(path: Path, layout: str) -> list[Path]:
    """The files of a component that loading it reads: itself, or those in its folder."""
    if not path.is_dir():
        return [path]
    others = [file for file in path.iterdir() if file.suffix in READ_ENDINGS]
    return sorted([*others, *(weight_files(path) if layout == DIFFUSERS else [])])


def component_digest(path: Path, layout: str, sha256: Callable[[Path], str]) -> str:
    """Over the contents of a component's files, wherever they lie."""
    if not path.is_dir():
        return sha256(path)
    return digest_of([[file.name, sha256(file)] for file in files_read(path, layout)])


def weight_files(path: Path) -> list[Path]:
    """The .safetensors files that loading a component's folder reads: what its index names, or the one usual name.

    Repositories of the hub also hold the same weights once more, in the naming of those who trained them.
    """
    for name in _WEIGHT_FILES:
        index = path / f"{name}.index.json"
        if index.is_file():
            return [path / shard for shard in sorted(_indexed(index))]
        if (path / name).is_file():
            return [path / name]
    return []


def _indexed(index: Path) -> set[str]:
    try:
        names = {str(name) for name in json.loads(index.read_text())["weight_map"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index}: expected a weight_map of keys and file names: {error!r}") from error
    for name in sorted(names):
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise CheckpointError(f"{index}: expected .safetensors files of the same folder, got {name}")
    return names

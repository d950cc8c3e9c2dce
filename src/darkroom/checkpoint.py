"""A base model's files as found: where each component lies, in which layout, and its digest. Loads nothing.

Written by `darkroom checkpoint` (plan), read by `darkroom encode` and `darkroom render`.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from darkroom.errors import CheckpointError
from darkroom.request import digest_of

DIFFUSERS = "diffusers"  # a folder: config.json and .safetensors files, diffusers or transformers naming
SINGLE_FILE = "single_file"  # one .safetensors file in BFL / ai-toolkit naming, sizes read from its tensors

READ_ENDINGS = (".json", ".safetensors", ".jinja", ".txt")  # of files that loading reads; a README changes no pixel


@dataclass(frozen=True)
class Component:
    """One part of a base model: a folder or a single file, and a digest over the contents of all its files."""

    path: str
    layout: str  # DIFFUSERS | SINGLE_FILE
    digest: str

    def check_unchanged(self, sha256: Callable[[Path], str]) -> None:
        """CheckpointError when the files are gone, or not those any more that the digest was taken of."""
        if not Path(self.path).exists():
            raise CheckpointError(f"{self.path}: gone; Snakemake with --forcerun checkpoint finds it again")
        if component_digest(Path(self.path), sha256) != self.digest:
            raise CheckpointError(f"{self.path}: changed after the plan was made; run Snakemake again")


@dataclass(frozen=True)
class Checkpoint:
    """A whole base model. The tokenizer counts as part of the text encoder's digest when ids are made."""

    name: str  # as configured: hub id or folder
    revision: str | None  # commit of a hub repository, None for local files
    transformer: Component
    vae: Component
    text_encoder: Component
    tokenizer: Component

    @property
    def digest(self) -> str:
        """What pixels depend on once the text is encoded."""
        return f"{self.transformer.digest}+{self.vae.digest}"

    @property
    def text_encoder_digest(self) -> str:
        return f"{self.text_encoder.digest}+{self.tokenizer.digest}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        parts = ("transformer", "vae", "text_encoder", "tokenizer")
        return cls(**{**values, **{part: Component(**values[part]) for part in parts}})

    def render_files(self) -> list[Path]:
        """The weight files that rendering holds in memory: transformer and VAE, not the text encoder."""
        return [file for part in (self.transformer, self.vae) for file in weight_files(Path(part.path))]


def files_read(folder: Path) -> list[Path]:
    """The files of a component's folder that loading it reads."""
    return sorted(file for file in folder.iterdir() if file.suffix in READ_ENDINGS)


def component_digest(path: Path, sha256: Callable[[Path], str]) -> str:
    """Over the contents of a component's files, wherever they lie."""
    return digest_of([[file.name, sha256(file)] for file in files_read(path)]) if path.is_dir() else sha256(path)


def weight_files(path: Path) -> list[Path]:
    """The .safetensors files of a component: itself, or those in its folder."""
    return [path] if path.is_file() else sorted(path.glob("*.safetensors"))

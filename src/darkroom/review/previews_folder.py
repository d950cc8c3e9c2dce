"""previews/<experiment>: the accepted pictures, and those that they took the place of.

images/<model>/<lora>/<prompts>/000_42.<12 hex digits>.png     named by their SHA-256, so that none is ever overwritten
replaced/<16 hex digits>.png                                   what was accepted before

Pictures of a trainer lie elsewhere, and are never moved or removed.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from darkroom.display import from_here
from darkroom.files.atomic import atomic
from darkroom.files.weight_file import sha256_of
from darkroom.previews import DARKROOM, Preview, Replaced
from darkroom.record.rows import Record


@dataclass(frozen=True)
class PreviewsFolder:
    """The folder in which an experiment's previews.parquet lies."""

    root: Path

    def destination(self, render: Record) -> Path:
        """Where a render lies once it is accepted."""
        request = render.request
        name = f"{request.title.image_name}.{render.image_sha256[:12]}{Path(render.image_path).suffix}"
        return from_here(self.root.joinpath("images", *request.title.names, name))

    def holds(self, render: Record, preview: Preview) -> bool:
        """True when the preview is this render, and its file is still what was accepted."""
        if (preview.origin, preview.sha256) != (DARKROOM, render.image_sha256) or preview.path is None:
            return False
        return Path(preview.path).is_file() and sha256_of(preview.path) == preview.sha256

    def keep(self, preview: Preview) -> Replaced:
        """What a picture will be once it is a preview no more: an accepted one is copied to `replaced/`."""
        path, sha256 = Path(str(preview.path)), preview.sha256 or ""
        if self.owns(preview) and path.is_file():
            data = path.read_bytes()
            sha256 = hashlib.sha256(data).hexdigest()  # of the file that is there, whatever was listed
            kept = self.root / "replaced" / f"{sha256[:16]}{path.suffix}"
            put(kept, data)
            path = from_here(kept)
        return Replaced(str(path), sha256, preview.accepted_by, preview.accepted_at)

    def owns(self, preview: Preview) -> bool:
        """True for a picture that was copied into this folder."""
        images = (self.root / "images").resolve()
        return preview.path is not None and Path(preview.path).resolve().is_relative_to(images)


def put(path: Path, data: bytes) -> None:
    """Write it, whole or not at all; nothing where it lies already."""
    if not (path.is_file() and path.read_bytes() == data):
        with atomic(path) as temporary:
            temporary.write_bytes(data)

"""The stored previews of an experiment that can be shown above its pictures."""

from pathlib import Path

from darkroom.previews import read_previews, stored_previews
from darkroom.request.picture_key import PictureKey


def previews_shown(experiment: str) -> dict[PictureKey, Path]:
    """By picture, the last of several; none where the experiment has no previews."""
    listed = stored_previews(experiment)
    if not listed.is_file():
        return {}
    found = [(preview.key, preview.path) for preview in read_previews(listed) if preview.path]
    return {key: Path(path) for key, path in found if Path(path).is_file()}

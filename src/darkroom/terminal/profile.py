"""Profiles by name: a person's own as Snakemake finds them, else one of Darkroom's, wherever a person works."""

from pathlib import Path

from darkroom import OWN_FOLDER
from darkroom.errors import ConfigError

_OWN = OWN_FOLDER / "profiles"


def found(profile: str) -> str:
    """What to hand to Snakemake: the name itself where it finds one, or where nobody does."""
    from snakemake.cli import get_profile_dir

    is_own = (_OWN / profile / "config.yaml").is_file() and get_profile_dir(profile) is None
    return str(_OWN / profile) if is_own else profile


def profile_file(profile: str) -> Path:
    """Where its options of Snakemake stand; ConfigError where there is none."""
    from snakemake.cli import get_profile_dir

    place = get_profile_dir(found(profile))
    if place is None:
        own = ", ".join(sorted(path.parent.name for path in _OWN.glob("*/config.yaml")))
        raise ConfigError(f"--profile {profile}: there is none; Darkroom's own are {own}, yours a folder's path")
    _, file = place
    return Path(file)

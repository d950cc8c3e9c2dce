"""Profiles by name: a person's own as Snakemake finds them, else one of Darkroom's, wherever a person works."""

from pathlib import Path
from typing import Any

import yaml

from darkroom import OWN_FOLDER
from darkroom.errors import ConfigError

_OWN = OWN_FOLDER / "profiles"


def found(profile: str) -> str:
    """What to hand to Snakemake: the name itself where it finds one, or where nobody does."""
    from snakemake.cli import get_profile_dir

    is_own = (_OWN / profile / "config.yaml").is_file() and get_profile_dir(profile) is None
    return str(_OWN / profile) if is_own else profile


def read_profile(profile: str) -> dict[str, Any]:
    """Its options of Snakemake; ConfigError where there is none, or it is no mapping."""
    from snakemake.cli import get_profile_dir

    place = get_profile_dir(found(profile))
    if place is None:
        own = ", ".join(sorted(path.parent.name for path in _OWN.glob("*/config.yaml")))
        raise ConfigError(f"--profile {profile}: there is none; Darkroom's own are {own}, yours a folder's path")
    _, file = place
    try:
        values = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: expected options and values, got {str(values)[:60]!r}")
    return values

"""What a run would fetch of the hub before it renders: how much of which repository, and whose licence is asked for."""

from collections.abc import Iterator
from dataclasses import dataclass

from darkroom.errors import CheckpointError
from darkroom.plan.conf.schema import CheckpointSource
from darkroom.plan.weights.catalogue import LICENCES, size_about
from darkroom.plan.weights.hub import cached_snapshot, described
from darkroom.plan.weights.missing_files import component_faults
from darkroom.plan.weights.places import OnHub, components, place_of
from darkroom.plan.weights.repository import inside, patterns_of


@dataclass(frozen=True, kw_only=True)
class Download:
    """Of one repository what is not in the hub's cache. `size`: bytes, None where nobody could be asked."""

    repo: str
    parts: tuple[str, ...]  # components of the model
    size: int | None
    is_about: bool  # from a table, since the hub was not reached
    licence: str | None  # that has to be accepted on the hub first


def downloads(source: CheckpointSource, family: str, needs_text: bool, *, ask: bool = True) -> Iterator[Download]:
    """What finding this model's files would fetch. `ask`: the hub, for at most 3 seconds, what it is."""
    wanted: dict[tuple[str, str | None], dict[str, OnHub]] = {}
    for part in components(source, family, needs_text):
        try:
            place = place_of(source, part)
        except CheckpointError:  # told by missing_files.py
            continue
        if isinstance(place, OnHub) and not _is_cached(place, part):
            wanted.setdefault((place.repo, place.revision), {})[part] = place
    for (repo, revision), parts in wanted.items():
        patterns = [pattern for part, place in parts.items() for pattern in patterns_of(place, part)]
        said = described(repo, revision, patterns) if ask else None
        yield Download(
            repo=repo,
            parts=tuple(parts),
            size=said.size if said else size_about(repo, *parts),
            is_about=said is None,
            licence=LICENCES.get(repo) or ("a licence" if said and said.is_gated else None),
        )


def _is_cached(place: OnHub, part: str) -> bool:
    snapshot = cached_snapshot(place.repo, place.revision)
    return snapshot is not None and not list(component_faults(inside(snapshot, place, part), part))

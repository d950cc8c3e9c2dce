"""Which pictures a score compares with each other, by their requests."""

import json
from collections import defaultdict
from collections.abc import Hashable, Iterable

from darkroom.request.request import Request

_STRENGTH = "network_multiplier"


def is_of_base(request: Request) -> bool:
    """True for a picture of the base model, without a LoRA that changes it."""
    return not request.adapters.active


def scene(request: Request) -> Hashable:
    """What a picture shows, whatever LoRA it has."""
    title = request.title
    axes = {name: value for name, value in title.axes if name.split(".")[0] != _STRENGTH}
    return title.model, title.prompts, title.index, json.dumps(axes, sort_keys=True), request.sampling.seed


def but_for_seed(request: Request) -> Hashable:
    """What the pictures of several seeds have in common."""
    title = request.title
    axes = {name: value for name, value in title.axes if name != "seed"}
    return *title.names, title.index, json.dumps(axes, sort_keys=True)


def have_two_seeds(requests: Iterable[Request]) -> bool:
    """True where some prompt is rendered with two seeds at least."""
    seeds: dict[Hashable, set[int]] = defaultdict(set)
    for request in requests:
        found = seeds[but_for_seed(request)]
        found.add(request.sampling.seed)
        if len(found) > 1:
            return True
    return False

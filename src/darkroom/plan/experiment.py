"""One experiment, resolved: what the Snakefile asks."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from darkroom.checkpoint import RENDERING
from darkroom.names import Names
from darkroom.plan.conf.schema import Model, Output
from darkroom.plan.requests.model_values import base_of, encoder_of
from darkroom.planned import PlannedModel
from darkroom.request.digest import NUMERICS_REVISION
from darkroom.request.request import Request
from darkroom.scoring.scorer import Scorer
from darkroom.thresholds import ModelThresholds


@dataclass(frozen=True)
class Combination:
    """One choice of model, LoRA and prompt set: one render job."""

    names: Names
    requests: tuple[Request, ...]


@dataclass(frozen=True)
class Experiment:
    """Everything that conf/ says, resolved. Digests (16 hex digits) change with what is asked, not with files."""

    name: str  # of its folder in results/
    source: str  # conf/experiment/<source>.yaml: another name where it is a variant, rendered beside the first
    output: Output
    combinations: tuple[Combination, ...]
    models: Mapping[str, Model]
    thresholds: Mapping[str, ModelThresholds]  # by model
    scorers: Mapping[str, Scorer]  # by name
    notes: tuple[str, ...]  # what a person is to be told, and nothing fails of

    @property
    def images(self) -> int:
        return sum(len(combination.requests) for combination in self.combinations)

    def combination(self, names: Names) -> Combination:
        """KeyError if the experiment has no such combination."""
        return self._by_names[names]

    def digest(self, names: Names) -> str:
        """Over a combination's requests, where its base model comes from, and how images are written."""
        return self._digests[names]

    def texts(self, model: str) -> tuple[str, ...]:
        """The distinct texts that a model's text encoder has to encode, sorted."""
        requests = (request for c in self.combinations if c.names.model == model for request in c.requests)
        return tuple(sorted({text for request in requests for text in request.texts}))

    def planned_model(self, name: str) -> PlannedModel:
        """A model with what all its pictures show."""
        requests = (request for c in self.combinations if c.names.model == name for request in c.requests)
        embeds = {request.text.prompt_embeds for request in requests if request.text.prompt_embeds}
        model = self.models[name]
        return PlannedModel(
            name=name,
            checkpoint=asdict(model.checkpoint),
            base=base_of(model),
            encoder=encoder_of(model),
            texts=self.texts(name),
            prompt_embeds=tuple(sorted(embeds)),
        )

    def text_digest(self, model: str) -> str:
        """Over `texts` and everything in conf/ that can change their embeddings."""
        source = asdict(self.models[model].checkpoint)
        files = {key: value for key, value in source.items() if key not in RENDERING}
        return _digest([NUMERICS_REVISION, files, encoder_of(self.models[model]), self.texts(model)])

    def files(self, names: Names) -> tuple[str, ...]:
        """The files, besides the base model's, that a combination's pixels depend on: adapters, images, embeddings."""
        return self._files[names]

    @cached_property
    def _files(self) -> dict[Names, tuple[str, ...]]:
        return {names: _files(combination.requests) for names, combination in self._by_names.items()}

    @cached_property
    def _by_names(self) -> dict[Names, Combination]:
        return {combination.names: combination for combination in self.combinations}

    @cached_property
    def _digests(self) -> dict[Names, str]:
        sources = {name: asdict(model.checkpoint) for name, model in self.models.items()}
        output = asdict(self.output)
        return {
            names: _digest([NUMERICS_REVISION, output, sources[names.model], combination.requests])
            for names, combination in self._by_names.items()
        }


def _files(requests: Sequence[Request]) -> tuple[str, ...]:
    paths = {lora.path for request in requests for lora in request.adapters.loras}
    paths |= {image.path for request in requests for image in request.sampling.ctrl_images}
    paths |= {request.text.prompt_embeds for request in requests if request.text.prompt_embeds}
    return tuple(sorted(paths))


def _digest(value: Any) -> str:
    """16 hex digits over canonical JSON; requests and their LoRAs count as their fields."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=vars)
    return hashlib.sha256(text.encode()).hexdigest()[:16]

"""Would every LoRA file of an experiment be applied to its models? Asked of headers, before anything is rendered.

A base model whose files are here has the layers that their headers show, one of the hub those of the known base that
its repository holds. Of any other base nothing is known but the family, and rendering has the last word.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from darkroom.display import named
from darkroom.errors import (
    AdapterError,
    ConfigError,
    UnfitLoraError,
    WeightFileError,
    caught,
    raise_together,
)
from darkroom.lora_files.families import NAMINGS
from darkroom.lora_files.file import LoraFile, read_lora
from darkroom.lora_files.judge import judge
from darkroom.lora_files.naming import LayerShapes
from darkroom.plan.conf.origin import Origin
from darkroom.plan.conf.schema import LoraStack, Model
from darkroom.plan.weights.adapter_path import Fetch, file_of
from darkroom.plan.weights.base_layers import base_layers, layers_at
from darkroom.request.request import Request


class LoraCheck:
    """Every file is read once, every base model too, and a file is judged once for each of them."""

    def __init__(self, fetch: Fetch | None = None) -> None:
        """`fetch`: of files of the hub that are not in its cache; None where nothing is to be downloaded."""
        self._fetch = fetch
        self._files: dict[str, LoraFile | ConfigError] = {}  # by path, as written and as meant; or why it is not read
        self._meant: dict[str, str] = {}  # the file that a path as written means
        self._layers: dict[str, LayerShapes | None] = {}  # by model
        self._refused: dict[tuple[str, str, bool], str] = {}  # by path, model, allow_foreign_lora; "" for none
        # By place, kind of error and sentence: models.
        self._faults: dict[tuple[str, type[ConfigError], str], list[str]] = defaultdict(list)

    def read(self, stack: LoraStack, origin: Origin) -> LoraStack:
        """The option with the files that its paths mean, each of which has to be there and whole, applied or not."""
        found = []
        for number, lora in enumerate(stack.loras):
            file = self._file(lora.path)
            if isinstance(file, ConfigError):
                self._faults[origin.at(f"loras[{number}].path"), type(file), str(file)] = []
            found.append(replace(lora, path=self._meant.get(lora.path, lora.path)))
        return replace(stack, loras=tuple(found))

    def steps(self, stack: LoraStack) -> dict[str, int | None]:
        """Of each of its files, by path, the step of its training that the header says."""
        files = {lora.path: self._file(lora.path) for lora in stack.loras}
        return {path: file.step if isinstance(file, LoraFile) else None for path, file in files.items()}

    def judge(self, stack: LoraStack, origin: Origin, name: str, model: Model) -> None:
        """Each file of an option that is applied to a model has to fit it; one with a strength of 0 is not applied."""
        for number, lora in enumerate(stack.loras):
            file = self._file(lora.path)
            if lora.network_multiplier == 0 or isinstance(file, ConfigError):
                continue
            refusal = self._refusal(file, name, model, allow_foreign=stack.allow_foreign_lora)
            models = self._faults[origin.at(f"loras[{number}].path"), UnfitLoraError, refusal] if refusal else [name]
            if name not in models:
                models.append(name)

    def faults(self) -> Iterator[ConfigError]:
        """A sentence for each file that is missing, or, as an UnfitLoraError, damaged or not for its models."""
        for (place, kind, sentence), models in self._faults.items():
            on = f" on model {named(models)}:" if models else ""
            yield kind(f"{place}:{on} {sentence}")

    def _file(self, path: str) -> LoraFile | ConfigError:
        if path not in self._files:
            try:
                file = self._meant[path] = file_of(path, self._fetch)
                self._files[path] = self._files[file] = _read(file)
            except AdapterError as error:  # a path that leads to no file
                self._files[path] = ConfigError(str(error))
            except OSError as error:
                self._files[path] = ConfigError(f"{path}: {error.strerror}")
        return self._files[path]

    def _refusal(self, file: LoraFile, name: str, model: Model, *, allow_foreign: bool) -> str:
        if name not in self._layers:
            self._layers[name] = base_layers(model.checkpoint, model.family)
        key = (file.path, name, allow_foreign)
        if key not in self._refused:
            try:
                judge(file, self._layers[name], NAMINGS[model.family], allow_foreign=allow_foreign)
            except AdapterError as error:
                self._refused[key] = str(error)
        return self._refused.setdefault(key, "")


def _read(file: str) -> LoraFile | ConfigError:
    """A file, or why it is none: an UnfitLoraError where one is there that is damaged."""
    try:
        return read_lora(file)
    except WeightFileError as error:
        return UnfitLoraError(str(error)) if Path(file).is_file() else ConfigError(str(error))


def check_loras(requests: Iterable[Request], transformer: Path) -> None:
    """AdapterError, WeightFileError or Problems where a file cannot be applied to the transformer that was found."""
    asked = {
        (lora.path, request.base.family, request.adapters.allow_foreign_lora)
        for request in requests
        for lora in request.adapters.active
    }
    layers = {family: layers_at(transformer, NAMINGS[family]) for _, family, _ in asked}
    raise_together(
        error
        for path, family, allow_foreign in sorted(asked)
        for error in caught(
            lambda: judge(read_lora(path), layers[family], NAMINGS[family], allow_foreign=allow_foreign)  # noqa: B023 called at once
        )
    )

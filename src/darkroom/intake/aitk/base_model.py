"""Where the base model of an ai-toolkit job lies → a `checkpoint:` section of conf/. Opens no weights.

The trainer's rules (flux2_model.py, stable_diffusion_model.py, flex2.py, z_image.py): FLUX.2 takes a folder with the
one file that it knows by name, a single file, or a repository of the hub; FLUX.1 and Flex a folder or repository of
diffusers; Z-Image any of them, and what a single file lacks from `extras_name_or_path`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkroom.errors import ConfigError, Reading
from darkroom.files.regular_file import from_home
from darkroom.intake.aitk.section import Section
from darkroom.intake.architectures import Architecture
from darkroom.intake.roots import Roots
from darkroom.plan.conf.hub_reference import is_hub_id

_VAE = "ae.safetensors"  # of FLUX.2, as the trainer names it
_OWN_REPO = "${.repo}/"  # in a shipped option: of the same section
_EXTRAS = "Tongyi-MAI/Z-Image-Turbo"  # what is beside a transformer alone, where a job of Z-Image says no other
_COPIES = {"name_or_path": "checkpoint", "vae_path": "vae"}  # keys, and what to type for a copy
_ANYWHERE = Roots((Path("/"),))


@dataclass(frozen=True)
class Copies:
    """Copies of the job's weights on this machine, as typed: paths, or hub ids. None: where the job says."""

    checkpoint: str | None = None
    text_encoder: str | None = None
    text_encoder_2: str | None = None
    vae: str | None = None

    def __str__(self) -> str:
        """As they were typed."""
        return " ".join(f"--{_flag(name)} {value}" for name, value in vars(self).items() if value is not None)


@dataclass(frozen=True)
class _Place:
    """A hub id, or a path here."""

    written: str
    is_here: bool

    @property
    def is_file(self) -> bool:
        return self.is_here and Path(self.written).is_file()

    def holds(self, name: str) -> bool:
        return self.is_here and (Path(self.written) / name).exists()

    def below(self, name: str) -> str:
        return str(Path(self.written) / name) if self.is_here else f"{self.written}/{name}"


class BaseLookup:
    """One job's model section, against what is here.

    `shipped`: the checkpoint section of the architecture's own option.
    """

    def __init__(self, model: Section, shipped: Mapping[str, Any], copies: Copies, roots: Roots) -> None:
        self._model, self._shipped, self._copies, self._roots = model, shipped, copies, roots
        self._file: str | None = shipped.get("transformer")  # FLUX.2's one file, by its name

    def checkpoint(self, architecture: Architecture) -> Reading[dict[str, str]]:
        """The keys of the section that are set."""
        base = (yield from self._typed("checkpoint")) or (yield from self._named_base())
        if base is None:
            return {}
        extras = (yield from self._extras(base)) if architecture.takes("extras_name_or_path") else None
        home = extras or base  # of all parts that have no place of their own
        section = {
            "repo": self._repo(home),
            "transformer": base.written if extras else (yield from self._transformer(base)),
            "vae": (yield from self._vae(home, architecture.takes("vae_path"))),
        }
        for key in ("text_encoder", "text_encoder_2"):
            typed = yield from self._typed(key)
            own = self._file is None and home.holds(key)
            section[key] = typed.written if typed else None if own else self._shipped.get(key)
        if architecture.trains_with_adapter and "assistant_lora_path" in self._model:
            section["training_adapter"] = yield from self._named_file("assistant_lora_path")
        return {key: value for key, value in section.items() if value is not None}

    def _named_base(self) -> Reading[_Place | None]:
        """A folder or file here, a repository of the hub, or a file in one."""
        written = self._model.text("name_or_path") or ""
        return (yield from self._named("name_or_path", or_else=written if _is_file_of_hub(written) else None))

    def _extras(self, base: _Place) -> Reading[_Place | None]:
        """Where the parts besides the transformer come from, where that is another place than the base's."""
        if "extras_name_or_path" in self._model:
            extras = yield from self._named("extras_name_or_path")
            return None if extras == base else extras
        return _Place(_EXTRAS, is_here=False) if base.is_file or _is_file_of_hub(base.written) else None

    def _named_file(self, key: str) -> Reading[str | None]:
        """A file here, or one of the hub as organisation/name/file."""
        written = self._model.text(key) or ""
        place = yield from self._named(key, or_else=written if _is_file_of_hub(written) else None)
        return place.written if place else None

    def _repo(self, base: _Place) -> str:
        """Where all parts come from that have no place of their own: none of FLUX.2, most of FLUX.1 and Flex."""
        if not base.is_file:
            return base.written
        return str(Path(base.written).parent) if self._file else str(self._shipped["repo"])

    def _transformer(self, base: _Place) -> Reading[str | None]:
        if base.is_file:
            return base.written
        if self._file is None or not base.is_here:
            return self._file
        if base.holds(self._file):
            return base.below(self._file)
        if not base.holds("transformer"):
            yield self._fault(
                "name_or_path", f"{base.written}: expected {self._file} in it, or the folders of diffusers"
            )
        return None

    def _vae(self, base: _Place, takes_vae: bool) -> Reading[str | None]:
        typed = yield from self._typed("vae")
        if typed:
            return typed.written
        if self._file is not None and base.holds(_VAE):
            return base.below(_VAE)  # goes before vae_path
        if takes_vae and "vae_path" in self._model:
            return (yield from self._named_vae())
        shipped: str | None = self._shipped.get("vae")
        if base.is_here and base.holds("vae"):
            return None
        if shipped is None or not shipped.startswith(_OWN_REPO):
            return shipped
        if base.is_here:
            yield self._fault(
                "vae_path", f"the job names none, and there is no {_VAE} in {base.written}; --vae names one"
            )
        return base.below(shipped.removeprefix(_OWN_REPO))

    def _named_vae(self) -> Reading[str | None]:
        """A file or folder here, a file of the hub as organisation/name/file, or a repository that has one."""
        written = self._model.text("vae_path") or ""
        of_hub = _is_file_of_hub(written)
        place = yield from self._named("vae_path", or_else=written if of_hub else None)
        if place is None or place.is_here or of_hub or self._file is None:
            return place.written if place else None
        return place.below(_VAE)

    def _typed(self, copy: str) -> Reading[_Place | None]:
        typed = getattr(self._copies, copy)
        if typed is None:
            return None
        path = from_home(typed)
        if _is_there(path):
            return _Place(str(_ANYWHERE.inside(str(path.absolute()), copy)), is_here=True)
        if not is_hub_id(typed):
            yield ConfigError(f"--{_flag(copy)} {typed}: no such file or folder")
        return _Place(typed, is_here=False)

    def _named(self, key: str, or_else: str | None = None) -> Reading[_Place | None]:
        """What the job names at `key`, as the trainer looks for it: here, then on the hub (`or_else`: a file there)."""
        written = self._model.text(key)
        copy = f"; --{_COPIES[key]} PATH names a copy" if key in _COPIES else ""
        if written is None:
            yield self._fault(key, f"expected where the base model lies, got nothing{copy}")
            return None
        if _is_there(Path(written)) or not Path(written).is_absolute():
            try:
                found = self._roots.inside(written, self._model.at(key))
            except ConfigError as error:
                yield error
                return None
            if _is_there(found):
                return _Place(str(found), is_here=True)
        if or_else or is_hub_id(written):
            return _Place(or_else or written, is_here=False)
        yield self._fault(key, f"{written}: is not on this machine, and no hub id{copy}")
        return None

    def _fault(self, key: str, fault: str) -> ConfigError:
        return ConfigError(f"{self._model.at(key)}: {fault}")


def _is_file_of_hub(written: str) -> bool:
    """True for organisation/name/file.safetensors."""
    parts = written.split("/")
    return len(parts) == 3 and all(parts) and written.endswith(".safetensors")


def _flag(copy: str) -> str:
    return copy.replace("_", "-")


def _is_there(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110 no error for a name that is too long

"""What is recorded of a preview and differs from a request, as changes that would set it back.

Files are told by their digests; where none of then is left, that is said.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from darkroom.plan.conf.families import FAMILIES
from darkroom.plan.conf.schema import Model, Quantize
from darkroom.plan.trials.factors import Factor, own_strength, shown, where
from darkroom.plan.trials.lora_steps import same_run
from darkroom.request.parts import Lora, ReferenceImage
from darkroom.request.request import Request
from darkroom.request.speedups import SPEEDUPS

# Fields of a request that a record gives as they are; those of the model only where this version has the value.
_PLAIN = ("prompt", "neg", "seed", "sample_steps", "guidance_scale", "ctrl_idx", "max_sequence_length")
_CHOICES = {f.name: f.metadata["one_of"] for f in fields(Model) if "one_of" in f.metadata}
_CHOICES |= {f"quantize_{f.name}": (None, *f.metadata["one_of"]) for f in fields(Quantize) if "one_of" in f.metadata}
_CHOICES |= dict.fromkeys(("text_encoder_cast", "attn_masking", "quantize_embedders", *SPEEDUPS), (False, True))
_OF_MODEL = (
    *("dtype", "quantize_transformer", "quantize_text_encoder", "text_encoder_cast", "attn_masking", "guidance"),
    *("quantize_embedders", "guidance_rule", "schedule", "timestep_rounding", "noise_device", "numerics"),
    *SPEEDUPS,
)
_WEIGHTS = {"checkpoint_digest": "checkpoint", "text_encoder_digest": "text encoder"}


class Recorded:
    """`then`, the record of a preview, beside a request. `sha256`: digest of a file that is there."""

    def __init__(self, request: Request, then: Mapping[str, Any], sha256: Callable[[Path], str]) -> None:
        self._request, self._then, self._sha256 = request, then, sha256
        self.factors: tuple[Factor, ...] = ()
        self.not_tried: tuple[str, ...] = ()
        if then.get("family", request.base.family) != request.base.family:
            self.not_tried = (f"family: {then['family']} then, {request.base.family} now: another kind of model",)
            return
        told = [*self._values(), *self._regime(), *self._loras(), *self._images(), *self._weights()]
        self.factors = tuple(each for each in told if isinstance(each, Factor))
        self.not_tried = tuple(each for each in told if isinstance(each, str))

    def _values(self) -> Iterator[Factor | str]:
        now = self._request.row()
        choices = {**_CHOICES, **FAMILIES[self._request.base.family].choices}
        for name in (*_PLAIN, *_OF_MODEL):
            if name not in self._then or self._then[name] == now[name]:
                continue
            value = self._then[name]
            if name in choices and value not in choices[name]:
                yield f"{name}: {value}, as recorded: not built"
            elif name != "prompt" or self._request.text.prompt_embeds is None:
                yield self._set_back(name, value)

    def _regime(self) -> Iterator[Factor]:
        regime = self._then.get("lora_merge")
        if regime in _CHOICES["lora_merge"] and self._request.adapters.lora_merge not in (None, regime):
            yield self._set_back("lora_merge", regime)

    def _loras(self) -> Iterator[Factor | str]:
        """A step or a strength of another kind; with the regime of then, which a base without LoRA does not have."""
        if "loras" not in self._then:
            return
        now = [(lora.sha256, lora.network_multiplier) for lora in self._request.adapters.active]
        then = [lora for lora in self._then["loras"] if lora["network_multiplier"] != 0]
        if [(lora["sha256"], lora["network_multiplier"]) for lora in then] == now:
            return
        files = self._files(then, [Path(lora.path) for lora in self._request.adapters.loras], same_run)
        if isinstance(files, str):
            yield f"LoRA: {files}"
            return
        loras = tuple(
            Lora(path, lora["network_multiplier"], digest) for lora, (path, digest) in zip(then, files, strict=True)
        )
        changes = {"loras": loras, "lora_merge": self._request.adapters.lora_merge or self._then.get("lora_merge")}
        yield Factor(f"LoRA {_at(loras, 1)}", changes, self._stack_in_conf(loras), then=True)

    def _stack_in_conf(self, loras: Sequence[Lora]) -> str:
        """Where conf/ has what makes the stack of then: the prompt's strength, each file and its own."""
        request = self._request
        now = request.asked.network_multiplier
        then = self._then.get("network_multiplier", now or 1.0)
        changes = (
            [] if then == now else [f"network_multiplier: {shown(then)} in {where('network_multiplier', request)}"]
        )
        if then and not (now and _at(loras, then) == _at(request.adapters.loras, now)):
            changes.append(f"loras: {_at(loras, then)} in {where('loras', request)}")
        return "; ".join(changes)

    def _images(self) -> Iterator[Factor | str]:
        then, now = self._then.get("ctrl_images"), self._request.sampling.ctrl_images
        if then is None or [image["sha256"] for image in then] == [image.sha256 for image in now]:
            return
        files = self._files(then, [Path(image.path) for image in now], _beside)
        if isinstance(files, str):
            yield f"control image: {files}"
            return
        images = tuple(ReferenceImage(path, digest) for path, digest in files)
        paths = ", ".join(image.path for image in images) or "none"
        change = f"{paths} in {where('ctrl_images', self._request)}"
        yield Factor(f"control images: {paths}", {"ctrl_images": images}, change, then=True)

    def _weights(self) -> Iterator[str]:
        now = self._request.row()
        for name, what in _WEIGHTS.items():
            if self._then.get(name, now[name]) != now[name]:
                yield f"{what}: other files then ({self._then[name][:16]}…) than now: a request names no second one"

    def _set_back(self, name: str, value: Any) -> Factor:
        text = repr(value) if isinstance(value, str) and name in ("prompt", "neg") else shown(value)
        key = name.replace("quantize_", "quantize.")
        changes = {name: value}
        if name == "quantize_transformer" and value is None and self._request.adapters.lora_merge == "live":
            changes["lora_merge"] = self._then.get("lora_merge") or "merged"  # what follows from it, in conf/ too
        return Factor(f"{key}: {text}", changes, f"{key}: {text} in {where(name, self._request)}", then=True)

    def _files(
        self, then: Sequence[Mapping[str, Any]], now: Iterable[Path], beside: Callable[[Path], list[Path]]
    ) -> list[tuple[str, str]] | str:
        """Path and digest of each file of then, wherever it lies now; or a sentence on the first that is gone.

        `beside`: which others may be it. Each is read whole, so that a folder of LoRAs must not be among them.
        """
        files = []
        for file in then:
            digest, own = file.get("sha256") or "", Path(file["path"])
            candidates = [path for path in dict.fromkeys([own, *now, *beside(own)]) if path.is_file()]
            match = next((path for path in candidates if not digest or self._sha256(path) == digest), None)
            if match is None:
                what = "another one now" if own.is_file() else "not there any more"
                return f"{own}, as recorded, is {what} (sha256 {digest[:16]}…)"
            files.append((str(match), digest or self._sha256(match)))
        return files


def _at(loras: Sequence[Lora], of_prompt: float) -> str:
    return ", ".join(f"{lora.path} at {shown(own_strength(lora, of_prompt))}" for lora in loras) or "none"


def _beside(path: Path) -> list[Path]:
    """Files of the same kind in the same folder: one that was given another name."""
    return sorted(path.parent.glob(f"*{path.suffix}")) if path.parent.is_dir() else []

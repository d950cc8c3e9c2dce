"""How an ai-toolkit job computed its previews → an option of conf/model, and what that cannot say. Opens no weights.

The trainer's rules: ModelConfig in its toolkit/config_modules.py, and the loading code of each architecture.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

import yaml

from darkroom.display import suggestion
from darkroom.errors import ConfigError, Reading
from darkroom.intake.aitk.base_model import BaseLookup, Copies
from darkroom.intake.aitk.prompts import SampleSheet
from darkroom.intake.aitk.section import Section
from darkroom.intake.architectures import ARCHITECTURES, Architecture
from darkroom.intake.roots import Roots
from darkroom.intake.versions import Rules
from darkroom.plan.conf.families import FAMILIES, FLOAT8, QTYPES
from darkroom.plan.conf.folders import BUILT_IN
from darkroom.plan.conf.schema import Model

_DTYPES = {"bf16": "bfloat16", "bfloat16": "bfloat16"} | dict.fromkeys(
    ("fp32", "float32", "float", "single"), "float32"
)
_TRAINING_ADAPTER = "assistant_lora_path"
_OTHER_ADAPTERS = ("lora_path", _TRAINING_ADAPTER, "inference_lora_path")  # of the model section
_OTHER_PARTS = ("adapter", "embedding", "decorator")  # of the process: trained or used beside the network
_APPLIED = ("lora", "locon", "lokr")  # types of network whose files can be applied
_LORA_MERGE = "lora_merge"


@dataclass(frozen=True)
class TrainedModel:
    """The model as the previews saw it, as far as conf/ can say so."""

    arch: str
    rules: Rules  # of the trainer's version
    content: Mapping[str, Any]  # the keys of conf/model that differ from its defaults
    facts: Mapping[str, Any]  # how the trainer computed, by columns of the manifest
    is_merged: bool  # unless the previews of a set have several strengths
    reasons: tuple[str, ...]  # why no preview can be reproduced
    base_reasons: tuple[str, ...]  # why those before the training cannot

    @property
    def family(self) -> str:
        return str(self.content["family"])

    @property
    def base_version(self) -> str:
        """What the headers of its adapters say that they were trained on."""
        return self.rules.architecture.base.header

    def regime(self, strengths: Collection[float]) -> str:
        """The trainer's: adapters are merged into a base that is not quantised, if all previews have one strength."""
        return "merged" if self.is_merged and len(strengths) <= 1 else "live"

    def content_for(self, sheet: SampleSheet) -> Mapping[str, Any]:
        """The content, with lora_merge where plan/requests/resolve.py finds another regime than the trainer had."""
        strengths = {prompt.settings["network_multiplier"] for prompt in sheet.prompts}
        ours = "live" if "transformer" in self.content.get("quantize", {}) or len(strengths) > 1 else "merged"
        trainers = self.regime(sheet.strengths)
        return self.content if ours == trainers else {**self.content, _LORA_MERGE: trainers}


def trained_model(
    process: Section, copies: Copies, roots: Roots, rules: Rules | None = None
) -> Reading[TrainedModel | None]:
    """The model of a process; None where its architecture is none of ours. `rules`: of another version than CHECKED."""
    model = process.section("model")
    arch = _arch(model)
    if arch not in ARCHITECTURES:
        said = suggestion(arch, ARCHITECTURES) if arch else f"expected one of {', '.join(sorted(ARCHITECTURES))}"
        yield ConfigError(f"{model.at('arch')}: {arch or None!r} cannot be rendered here; {said}")
        return None
    shipped = yaml.safe_load((BUILT_IN / "model" / f"{arch}.yaml").read_text(encoding="utf-8"))
    family = shipped["family"]
    rules = rules or Rules(architecture=ARCHITECTURES[arch])
    architecture = rules.architecture
    storage = _Storage(model, architecture, FAMILIES[family].qtypes)
    dtype = process.section("train").text("dtype") or "fp32"
    lookup = BaseLookup(model, shipped["checkpoint"], copies, roots)
    content = {
        "family": family,
        "checkpoint": (yield from lookup.checkpoint(architecture)),
        "imported": True,
        "guidance": shipped.get("guidance", "cfg"),
        "attn_masking": model.flag("attn_masking") and FAMILIES[family].takes_attn_masking,
        "dtype": _DTYPES.get(dtype, "bfloat16"),
        "guidance_rule": architecture.guidance_rule,
        "schedule": architecture.schedule,
        "resolution_divisor": architecture.resolution_divisor,
        "quantize": storage.in_conf,
        "text_encoder_cast": _casts(architecture, storage.text_encoder, model.flag("low_vram")),
    }
    reasons = [*storage.reasons(), *_reasons(process, model, architecture)]
    if dtype not in _DTYPES:
        reasons.append(f"train.dtype {dtype}: models are in bfloat16 or float32 here")
    return TrainedModel(
        arch=arch,
        rules=rules,
        content=_without_defaults(content),
        facts=_facts(content, storage, _DTYPES.get(dtype, dtype)),
        is_merged=not storage.is_live,
        reasons=tuple(reasons),
        base_reasons=tuple(_base_reasons(process.section("network"))),
    )


def _facts(content: Mapping[str, Any], storage: "_Storage", dtype: str) -> dict[str, Any]:
    """How the trainer computed, by columns of the manifest."""
    same = ("family", "guidance", "attn_masking", "text_encoder_cast", "guidance_rule", "schedule")
    return {
        **{key: content[key] for key in same},
        "dtype": dtype,
        "quantize_transformer": storage.transformer,
        "quantize_text_encoder": storage.text_encoder,
        "quantize_embedders": storage.embedders,
        "timestep_rounding": "aitk",
        "noise_device": "cpu",
        "numerics": "exact",
    }


class _Storage:
    """In which types the trainer kept the weights; None: in its dtype."""

    def __init__(self, model: Section, architecture: Architecture, qtypes: Sequence[str]) -> None:
        """`qtypes`: those of a transformer that are here."""
        quantizes = model.flag("quantize")
        quantizes_text = model.flag("quantize_te", default=quantizes)
        self._offloads = model.flag("layer_offloading", default=model.flag("auto_memory"))
        qtype, text_qtype = (self._qtype(model.text(key)) for key in ("qtype", "qtype_te"))
        qtype, _, recovery = qtype.partition("|")
        self._recovery = bool(recovery or "accuracy_recovery_adapter" in model) and quantizes
        self._recovery = self._recovery and architecture.takes("accuracy_recovery_adapter")
        excludes = architecture.takes("quantize_kwargs") and bool(model.section("quantize_kwargs").content)
        self._excludes = excludes and quantizes
        self._adapts = architecture.trains_with_adapter and _TRAINING_ADAPTER in model
        if self._adapts and qtype == "qfloat8":
            qtype = FLOAT8  # in the trainer, for the sake of what cancels the adapter
        self.transformer = qtype if quantizes else None
        self.embedders = architecture.quantizes_embedders and quantizes
        self.text_encoder = (text_qtype if architecture.takes_qtype_te else qtype) if quantizes_text else None
        self.is_live = quantizes or self._offloads
        self._known: Mapping[str, Sequence[str]] = {"transformer": qtypes, "text_encoder": QTYPES}

    def _qtype(self, written: str | None) -> str:
        qtype = written or "qfloat8"
        return "float8" if self._offloads and qtype == "qfloat8" else qtype

    @property
    def in_conf(self) -> dict[str, Any]:
        """As conf/model has it, as far as it can."""
        parts = {part: qtype for part in self._known if (qtype := getattr(self, part)) in self._known[part]}
        return {**parts, "embedders": True} if self.embedders else parts

    def reasons(self) -> Iterator[str]:
        why = ", which layer_offloading makes of qfloat8" if self._offloads else ""
        for part, known in self._known.items():
            qtype = getattr(self, part)
            if qtype is not None and qtype not in known:
                said = f"{qtype}{why if qtype == FLOAT8 else ''}"
                yield f"the trainer had its {part.replace('_', ' ')} in {said}; there is {', '.join(known)} here"
        if self._adapts and self.transformer not in (None, FLOAT8):
            yield f"quantising to {self.transformer}, the trainer lost what cancels the training adapter in previews"
        if self._recovery:
            yield "the trainer used an accuracy recovery adapter"
        if self._excludes:
            yield "model.quantize_kwargs: the trainer left layers unquantised"


def _arch(model: Section) -> str:
    """The architecture, which names the shipped option; "" where the job names none."""
    written = model.text("arch")
    if not written:
        return "flux" if model.flag("is_flux") else ""
    arch, _, tag = written.partition(":")
    return tagged if (tagged := f"{arch}_{tag}") in ARCHITECTURES else arch


def _casts(architecture: Architecture, text_qtype: str | None, low_vram: bool) -> bool:
    """Did `.to(dtype)` go over the whole text encoder?"""
    is_plain = text_qtype is None and not low_vram
    return {"always": True, "unquantised": is_plain, "never": False}[architecture.casts_text_encoder]


def _reasons(process: Section, model: Section, architecture: Architecture) -> Iterator[str]:
    for key in _OTHER_ADAPTERS:
        if key in model and not (key == _TRAINING_ADAPTER and architecture.trains_with_adapter):
            yield f"model.{key}: the previews had another LoRA in them"
    if model.flag("use_flux_cfg") and architecture.takes("use_flux_cfg"):
        yield "model.use_flux_cfg: the previews had classifier-free guidance, which FLUX.1 has not here"
    for part in _OTHER_PARTS:
        if part in process:
            yield f"the job has a section {part}, which its previews depend on"
    network = process.section("network")
    if not network.content:
        yield "the job has no section network: it trained the base model itself"
    elif (kind := network.text("type") or "lora").lower() not in _APPLIED:
        yield f"network.type {kind} cannot be applied here"
    if process.section("train").flag("merge_network_on_save"):
        yield "train.merge_network_on_save: its checkpoints are whole models"


def _base_reasons(network: Section) -> Iterator[str]:
    if "pretrained_lora_path" in network:
        yield "network.pretrained_lora_path: the training began from another LoRA, not from the base model"


def _without_defaults(content: Mapping[str, Any]) -> dict[str, Any]:
    defaults = {field.name: field.default for field in fields(Model) if field.default is not MISSING}
    return {key: value for key, value in content.items() if value != {} and defaults.get(key) != value}


def sampler_reasons(arch: str, section: Section) -> Sequence[str]:
    """Why the previews of a sample section cannot be reproduced: FLUX.1 alone goes by `sampler`."""
    sampler = section.text("sampler") or "ddpm"
    if not ARCHITECTURES[arch].goes_by_sampler or sampler == "flowmatch":
        return ()
    return (f"sampler {sampler}: the trainer samples {arch} as a flow model with flowmatch only",)

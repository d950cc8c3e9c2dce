"""A mapping of an ai-toolkit configuration, read by type, and a sentence for each key that is of another type."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from darkroom.errors import ConfigError

_TEXT, _WHOLE, _FLAG, _MAPPING, _LIST = "text", "a whole number", "true or false", "keys and values", "a list"
_IS: Mapping[str, Callable[[Any], bool]] = {
    _TEXT: lambda value: isinstance(value, str),
    _WHOLE: lambda value: isinstance(value, int) and not isinstance(value, bool),
    _FLAG: lambda value: value in (0, 1),  # which are what true and false are to the trainer
    _MAPPING: lambda value: isinstance(value, Mapping),
    _LIST: lambda value: isinstance(value, list),
}
_SAMPLE = {"sampler": _TEXT, "walk_seed": _FLAG, "prompts": _LIST, "samples": _LIST}
_SECTIONS = {  # of a process: the keys that are read by type; the section itself is one of its keys
    "model": {
        **dict.fromkeys(
            ("arch", "name_or_path", "extras_name_or_path", "assistant_lora_path", "vae_path", "qtype", "qtype_te"),
            _TEXT,
        ),
        **dict.fromkeys(("is_flux", "quantize", "quantize_te", "layer_offloading", "auto_memory"), _FLAG),
        **dict.fromkeys(("low_vram", "attn_masking", "use_flux_cfg"), _FLAG),
        "quantize_kwargs": _MAPPING,
    },
    "network": {"type": _TEXT},
    "train": {
        "dtype": _TEXT,
        "steps": _WHOLE,
        **dict.fromkeys(("skip_first_sample", "merge_network_on_save"), _FLAG),
        **dict.fromkeys(("unload_text_encoder", "cache_text_embeddings"), _FLAG),
    },
    "sample": _SAMPLE,
    "first_sample": _SAMPLE,
}
_PROCESS = {**dict.fromkeys(("type", "trigger_word", "training_folder"), _TEXT), **dict.fromkeys(_SECTIONS, _MAPPING)}
_ROOT, _CONFIG = {"config": _MAPPING}, {"name": _TEXT, "process": _LIST}


class Section:
    """Keys and values found at `where` (file and key). One that is missing, null or of another type is not there."""

    def __init__(self, content: Mapping[Any, Any], where: str) -> None:
        self.content, self.where = content, where

    def __contains__(self, key: str) -> bool:
        return self.content.get(key) is not None

    def at(self, key: str) -> str:
        """`output/my_job/config.yaml: process[0].model.quantize`."""
        return f"{self.where}.{key}" if ": " in self.where else f"{self.where}: {key}"

    def text(self, key: str) -> str | None:
        value: str | None = self._of_type(_TEXT, key, None)
        return value

    def whole_number(self, key: str) -> int | None:
        value: int | None = self._of_type(_WHOLE, key, None)
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """True or false; a null that is written is false, as to Python."""
        return bool(self._of_type(_FLAG, key, default and key not in self.content))

    def section(self, key: str) -> "Section":
        """A mapping below this one; empty where there is none."""
        return Section(self._of_type(_MAPPING, key, {}), self.at(key))

    def entries(self, key: str) -> list[Any]:
        """A list; empty where there is none."""
        return list(self._of_type(_LIST, key, []))

    def sections(self, key: str) -> list["Section"]:
        """A list of mappings; empty for each that is none."""
        return [
            Section(value if _IS[_MAPPING](value) else {}, self.at(f"{key}[{number}]"))
            for number, value in enumerate(self.entries(key))
        ]

    def _of_type(self, expected: str, key: str, default: Any) -> Any:
        value = self.content.get(key)
        return value if value is not None and _IS[expected](value) else default


def root_faults(root: Section) -> Iterator[ConfigError]:
    """A sentence for what is not of its type around the processes of a job."""
    yield from _faults(root, _ROOT)
    yield from _faults(root.section("config"), _CONFIG)
    yield from _item_faults(root.section("config"), "process")


def process_faults(process: Section) -> Iterator[ConfigError]:
    """A sentence for each key of a process that is not of the type that it is read by."""
    yield from _faults(process, _PROCESS)
    for name, types in _SECTIONS.items():
        yield from _faults(process.section(name), types)
        if types is _SAMPLE:
            yield from _item_faults(process.section(name), "samples")


def _faults(section: Section, types: Mapping[str, str]) -> Iterator[ConfigError]:
    for key, expected in types.items():
        value = section.content.get(key)
        if value is not None and not _IS[expected](value):
            yield _fault(section.at(key), expected, value)


def _item_faults(section: Section, key: str) -> Iterator[ConfigError]:
    for number, value in enumerate(section.entries(key)):
        if not _IS[_MAPPING](value):
            yield _fault(section.at(f"{key}[{number}]"), _MAPPING, value)


def _fault(place: str, expected: str, value: object) -> ConfigError:
    shown = repr(value)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return ConfigError(f"{place}: expected {expected}, got {shown}")

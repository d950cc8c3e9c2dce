"""The models that come with Darkroom: which memory mode each has on this machine, as a table."""

from collections.abc import Iterable
from pathlib import Path

import yaml

_HEAD = ("models, at 1024 x 1024", "texts", "pictures")


def modes_table(modes: Iterable[tuple[str, str, str]]) -> str:
    """Columns as wide as their widest entry. `modes`: ids of models, how texts are encoded, how pictures are made."""
    rows = [_HEAD, *modes]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    lines = [f"{ids:{widths[0]}}  {texts:{widths[1]}}  {pictures}" for ids, texts, pictures in rows]
    return "\n".join([*lines, "(docs/memory.md tells what resident, model and block are)", ""])


def text_quantization(conf: Path) -> dict[str, str | None]:
    """By the id of a model in a folder of conf/: how its text encoder is quantised, None for not at all."""
    models = {file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in (conf / "model").glob("*.yaml")}
    return {name: model.get("quantize", {}).get("text_encoder") for name, model in models.items()}

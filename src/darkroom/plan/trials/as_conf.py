"""`darkroom show --as-conf`: the record in a picture as a prompts file that renders it again, and the parts of one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkroom.display import printable
from darkroom.files.yaml_text import yaml_line, yaml_text
from darkroom.named_picture import read_record_of
from darkroom.request.speedups import SPEEDUPS
from darkroom.store import format_of

# What conf/model may have said differently from the file that is there now.
_MODEL_SETTINGS = (
    *("dtype", "guidance_rule", "schedule", "timestep_rounding", "noise_device", "numerics", "max_sequence_length"),
    *("text_encoder_cast", "attn_masking"),
)
_AGAIN = "again"  # name of the prompts file and experiment that `as_conf` suggests


def as_conf(path: Path) -> str:
    """A file for conf/prompts/ that renders the picture again, with comments that say on which model and how.

    The prompt is the effective one, its trigger word already in place. Errors as for
    `read_record_of`.
    """
    record = read_record_of(path).embedded_row()
    comments = "".join(f"# {printable(line)}".rstrip() + "\n" for line in _comments(path, record))
    return comments + yaml_text({"prompts": [prompt_entry(record)]})


def prompt_entry(record: Mapping[str, Any]) -> dict[str, Any]:
    """The prompt with all its settings, as conf/prompts has it."""
    text = "prompt_embeds" if record["prompt_embeds"] else "prompt"
    names = (text, "neg", "width", "height", "seed", "sample_steps", "guidance_scale", "network_multiplier")
    entry = {name: record[name] for name in names}
    images = [image["path"] for image in record["ctrl_images"]]
    keys = ["ctrl_img"] if len(images) == 1 else [f"ctrl_img_{number}" for number in range(1, len(images) + 1)]
    entry |= dict(zip(keys, images, strict=True))
    if record["ctrl_idx"] is not None:
        entry["ctrl_idx"] = record["ctrl_idx"]
    return entry


def model_settings(record: Mapping[str, Any]) -> dict[str, Any]:
    """How the model computed, as conf/model has it."""
    model = {name: record[name] for name in _MODEL_SETTINGS}
    model["quantize"] = {part: record[f"quantize_{part}"] for part in ("transformer", "text_encoder", "embedders")}
    if record["numerics"] == "fast":
        model |= {name: record[name] for name in SPEEDUPS}
    if record["lora_merge"] is not None:
        model["lora_merge"] = record["lora_merge"]
    return model


def _comments(path: Path, record: Mapping[str, Any]) -> list[str]:
    """The comment lines above the prompts: how to use the file, then what it needs to give the same pixels."""
    matrix = {"model": [record["model"]], "lora": [record["lora"]], "prompts": [_AGAIN]}
    return [
        f"Renders {path.name} again:",
        f"  1. save this file as conf/prompts/{_AGAIN}.yaml",
        f"  2. save these lines as conf/experiment/{_AGAIN}.yaml:",
        f"       matrix: {yaml_line(matrix)}",
        f"       model: {yaml_line(model_settings(record))}",
        f"       output: {yaml_line({'format': format_of(path)})}",
        *(["       lora: {allow_foreign_lora: true}"] if record["allow_foreign_lora"] else []),
        f"  3. darkroom run {_AGAIN}",
        "",
        f"It was rendered in experiment {record['experiment']} from prompt {record['index']} of {record['prompts']},",
        f"numerics {record['numerics']}, with darkroom {record['darkroom_version']} on {record['device']}, and needs",
        f"  model {record['model']}: {record['checkpoint']}, revision {record['checkpoint_revision'] or 'none'},",
        f"    {record['dtype']}, digest {record['checkpoint_digest']}",
        *_lora_comments(record),
        *(f"  {image['path']}, sha256 {image['sha256']}" for image in record["ctrl_images"]),
        "",
    ]


def _lora_comments(record: Mapping[str, Any]) -> list[str]:
    lines = [f"  lora {record['lora']}:{'' if record['loras'] else ' no files'}"]
    return lines + [
        f"    {lora['path']} at {lora['network_multiplier']}, sha256 {lora['sha256']}" for lora in record["loras"]
    ]

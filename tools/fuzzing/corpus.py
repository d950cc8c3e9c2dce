"""Whole files of each format that Darkroom reads: what fuzzing begins with."""

import io
import json
import struct
import zlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

from darkroom.files.images.image_file import encode_image
from darkroom.record.embedded import read_embedded_record

REPOSITORY = Path(__file__).parents[2]
_DATA = REPOSITORY / "tests/data"
_PROJ = "double_blocks.0.img_attn.proj"


def adapters() -> Sequence[bytes]:
    """LoRA and LoKr as several trainers name them, and weights with a scale."""
    said = {"ss_base_model_version": "flux2_klein_4b", "name": "sks", "training_info": '{"step": 500, "epoch": 2}'}
    said |= {"ss_tag_frequency": '{"1_sks": {"sks": 1}}', "software": '{"name": "ai-toolkit", "version": "0.9"}'}
    peft = {"lora_adapter_metadata": '{"transformer.r": 2, "transformer.alpha_pattern": {"img_attn.proj": 4}}'}
    ours, kohyas = f"diffusion_model.{_PROJ}.lora_", f"lora_unet_{_PROJ.replace('.', '_')}.lora_"
    return [
        safetensors({f"{ours}A.weight": (2, 16), f"{ours}B.weight": (16, 2)}, said | peft),
        safetensors({f"{kohyas}down.weight": (2, 16), f"{kohyas}up.weight": (16, 2)}, {"ss_steps": "500"}),
        safetensors({"a.weight": (4, 4), "a.scale_weight": (1,), "scaled_fp8": (2,)}, {}),
        *(
            (_DATA / f"parity/adapters/{name}.safetensors").read_bytes()
            for name in ("lokr_dec_bf16_alpha", "lora_fp16")
        ),
    ]


def safetensors(shapes: dict[str, tuple[int, ...]], metadata: dict[str, str]) -> bytes:
    """A file of float32 tensors, all zero."""
    entries: dict[str, object] = {"__metadata__": metadata}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 4 * int(np.prod(shape))
        entries[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + bytes(end)


def gguf() -> Sequence[bytes]:
    """A header with values of several kinds, and a tensor."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    keys = text("general.architecture") + struct.pack("<I", 8) + text("qwen3")
    keys += text("general.alignment") + struct.pack("<II", 4, 32)
    keys += text("qwen3.rope.freq_base") + struct.pack("<If", 6, 1e6)
    keys += text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2) + text("a") + text("b")
    tensor = text("blk.0.attn_q.weight") + struct.pack("<IQQIQ", 2, 32, 4, 1, 0)
    header = b"GGUF" + struct.pack("<IQQ", 3, 1, 4) + keys + tensor
    return [header + bytes(-len(header) % 32) + bytes(256)]


@cache
def pictures(*formats: str) -> Sequence[bytes]:
    """Renders with their record, in these of Darkroom's own formats."""
    record = read_embedded_record(_DATA / "record/picture_unversioned.png").to_json()
    pixels = np.random.default_rng(1).integers(0, 255, (24, 32, 3), np.uint8)
    return [encode_image(pixels, record, each, 90) for each in formats]


def plain_pictures() -> Sequence[bytes]:
    """Pictures of other programs in every format that a reference image may have."""
    found = []
    for image_format in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF"):
        buffer = io.BytesIO()
        Image.effect_noise((24, 16), 80).convert("RGB").save(buffer, image_format)
        found.append(buffer.getvalue())
    for mode in ("RGBA", "P", "L", "I;16"):
        buffer = io.BytesIO()
        Image.effect_noise((24, 16), 80).convert("RGB" if mode == "P" else "L").convert(mode).save(buffer, "PNG")
        found.append(buffer.getvalue())
    return found


def messages() -> Sequence[bytes]:
    """Each kind of message between a client and a worker."""
    names = ("directory", "requests", "checkpoint", "records", "results", "store")
    job = {**{name: f"/{name}" for name in names}, "offload": "auto"}
    progress = {"experiment": "e", "combination": "m / l / p", "done": 1, "total": 2, "seconds_per_image": None}
    kinds = {"job": job, "prewarm": {"family": "flux2"}, "progress": progress, "failed": {"text": "a", "again": True}}
    return [json.dumps({name: values}).encode() for name, values in kinds.items()]


PROMPT_LINES = """# a comment
a cat --w 512 --h 768 --d 7 --s 20 --l 3.5 --n blurry
[trigger] a photo --m 0.5 --ctrl_img red.png
a dog <lora:sks:0.8> --network_multiplier 0.5
"""
PROMPT_TABLE = 'prompt,neg,seed,width\n"a cat, sitting",blurry,42,512\na dog,,,\n'
PROMPT_OBJECT = '{"prompt": "a dog", "seed": 7, "aspect_ratio": "3:4", "network_multiplier": 0.5}'
TEMPLATE = "a {red|2::green|{dark|light} blue} car, {2$$ and $$a|b|c}, __colour__\n"
REQUEST = json.dumps(
    {
        "model": "flux2_klein_4b",
        "loras": [{"path": "sks.safetensors", "network_multiplier": 0.8}],
        "prompts": [{"prompt": "[trigger] a cat", "seed": 7, "width": 512, "height": 512}],
        "trigger_word": "sks",
        "sample_steps": 4,
    }
)
MODEL = """family: flux2
checkpoint: {repo: someone/klein}
defaults: &defaults {width: 512, height: 512, sample_steps: 4, guidance_scale: 4.0, seed: 42}
"""
LORA = """trigger_word: sks
loras:
  - {path: sks.safetensors, network_multiplier: 0.8}
"""
PROMPTS = """trigger_word: sks
defaults: {width: 512}
prompts:
  - "[trigger] a photo of a person"
  - {prompt: "a cat ${lora.trigger_word}", seed: 7, aspect_ratio: "3:4", neg: blurry}
templates: ["a {red|green} car"]
"""
EXPERIMENT = """# @package _global_
matrix:
  model: [m]
  lora: [l, none]
  prompts: [p]
  network_multiplier: [0.5, 1.0]
  seed: 1..2
exclude:
  - {lora: none, network_multiplier: 0.5}
output: {format: webp, quality: 90}
"""
CONFIG = """output: {format: webp}
machine: {hf_home: null}
"""
JOB = """job: extension
config:
  name: sks
  process:
    - type: sd_trainer
      training_folder: output
      trigger_word: sks
      network: {type: lora, linear: 16, linear_alpha: 16}
      save: {dtype: float16, save_every: 250}
      train: {steps: 500, noise_scheduler: flowmatch, dtype: bf16}
      model: {name_or_path: black-forest-labs/FLUX.2-klein-base-4B, arch: flux2_klein_4b, quantize: true}
      sample:
        sampler: flowmatch
        sample_every: 250
        width: 512
        height: 512
        seed: 42
        walk_seed: true
        guidance_scale: 4
        sample_steps: 20
        prompts:
          - "[trigger] a photo --w 640"
        samples:
          - {prompt: a cat, seed: 7}
meta: {name: sks, version: "1.0"}
"""
_RECORD = escape(json.dumps(read_embedded_record(_DATA / "record/picture_unversioned.png").to_json()))
PACKET = (
    '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:darkroom="urn:darkroom:xmp:1.0/"><darkroom:record>' + _RECORD + "</darkroom:record>"
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def with_packet(packet: bytes) -> bytes:
    """A PNG with an XMP packet."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    content = b"XML:com.adobe.xmp\0\0\0\0\0" + packet
    chunk = struct.pack(">I", len(content)) + b"iTXt" + content + struct.pack(">I", zlib.crc32(b"iTXt" + content))
    return buffer.getvalue()[:33] + chunk + buffer.getvalue()[33:]

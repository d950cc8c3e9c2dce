"""Scores by models that see: how well pictures fit their prompts, and how like a folder of pictures they are.

`text`: 100 times the cosine of a picture's and its prompt's embeddings, by CLIP or SigLIP (CLIPScore without its
weight: Hessel et al. 2021, arXiv:2104.08718). `references`: the mean cosine to the pictures of a folder, by the pooled
embedding of CLIP or SigLIP or the class token of DINOv2 (CLIP-I and DINO of Ruiz et al. 2022, arXiv:2208.12242).
Models are transformers', from the hub or a folder in its layout; they compute in float32.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import normalize
from transformers import AutoConfig, AutoImageProcessor, AutoModel, AutoTokenizer

from darkroom.errors import CheckpointError, StoreError, one_line
from darkroom.files.images.opened import ALL, opened_whole, read_bytes
from darkroom.record.rows import Record
from darkroom.scoring.scorer import TEXT, Scorer

_BATCH = 16  # pictures at once
_TWO_SIDED = ("clip", "siglip", "siglip2")  # config.model_type: models of pictures and texts
_ONE_SIDED = ("dinov2", "dinov2_with_registers", "dinov3_vit")
_LOWERCASED = ("siglip", "siglip2")  # were trained on texts so, padded to all of their places


class Scored:
    """One model in memory."""

    def __init__(self, where: str, checkpoint: str) -> None:
        """CheckpointError where it cannot be loaded. `where`: it is asked for, for messages."""
        try:
            config = AutoConfig.from_pretrained(checkpoint)
            self.kind = str(config.model_type)
            if self.kind not in (*_TWO_SIDED, *_ONE_SIDED):
                known = ", ".join((*_TWO_SIDED, *_ONE_SIDED))
                raise CheckpointError(f"{where}: {checkpoint} is of the type {self.kind}; known are {known}")
            self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            self._model = AutoModel.from_pretrained(checkpoint, dtype=torch.float32).eval().to(self._device)
            self._picture = AutoImageProcessor.from_pretrained(checkpoint, use_fast=False)
            self._words = AutoTokenizer.from_pretrained(checkpoint) if self.kind in _TWO_SIDED else None
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{where}: {checkpoint} cannot be loaded: {one_line(error)}") from error

    @torch.inference_mode()
    def of_pictures(self, paths: Sequence[Path]) -> Tensor:
        """(pictures, features), each of length 1. ImageError for one that cannot be read whole."""
        return torch.cat([self._of_batch(paths[at : at + _BATCH]) for at in range(0, len(paths), _BATCH)])

    @torch.inference_mode()
    def of_texts(self, texts: Sequence[str]) -> Tensor:
        """(texts, features), each of length 1; longer texts than the model reads are cut."""
        assert self._words is not None
        is_lower = self.kind in _LOWERCASED
        places = self._model.config.text_config.max_position_embeddings
        words = self._words(
            [text.lower() for text in texts] if is_lower else list(texts),
            padding="max_length" if is_lower else True,
            max_length=places,
            truncation=True,
            return_tensors="pt",
        )
        given = {name: words[name].to(self._device) for name in ("input_ids", "attention_mask") if name in words}
        if is_lower:
            given.pop("attention_mask", None)  # SigLIP reads its padding
        return _unit(self._model.get_text_features(**given))

    def _of_batch(self, paths: Sequence[Path]) -> Tensor:
        pixels = self._picture([_opened(path) for path in paths], return_tensors="pt")["pixel_values"].to(self._device)
        if self.kind in _TWO_SIDED:
            return _unit(self._model.get_image_features(pixel_values=pixels))
        return _unit(self._model(pixel_values=pixels).last_hidden_state[:, 0])


def score_by_model(name: str, scorer: Scorer, records: Sequence[Record]) -> dict[str, float]:
    """By request_id. CheckpointError, ImageError or StoreError, in a sentence."""
    where = f"conf/score/{name}.yaml: checkpoint"
    model = Scored(where, scorer.checkpoint or "")
    paths = [Path(record.image_path) for record in records]
    if scorer.kind == TEXT:
        if model.kind not in _TWO_SIDED:
            raise CheckpointError(f"{where}: {scorer.checkpoint} sees pictures alone; kind text needs CLIP or SigLIP")
        told = [(record, text) for record in records if (text := record.request.text.prompt)]
        texts = list(dict.fromkeys(text for _, text in told))
        if not texts:
            raise StoreError(f"{where}: no picture has a prompt in words")
        features = dict(zip(texts, model.of_texts(texts), strict=True))
        seen = model.of_pictures([Path(record.image_path) for record, _ in told])
        values = [100 * float(one @ features[text]) for one, (_, text) in zip(seen, told, strict=True)]
        return dict(zip((record.request_id for record, _ in told), values, strict=True))
    likeness = model.of_pictures(paths) @ model.of_pictures(list(_references(Path(scorer.references or "")))).T
    values = likeness.mean(dim=1).tolist()
    return dict(zip((record.request_id for record in records), values, strict=True))


def _references(folder: Path) -> Iterator[Path]:
    yield from sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def _opened(path: Path) -> Image.Image:
    with opened_whole(read_bytes(path), path, ALL) as image:
        return image.convert("RGB")


def _unit(found: Any) -> Tensor:
    """Of a tensor, or of what newer versions of transformers wrap it in."""
    return normalize(found if isinstance(found, Tensor) else found.pooler_output, dim=-1)

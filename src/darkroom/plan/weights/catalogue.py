"""The repositories that the models which come along are read from: which model, how large, under whose licence.

For what has to be said before anything is fetched, and where the hub cannot be asked.
"""

from collections.abc import Mapping

from darkroom.plan.conf.schema import CheckpointSource

# GB (10^9 bytes) by component, as of 2026.
_ABOUT: Mapping[str, Mapping[str, float]] = {
    "black-forest-labs/FLUX.2-klein-base-4B": {"transformer": 7.8},
    "black-forest-labs/FLUX.2-klein-4B": {"transformer": 7.8},
    "black-forest-labs/FLUX.2-klein-base-9B": {"transformer": 18.2},
    "black-forest-labs/FLUX.2-klein-9B": {"transformer": 18.2},
    "black-forest-labs/FLUX.2-dev": {"transformer": 64.4, "vae": 0.3},
    "ai-toolkit/flux2_vae": {"vae": 0.3},
    "Qwen/Qwen3-4B": {"text_encoder": 8.1, "tokenizer": 0.02},
    "Qwen/Qwen3-8B": {"text_encoder": 16.4, "tokenizer": 0.02},
    "mistralai/Mistral-Small-3.1-24B-Instruct-2503": {"text_encoder": 48.0, "tokenizer": 0.02},
    "ostris/Flex.1-alpha": {"transformer": 16.3, "vae": 0.2, "text_encoder": 0.2, "text_encoder_2": 9.5},
    "ostris/Flex.2-preview": {"transformer": 16.3, "vae": 0.2, "text_encoder": 0.2, "text_encoder_2": 9.5},
    "Tongyi-MAI/Z-Image": {"transformer": 12.3, "vae": 0.2, "text_encoder": 8.0, "tokenizer": 0.02},
    "Tongyi-MAI/Z-Image-Turbo": {"transformer": 24.6, "vae": 0.2, "text_encoder": 8.0, "tokenizer": 0.02},
    "ostris/Z-Image-De-Turbo": {"transformer": 12.3},
    "ostris/zimage_turbo_training_adapter": {"training_adapter": 0.3},
    "black-forest-labs/FLUX.1-dev": {"transformer": 23.8, "vae": 0.2, "text_encoder": 0.2, "text_encoder_2": 9.5},
}
LICENCES = {
    **dict.fromkeys(
        [f"black-forest-labs/FLUX.2-{name}" for name in ("dev", "klein-base-9B", "klein-9B")],
        "the FLUX non-commercial licence",
    ),
    "black-forest-labs/FLUX.1-dev": "the FLUX.1-dev non-commercial licence",
}


_IDS = {
    "black-forest-labs/FLUX.2-klein-base-4B": "flux2_klein_4b",
    "black-forest-labs/FLUX.2-klein-4B": "flux2_klein_4b_distilled",
    "black-forest-labs/FLUX.2-klein-base-9B": "flux2_klein_9b",
    "black-forest-labs/FLUX.2-klein-9B": "flux2_klein_9b_distilled",
    "black-forest-labs/FLUX.2-dev": "flux2",
    "black-forest-labs/FLUX.1-dev": "flux",
    "ostris/Flex.1-alpha": "flex1",
    "ostris/Flex.2-preview": "flex2",
    "Tongyi-MAI/Z-Image": "zimage",
    "ostris/Z-Image-De-Turbo": "zimage_deturbo",
    "Tongyi-MAI/Z-Image-Turbo": "zimage_turbo",
}


def size_about(repo: str, *parts: str) -> int | None:
    """Bytes of these components, roughly; None for a repository that is not listed."""
    known = _ABOUT.get(repo)
    return round(sum(known.get(part, 0.0) for part in parts) * 1e9) if known else None


def catalogue_id(source: CheckpointSource) -> str | None:
    """Which of the models that come along is read from there, by the id of docs/models.md."""
    return _IDS.get(source.repo or "")

"""The record that a picture carries, and reading it out of one.

PIL is imported by the function that needs it: importing this file is cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, Self

from darkroom.errors import ImageError
from darkroom.files.columns import GROUP, MAY_BE_NULL, fault, row_of, value_of, version_of
from darkroom.files.table_file import FORMAT, UNVERSIONED, check_version
from darkroom.record.circumstances import Environment, LoraUse
from darkroom.request.picture_key import PictureKey
from darkroom.request.request import Request

_OF_A_PICTURE = {MAY_BE_NULL: True}  # where there is none, in a Failure's row


@dataclass(frozen=True)
class EmbeddedRecord:
    """What a picture carries: nothing that a second run of the same request would change."""

    request: Request  # with the warnings, and the reasons for no comparison, that came of rendering it
    request_id: str = field(metadata={GROUP: "title"})  # of the Darkroom that rendered it
    environment: Environment = field(metadata=_OF_A_PICTURE)
    loras: tuple[LoraUse, ...]  # in place of the request's
    sigmas: tuple[float, ...] = field(metadata={GROUP: "sampling", **_OF_A_PICTURE})

    @classmethod
    def of(
        cls, request: Request, environment: Environment, loras: Sequence[LoraUse], sigmas: Sequence[float]
    ) -> EmbeddedRecord:
        """The record of a request as it was rendered."""
        reasons = (f"{lora.path} is an adapter of another base" for lora in loras if lora.warning)
        warnings = (said for lora in loras for said in (lora.warning, lora.dead) if said)
        noted = request.changed(
            not_comparable=(*request.remarks.not_comparable, *reasons),
            warnings=(*request.remarks.warnings, *warnings),
        )
        return cls(noted, request.request_id, environment, tuple(loras), tuple(sigmas))

    @property
    def key(self) -> PictureKey:
        """Which picture of the experiment it is."""
        return PictureKey.of(self.request)

    def reused_for(self, request: Request) -> EmbeddedRecord:
        """The record of the same picture for another request with the same id."""
        uses = {use.sha256: use for use in self.loras if use.network_multiplier != 0}
        loras = [
            uses[lora.sha256].of_file(lora) if lora in request.adapters.active else LoraUse.of_none(lora)
            for lora in request.adapters.loras
        ]
        return EmbeddedRecord.of(request, self.environment, loras, self.sigmas)

    @property
    def public(self) -> Self:
        """The same for people elsewhere: every file by its name alone, in sentences too. Ids and digests stay."""
        return self._renamed(lambda path: PurePath(path).name)

    def seen_from(self, folder: PurePath) -> Self:
        """The same with files below a folder by their paths in it, as conf/ may name them."""

        def name(path: str) -> str:
            return str(PurePath(path).relative_to(folder)) if PurePath(path).is_relative_to(folder) else path

        return self._renamed(name)

    def _renamed(self, name: Callable[[str], str]) -> Self:
        """Every file otherwise, in sentences too; a repository of the hub, whose commit is known, as it is."""
        request, source = self.request, self.request.source
        embeds, images = request.text.prompt_embeds, request.sampling.ctrl_images
        files = [*(use.path for use in self.loras), *(lora.path for lora in request.adapters.loras)]
        files += [*(image.path for image in images), *([embeds] if embeds else [])]

        def said(text: str) -> str:
            for path in sorted(files, key=len, reverse=True):
                text = text.replace(path, name(path))
            return text

        changed = request.changed(
            checkpoint=source.checkpoint if source.checkpoint_revision else name(source.checkpoint),
            text_encoder=" + ".join(map(name, source.text_encoder.split(" + "))),
            training_adapter=name(source.training_adapter) if source.training_adapter else None,
            prompt_embeds=name(embeds) if embeds else None,
            ctrl_images=tuple(replace(image, path=name(image.path)) for image in images),
            loras=tuple(replace(lora, path=name(lora.path)) for lora in request.adapters.loras),
            not_comparable=tuple(map(said, request.remarks.not_comparable)),
            warnings=tuple(map(said, request.remarks.warnings)),
        )
        loras = tuple(
            replace(
                use,
                path=name(use.path),
                warning=said(use.warning) if use.warning else None,
                dead=said(use.dead) if use.dead else None,
            )
            for use in self.loras
        )
        return replace(self, request=changed, loras=loras)

    def embedded_row(self) -> dict[str, Any]:
        """Plain values by column, of what the picture carries."""
        return row_of(self, EmbeddedRecord)

    def to_json(self) -> dict[str, Any]:
        """What goes into the picture: plain values, and the version of their columns."""
        return {FORMAT: version_of(EmbeddedRecord), **self.embedded_row()}


def read_embedded_record(path: Path) -> EmbeddedRecord:
    """The record in a picture, whichever version of Darkroom put it there.

    ImageError where it is no whole picture, NoRecordError where it holds none of ours, VersionError where a newer
    version wrote it.
    """
    from darkroom.files.images.opened import read_bytes

    return embedded_record_in(read_bytes(path), path)


def embedded_record_in(content: bytes, path: Path) -> EmbeddedRecord:
    """The same of a file's bytes, which were found at `path`."""
    from darkroom.files.images.image_file import record_in

    values, again = record_in(content, path), "render it again"
    if not isinstance(version := values.get(FORMAT, UNVERSIONED), int):
        raise ImageError(f"{path}: its record: expected a number for {FORMAT}, got {version!r}; {again}")
    check_version(path, version, version_of(EmbeddedRecord), again)
    if said := fault(EmbeddedRecord, values.keys() - {FORMAT}, version):
        raise ImageError(f"{path}: its record is not one of Darkroom ({said}); {again}")
    try:
        return value_of(EmbeddedRecord, values)
    except ValueError as error:
        raise ImageError(f"{path}: its record: {error}; {again}") from error

"""`darkroom accept`: renders taken as the new previews; first what would change, then the change.

plan_acceptance   reads the manifest and what there is; writes nothing
apply             copies the pictures, keeps what they replace, switches previews.parquet last
"""

import re
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from darkroom.errors import ConfigError, NoRecordError, StoreError, caught, raise_together
from darkroom.files.weight_file import sha256_of
from darkroom.previews import DARKROOM, Preview, read_previews, refuse_fast, write_previews
from darkroom.record.embedded import read_embedded_record
from darkroom.record.rows import Record, read_rows
from darkroom.request.picture_key import PictureKey
from darkroom.review.acceptance import Acceptance, NewPreview
from darkroom.review.previews_folder import PreviewsFolder, put
from darkroom.review.regress.comparison import Comparison, read_comparisons, renders_digest
from darkroom.review.regress.verdicts import MISSING, NO_PREVIEW_YET, NOT_RENDERED, VERDICTS

_Renders = Mapping[PictureKey, Record]
_Compared = Mapping[PictureKey, Sequence[Comparison]]  # two where two previews are of one picture

_PREFIX = re.compile(r"[0-9a-f]{6,64}")


def plan_acceptance(
    manifest: Path,
    previews_file: Path,
    compare_file: Path | None,
    experiment: str,
    *,
    verdicts: Collection[str] = (),
    ids: Collection[str] = (),
) -> Acceptance:
    """Which renders would become previews: those with one of `verdicts`, and those that one of `ids` names.

    `ids`: beginnings of request_ids. If neither is given: all that are not identical already. Previews whose pictures
    are "not rendered" any more are dropped then, or when `verdicts` names that. `previews_file` need not exist; without
    `compare_file` there are no verdicts. ConfigError for a verdict or an id that there is not, StoreError for a fast
    render, for a comparison of other renders and for a file that is not the render.
    """
    rows = {row.key: row for row in read_rows(manifest)[0]}
    renders = {key: row for key, row in rows.items() if isinstance(row, Record)}
    previews = read_previews(previews_file) if previews_file.exists() else ()
    compared = _compared(compare_file, renders) if compare_file else {}
    old: dict[PictureKey, list[Preview]] = {key: [] for key in renders}
    for preview in previews:
        old.setdefault(preview.key, []).append(preview)
    if verdicts and not compare_file:
        raise StoreError("no comparison, so no verdicts; run Snakemake with the target regress first, or name ids")
    chosen = _named(renders, compared, verdicts, ids) if verdicts or ids else _not_equal(renders, compared, old)
    folder = PreviewsFolder(previews_file.parent)
    new = {key: each for key, each in renders.items() if key in chosen and not _is_preview(each, old[key], folder)}
    refuse_fast({render.image_path: render.request.base.numerics for render in new.values()})
    not_rendered = tuple(each for each in previews if each.key not in rows and each.reason is None)
    dropped = not_rendered if NOT_RENDERED.name in verdicts or not (verdicts or ids) else ()
    kept = tuple(each for each in previews if each.key not in new and each not in dropped)
    return Acceptance(experiment, previews_file, kept, _changes(new, old, compared, folder), dropped)


def apply(acceptance: Acceptance, who: str, when: str) -> None:
    """Make the change. `when`: ISO 8601, UTC. StoreError, and nothing is changed, where a render is another by now.

    No picture that is a preview is touched before the table is switched: killed midway, it can be planned and made
    again.
    """
    if acceptance.is_empty:
        return
    folder = PreviewsFolder(acceptance.previews_file.parent)
    # 1. Are all renders still what was agreed to?
    raise_together(error for change in acceptance.changes for error in caught(partial(_check, change.render)))
    # 2. Copies of what comes and of what goes, beside what there is
    accepted = [_accepted(change, folder, who, when) for change in acceptance.changes]
    for preview in acceptance.dropped:
        folder.keep(preview)
    # 3. The table, then what it lists no more
    listed = sorted([*acceptance.kept, *accepted], key=lambda preview: (preview.key, preview.step or 0))
    write_previews(acceptance.previews_file, acceptance.experiment, listed)
    in_use = {Path(preview.path).resolve() for preview in listed if preview.path is not None}
    for preview in (*acceptance.dropped, *(old for change in acceptance.changes for old in change.old)):
        if folder.owns(preview) and (path := Path(str(preview.path)).resolve()) not in in_use:
            path.unlink(missing_ok=True)


def _compared(compare_file: Path, renders: _Renders) -> _Compared:
    """By picture; StoreError unless it was just these renders that were compared."""
    comparisons, metadata = read_comparisons(compare_file)
    if metadata.get("renders") != renders_digest(renders.values()):
        raise StoreError(
            f"{compare_file}: compares other renders than there are now; run Snakemake with the target regress again"
        )
    found: dict[PictureKey, list[Comparison]] = {key: [] for key in renders}
    for each in comparisons:
        if each.request_id is not None:  # else a preview of a picture that is rendered no more
            found[each.key].append(each)
    return found


def _named(renders: _Renders, compared: _Compared, verdicts: Collection[str], ids: Collection[str]) -> set[PictureKey]:
    unknown = [verdict for verdict in verdicts if verdict not in VERDICTS]
    raise_together(
        [
            *(ConfigError(f"--verdict: expected one of {', '.join(VERDICTS)}, got {verdict!r}") for verdict in unknown),
            *(error for prefix in ids for error in caught(partial(_with_id, renders, prefix))),
        ]
    )
    by_verdict = {key for key, found in compared.items() if any(each.verdict in verdicts for each in found)}
    return by_verdict.union(*(_with_id(renders, prefix) for prefix in ids))


def _with_id(renders: _Renders, prefix: str) -> set[PictureKey]:
    if not _PREFIX.fullmatch(prefix):
        raise ConfigError(f"--id: expected the first 6 hex digits of a request_id or more, got {prefix!r}")
    found = {key: each.request_id for key, each in renders.items() if each.request_id.startswith(prefix)}
    if len(set(found.values())) != 1:
        raise ConfigError(f"--id {prefix}: {len(set(found.values()))} requests begin so; expected one")
    return set(found)


def _not_equal(renders: _Renders, compared: _Compared, old: Mapping[PictureKey, Sequence[Preview]]) -> set[PictureKey]:
    """All of them where nothing was compared; of those that were, what has no preview any more, and awaits none."""
    verdicts = {key: [VERDICTS[each.verdict] for each in compared.get(key, ())] for key in renders}
    return {
        key
        for key, found in verdicts.items()
        if NO_PREVIEW_YET not in found and (not found or not old[key] or not all(each.is_equal for each in found))
    }


def _is_preview(render: Record, old: Sequence[Preview], folder: PreviewsFolder) -> bool:
    return len(old) == 1 and folder.holds(render, old[0])


def _check(render: Record) -> None:
    """StoreError unless the file is the one that the manifest lists, with the record that is its row, or with none."""
    path = Path(render.image_path)
    again = "so it was edited, replaced or removed since; render it again"
    if not path.is_file() or sha256_of(path) != render.image_sha256:
        raise StoreError(f"{path}: not the file that the manifest lists, {again}")
    try:
        record = read_embedded_record(path)
    except NoRecordError:  # it carries none, and is the very file of the row
        return
    if record.public.embedded_row() != render.public.embedded_row():
        raise StoreError(f"{path}: its record is not that of the manifest's row, {again}")


def _changes(
    new: _Renders, old: Mapping[PictureKey, Sequence[Preview]], compared: _Compared, folder: PreviewsFolder
) -> tuple[NewPreview, ...]:
    raise_together(error for render in new.values() for error in caught(partial(_check, render)))
    return tuple(
        NewPreview(
            render=render,
            old=tuple(old[key]),
            because=_because(compared.get(key, ())) or (None if old[key] else MISSING.name),
            measured="; ".join(str(each.measures) for each in compared.get(key, ()) if each.measures),
            destination=folder.destination(render),
        )
        for key, render in new.items()
    )


def _because(compared: Sequence[Comparison]) -> str:
    return ", ".join(dict.fromkeys(each.verdict for each in compared))


def _accepted(change: NewPreview, folder: PreviewsFolder, who: str, when: str) -> Preview:
    """Copy one render into previews/, after a copy of each preview that it replaces."""
    render, destination = change.render, str(change.destination)
    replaced = [folder.keep(preview) for preview in change.old if preview.path is not None]
    put(change.destination, Path(render.image_path).read_bytes())
    return Preview(
        **vars(render.key),
        path=destination,
        sha256=render.image_sha256,
        width=render.request.sampling.width,
        height=render.request.sampling.height,
        origin=DARKROOM,
        step=next((preview.step for preview in change.old if preview.step is not None), None),
        made_at=render.cost.started_at if render.cost else None,
        then=render.embedded_row(),
        accepted_by=who,
        accepted_at=when,
        accepted_because=change.because,
        replaced=(
            *(each for each in replaced if each.path != destination),  # else its file was gone, and is restored now
            *(each for preview in change.old for each in preview.replaced),
        ),
    )

"""The card of a checkpoint that was picked: a page in one file, to lie beside it wherever it goes."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from darkroom import __version__
from darkroom.errors import ImageError, StoreError
from darkroom.files.regular_file import ANY_SIZE, open_regular
from darkroom.record.rows import Record
from darkroom.request.speedups import numerics_in_full
from darkroom.review.choosing.choice import Choice
from darkroom.review.choosing.previewed import Previewed
from darkroom.review.choosing.tally import Tally
from darkroom.review.page.data_uri import data_uri, thumbnail_webp
from darkroom.review.page.page import distinct, write_page
from darkroom.review.regress.comparison import Comparison

_TEMPLATE = "choosing/card.html.j2"
_MARK = '<meta name="generator" content="darkroom pick'  # in the first bytes of each card
_BEGINNING = 400  # bytes
_SIDES = ((384, 120), (256, 400), (128, 2_000))  # long side of a thumbnail in pixels, for at most so many pictures


@dataclass(frozen=True)
class CardPicture:
    """A picture on the card. `uri`: "" where it cannot be read, and `label` says why."""

    uri: str
    label: str
    prompt: str


@dataclass(frozen=True)
class CardPrompt:
    """A prompt and its pictures, the previews of them first."""

    text: str
    settings: str
    pictures: tuple[CardPicture, ...]


def is_card(path: Path) -> bool:
    """Whether a file is a card that `write_card` wrote; StoreError where it cannot be read."""
    with open_regular(path, ANY_SIZE, StoreError) as file:
        return _MARK.encode() in file.read(_BEGINNING)


def write_card(path: Path, experiment: str, choice: Choice, compared: Previewed, said: Tally | None) -> None:
    """Write the page, whole or not at all. `said`: what people's picks say of the checkpoint, where there are any."""
    values = {
        "generator": f"darkroom pick {__version__}",
        "title": str(choice),
        "facts": list(_facts(experiment, choice, compared, said)),
        "files": choice.files,
        "notes": [mark.note for mark in said.marks if mark.note] if said else [],
        "prompts": _prompts(choice.rows, compared.comparisons),
    }
    write_page(path, _TEMPLATE, values)


def _facts(experiment: str, choice: Choice, compared: Previewed, said: Tally | None) -> Iterator[tuple[str, str]]:
    rows = [row.public.row() for row in choice.rows]  # a card travels, and where files lay is nobody's business
    if choice.trigger_word:
        yield "trigger word", choice.trigger_word
    if choice.step is not None:
        yield "step", str(choice.step)
    yield "strength", "not chosen: 1 is as trained" if choice.strength is None else f"{choice.strength:g}"
    yield "base model", distinct(rows, "checkpoint", "checkpoint_revision")
    yield "family", distinct(rows, "family")
    if trainers := {use.trainer for row in choice.rows for use in row.loras if use.trainer}:
        yield "trained by", ", ".join(sorted(trainers))
    yield "against its previews", "; ".join(compared.told) or "not compared"
    if said and said.mean is not None:
        yield (
            "rated",
            f"{said.mean:.2f} of 5, by {len(said.ratings)} ratings; {said.stars} stars, {said.rejects} rejects",
        )
    if said and said.won + said.lost:
        low, high = said.interval
        yield "votes", f"won {said.won} of {said.won + said.lost} ({100 * low:.0f}–{100 * high:.0f} % at 95 %)"
    yield "settings", _settings(choice.rows[0])
    yield "rendered by", f"Darkroom {distinct(rows, 'darkroom_version')}, experiment {experiment}"


def _settings(row: Record) -> str:
    sampling = row.request.sampling
    return (
        f"{sampling.width}×{sampling.height}, {sampling.sample_steps} steps, guidance {sampling.guidance_scale:g}, "
        f"{numerics_in_full(row.request.base)}"
    )


def _prompts(rows: Sequence[Record], comparisons: Sequence[Comparison]) -> list[CardPrompt]:
    of_picture = {each.request_id: each for each in comparisons}
    side = next((side for side, most in _SIDES if len(rows) <= most), _SIDES[-1][0])
    groups: dict[tuple[str, int], list[Record]] = {}
    for row in rows:
        groups.setdefault((row.request.title.prompts, row.request.title.index), []).append(row)
    usual = Counter(map(_settings, rows)).most_common(1)[0][0]
    return [_prompt(group, of_picture, side, usual) for group in groups.values()]


def _prompt(rows: Sequence[Record], of_picture: dict[str | None, Comparison], side: int, usual: str) -> CardPrompt:
    shown = []
    for row in rows:
        if (found := of_picture.get(row.request_id)) and found.preview_path:
            shown.append(_shown(Path(found.preview_path), f"preview, seed {row.request.sampling.seed}", row, side))
        verdict = f" · {found.verdict}" if found else ""
        shown.append(_shown(Path(row.image_path), f"{_label(row)}{verdict}", row, side))
    settings = _settings(rows[0])
    return CardPrompt(rows[0].request.text.prompt, "" if settings == usual else settings, tuple(shown))


def _label(row: Record) -> str:
    asked, axes = row.request.asked, dict(row.request.title.axes)
    further = "".join(f", {name} {value}" for name, value in axes.items() if name not in ("seed", "network_multiplier"))
    return f"strength {asked.network_multiplier:g}, seed {row.request.sampling.seed}{further}"


def _shown(path: Path, label: str, row: Record, side: int) -> CardPicture:
    try:  # made anew, however small the file is: that has the record in it, with its folders
        return CardPicture(data_uri(thumbnail_webp(path, side), "image/webp"), label, row.request.text.prompt)
    except ImageError as error:
        return CardPicture("", f"{label}: {error}", row.request.text.prompt)

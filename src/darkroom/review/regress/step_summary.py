"""results/<experiment>/summary.md: a comparison on half a screen, for the step summary of a CI run or a merge request.

GitHub-flavoured Markdown, in which prompts, paths and errors stand as text, whatever marks are in them.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from darkroom.display import printable
from darkroom.files.atomic import atomic
from darkroom.review.pair.differences import Difference
from darkroom.review.pair.measures import PSNR
from darkroom.review.regress.comparison import Comparison, read_comparisons
from darkroom.review.regress.summary import failed, installed_versions, outdated, summary
from darkroom.review.regress.told import measures, names, worst_first
from darkroom.review.regress.verdicts import VERDICTS
from darkroom.review.regress.whole_set import WholeSet

_ROWS = 20  # pictures
_WHY, _FACT = 300, 120  # characters of all that is said of a picture, and of one fact that differs
_PAGE = "regress.html"  # lies beside the summary
# What begins a mark anywhere in a line, and where GitHub would see an address: https://… and www.…
_MARKS = re.compile(r"[\\`*_{}\[\]<>#~$^|&]|:(?=//)|(?<=www)\.", re.IGNORECASE)


def write_step_summary(compare: Path, output: Path) -> None:
    """Write summary.md of a compare.parquet, whole or not at all; StoreError when that cannot be read."""
    comparisons, metadata = read_comparisons(compare)
    text = step_summary(comparisons, metadata, installed_versions())
    with atomic(output) as temporary:
        temporary.write_text(text, encoding="utf-8")


def step_summary(
    comparisons: Sequence[Comparison], metadata: Mapping[str, str], installed: Mapping[str, str], rows: int = _ROWS
) -> str:
    """The document: how it went, a row a verdict, `rows` of the pictures that are not equal, worst first.

    `metadata`: that of compare.parquet; `installed`: versions by package, as for `outdated`.
    """
    other_versions = outdated(metadata, installed)
    went = "failed" if failed(comparisons) or other_versions else "passed"
    blocks = [
        f"### {escaped(metadata.get('experiment', 'regress'))}: {went}",
        escaped(summary(comparisons)),
        escaped(other_versions or ""),
        _verdicts(comparisons),
        _whole_set(comparisons),
        *_pictures(comparisons, rows),
        _rendered_with(metadata, installed),
    ]
    return "\n\n".join(filter(None, blocks)) + "\n"


def escaped(text: str) -> str:
    """One line of Markdown that shows just this text, in a table too."""
    return _MARKS.sub(r"\\\g<0>", printable(text))


def _verdicts(comparisons: Sequence[Comparison]) -> str:
    counts = Counter(each.verdict for each in comparisons)
    rows = [(name, str(counts[name]), verdict.meaning) for name, verdict in VERDICTS.items() if counts[name]]
    return _table("| verdict | pictures | |\n|---|---:|---|", reversed(rows)) if rows else ""


def _whole_set(comparisons: Sequence[Comparison]) -> str:
    whole = WholeSet.of(comparisons)
    return escaped(f"The whole set: {whole}.") if whole.pictures and not whole.fails else ""


def _pictures(comparisons: Sequence[Comparison], most: int) -> Iterator[str]:
    """The table of those that are not equal; what there was no row for is counted."""
    ordered = worst_first(comparisons)
    unequal = [
        (each, name) for each, name in zip(ordered, names(ordered), strict=True) if not VERDICTS[each.verdict].is_equal
    ]
    rows = [(_link(name), each.verdict, _psnr(each), escaped(_why(each))) for each, name in unequal[:most]]
    if rows:
        yield _table("| picture | verdict | PSNR | why |\n|---|---|---:|---|", rows)
    if len(unequal) > most:
        yield f"and {len(unequal) - most} more in [{_PAGE}]({_PAGE})"


def _table(head: str, rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join([head, *(f"| {' | '.join(row)} |" for row in rows)])


def _link(name: str) -> str:
    """To the pair on the page."""
    return f"[{escaped(name)}]({_PAGE}#{quote(name)})"


def _psnr(comparison: Comparison) -> str:
    return PSNR.text(comparison.psnr) if comparison.measures else ""


def _why(comparison: Comparison) -> str:
    """The reason, facts that differ, limits that do not hold, what else is known, as far as there is room."""
    taken = measures(comparison)
    broken = (f"{each['name']} {each['value']}, {each['threshold']}" for each in taken if each["held"] is False)
    said = "; ".join(filter(None, [comparison.reason, *map(_differs, comparison.differs), *broken, comparison.note]))
    return f"{said[:_WHY]} …" if len(said) > _WHY else said


def _differs(fact: Difference) -> str:
    said = f"{fact.name}: {fact.then} then, {fact.now} now"
    return said if len(said) <= _FACT else f"{fact.name} differs"


def _rendered_with(metadata: Mapping[str, str], installed: Mapping[str, str]) -> str:
    versions = {package: metadata.get(f"rendered_{package}_version") for package in installed}
    said = ", ".join(f"{package} {version}" for package, version in versions.items() if version)
    where = metadata.get("rendered_gpu_name") or metadata.get("rendered_device")
    return escaped(f"Rendered with {said}, on {where}.") if said else ""

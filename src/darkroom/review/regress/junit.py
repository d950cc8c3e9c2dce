"""results/<experiment>/junit.xml: a comparison as CI systems show it, a test case a preview."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from darkroom.display import on_page
from darkroom.files.atomic import atomic
from darkroom.review.pair.own_floor import told
from darkroom.review.regress.comparison import Comparison, read_comparisons
from darkroom.review.regress.summary import failed, summary
from darkroom.review.regress.verdicts import ERROR, FAILURE, SKIPPED, VERDICTS
from darkroom.review.regress.whole_set import WholeSet
from darkroom.thresholds import ModelThresholds


def write_junit(compare: Path, output: Path) -> None:
    """Write junit.xml of a compare.parquet, whole or not at all; StoreError when that cannot be read."""
    comparisons, metadata = read_comparisons(compare)
    with atomic(output) as temporary:
        temporary.write_bytes(junit(comparisons, metadata))


def junit(comparisons: Sequence[Comparison], metadata: Mapping[str, str]) -> bytes:
    """The document, in UTF-8. `metadata`: that of compare.parquet, shown among the suite's properties."""
    counts = Counter(VERDICTS[each.verdict].junit for each in comparisons)
    whole = WholeSet.of(comparisons)
    suite = ElementTree.Element(
        "testsuite",
        name=_xml(f"darkroom regress {metadata.get('experiment', '')}".strip()),
        tests=str(len(comparisons) + bool(whole.pictures)),
        failures=str(counts[FAILURE] + whole.fails),
        errors=str(counts[ERROR]),
        skipped=str(counts[SKIPPED]),
    )
    _add_properties(suite, {**metadata, "failed": str(failed(comparisons)).lower(), **_thresholds(comparisons)})
    for name, each in zip(_names(comparisons), comparisons, strict=True):
        _add_case(suite, name, each)
    if whole.pictures:
        _add_whole_set(suite, whole)
    ElementTree.SubElement(suite, "system-out").text = _xml(summary(comparisons))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    document: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _add_properties(parent: ElementTree.Element, values: Mapping[str, str]) -> None:
    properties = ElementTree.SubElement(parent, "properties")
    for name, value in values.items():
        ElementTree.SubElement(properties, "property", name=_xml(name), value=_xml(value))


def _add_case(suite: ElementTree.Element, name: str, each: Comparison) -> None:
    classname = ".".join((each.model, each.lora, each.prompts))
    case = ElementTree.SubElement(suite, "testcase", classname=_xml(classname), name=_xml(name))
    verdict = VERDICTS[each.verdict]
    if verdict.junit is not None:
        message = f"{verdict.name}: {each.reason or each.measures or verdict.meaning}"
        element = ElementTree.SubElement(case, verdict.junit, message=_xml(message))
        if verdict.junit != SKIPPED:
            element.set("type", each.verdict)
        element.text = _xml("\n".join(_details(each)))
    else:
        ElementTree.SubElement(case, "system-out").text = _xml("\n".join([each.verdict, *_details(each)]))


def _add_whole_set(suite: ElementTree.Element, whole: WholeSet) -> None:
    """A test case of its own: each picture may be within its floor, and all of them farther than rounding explains."""
    case = ElementTree.SubElement(suite, "testcase", classname="whole set", name="no farther than rounding explains")
    if whole.fails:
        ElementTree.SubElement(case, FAILURE, message=str(whole), type="farther as a whole")
    else:
        ElementTree.SubElement(case, "system-out").text = str(whole)


def _details(each: Comparison) -> Iterator[str]:
    """All that is known of a pair, for the text of its element."""
    named = {
        "preview": each.preview_path,
        "render": each.image_path,
        "request_id": each.request_id,
        "step": each.step,
        "seed": each.seed,
        "prompt": each.prompt,
        "measures": each.measures,
        "own floor": told(each.repeats) if each.repeats else None,
        "encoded as": each.encoding,
        "note": each.note,
        "accepted": each.accepted_by and f"by {each.accepted_by}, {each.accepted_at}",
    }
    yield from (f"{name}: {value}" for name, value in named.items() if value not in (None, ""))
    yield from (f"{fact.name}: {fact.then} then, {fact.now} now" for fact in each.differs)


def _names(comparisons: Sequence[Comparison]) -> list[str]:
    """Stable from night to night and unique in a class: two previews of one picture are told apart by their files."""
    shown = [each.image_name or f"{each.index} {each.axes}" for each in comparisons]
    counts = Counter((each.key, name) for each, name in zip(comparisons, shown, strict=True))
    return [
        name if counts[each.key, name] == 1 else f"{name} ({each.preview_path})"
        for each, name in zip(comparisons, shown, strict=True)
    ]


def _thresholds(comparisons: Sequence[Comparison]) -> dict[str, str]:
    """Those of each model: `thresholds of demo` → `psnr 38.0, ssim 0.98 (conf/compare/default.yaml)`."""
    return {
        f"thresholds of {each.model}{', lossy previews' if held.lossy else ''}": f"{_limits(held)} ({held.source})"
        for each in comparisons
        if (held := each.held_against)
    }


def _limits(thresholds: ModelThresholds) -> str:
    own = {} if thresholds.own_floor is None else {"own_floor": thresholds.own_floor}
    return ", ".join(f"{name} {value}" for name, value in (own | thresholds.asked).items()) or "none"


def _xml(text: str) -> str:
    """What XML 1.0 cannot hold, not even escaped, and what would command its reader: each as its escape."""
    return "".join(c if _allowed(ord(c)) else c.encode("unicode_escape").decode() for c in on_page(text))


def _allowed(code: int) -> bool:
    return code in (0x9, 0xA, 0xD) or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000

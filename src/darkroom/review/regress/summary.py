"""What a whole comparison comes to: how many pictures have which verdict, whether it failed, what rendered them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version

from darkroom import __version__
from darkroom.display import counted
from darkroom.review.regress.comparison import Comparison
from darkroom.review.regress.verdicts import VERDICTS
from darkroom.review.regress.whole_set import WholeSet

_PACKAGES = ("torch", "diffusers", "transformers")


def failed(comparisons: Sequence[Comparison]) -> bool:
    """True when the verdict on one of them fails, all of them as a whole do, or none of them could be judged."""
    verdicts = [VERDICTS[each.verdict] for each in comparisons]
    if any(verdict.fails for verdict in verdicts) or not any(verdict.is_judged for verdict in verdicts):
        return True
    return WholeSet.of(comparisons).fails


def summary(comparisons: Sequence[Comparison]) -> str:
    """One line, such as `40 previews: 38 identical, 2 drifted`; pictures without a preview are counted too."""
    counts = Counter(each.verdict for each in comparisons)
    said = ", ".join(f"{counts[name]} {name}" for name in VERDICTS if counts[name])
    if not any(VERDICTS[name].is_judged for name in counts):
        said = f"{said}; nothing could be compared" if said else "nothing could be compared"
    if (whole := WholeSet.of(comparisons)).fails:
        said = f"{said}; as a whole farther than rounding explains: {whole}"
    return f"{counted(len(comparisons), 'preview')}: {said}"


def installed_versions() -> dict[str, str]:
    """Of what decides about pixels, by package; nothing of it is imported."""
    return {**{package: version(package) for package in _PACKAGES}, "darkroom": __version__}


def outdated(metadata: Mapping[str, str], installed: Mapping[str, str]) -> str | None:
    """A sentence where other versions rendered than are `installed`; None where it was these.

    `metadata`: of compare.parquet; `rendered_torch_version` may name several, as `2.12.0, 2.13.0`.
    """
    rendered = {package: metadata.get(f"rendered_{package}_version") for package in installed}
    other = {
        package: versions
        for package, versions in rendered.items()
        if versions and not all(_same(each, installed[package]) for each in versions.split(", "))
    }
    if not other:
        return None
    was = ", ".join(f"{package} {versions}" for package, versions in other.items())
    now = ", ".join(f"{package} {installed[package]}" for package in other)
    return (
        f"rendered with {was}; installed: {now}. So nothing is known of what is installed: "
        f"darkroom regress {metadata['experiment']} --fresh renders anew"
    )


def _same(one: str, other: str) -> bool:
    """Equal versions; a local part (+cpu) counts where both have one: packages of PyPI do not tell theirs."""
    public, _, local = one.partition("+")
    other_public, _, other_local = other.partition("+")
    return public == other_public and (not local or not other_local or local == other_local)

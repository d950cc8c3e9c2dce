"""The verdicts, best first: one row each says all that page, JUnit, summary, accept and docs/regress.md know of it.

A new verdict is a new row here, and in judged_pair.py what gives it.
"""

from dataclasses import dataclass

FAILURE, ERROR, SKIPPED = "failure", "error", "skipped"  # elements of a test case in JUnit; one without them passed


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one picture of a comparison comes to."""

    name: str  # in compare.parquet, on the page, after `accept --verdict`
    meaning: str
    colours: tuple[str, str]  # on the page when it is light, when it is dark
    is_judged: bool = True  # the render was held against its preview: a run without any such picture fails
    is_equal: bool = False  # no pixel differs: nothing to explain or to accept
    lacks: str | None = None  # "preview" or "render": there is none, or none that counts
    junit: str | None = None

    @property
    def fails(self) -> bool:
        """True where one such picture makes the run fail."""
        return self.junit in (FAILURE, ERROR)


_BEST_FIRST = (
    IDENTICAL := Verdict(
        name="identical",
        meaning="every pixel of both files is equal",
        colours=("#3f7d58", "#58a377"),
        is_equal=True,
    ),
    BEFORE_ENCODING := Verdict(
        name="identical before encoding",
        meaning="the preview is a JPEG or WebP, and the render, put through the same encoder, gives every pixel of it",
        colours=("#8fb56c", "#8fb56c"),
        is_equal=True,
    ),
    WITHIN_FLOOR := Verdict(
        name="within floor",
        meaning="pixels differ, and all that conf/compare/ asks holds: no farther than rounding alone can take it",
        colours=("#d39a35", "#d39a35"),
    ),
    UNDECIDED := Verdict(
        name="undecided",
        meaning="within its own floor, so wide that another schedule could hide in it: shown, and no fault by itself",
        colours=("#b7791f", "#e0b35a"),
    ),
    NOT_REPRODUCIBLE := Verdict(
        name="not reproducible",
        meaning="known to come out otherwise, for the reason that is given: shown, and measured where both can be",
        colours=("#8b8578", "#8b8578"),
        is_judged=False,
        junit=SKIPPED,
    ),
    NO_PREVIEW_YET := Verdict(
        name="no preview yet",
        meaning="a checkpoint that came after the training run's previews were taken in: shown, until they are again",
        colours=("#8b8578", "#8b8578"),
        is_judged=False,
        lacks="preview",
        junit=SKIPPED,
    ),
    NOT_RENDERED := Verdict(
        name="not rendered",
        meaning="could come out, and rendering it failed, or the experiment renders no such picture any more",
        colours=("#7a4f8f", "#b48ac6"),
        is_judged=False,
        lacks="render",
        junit=ERROR,
    ),
    DRIFTED := Verdict(
        name="drifted",
        meaning="farther than its own floor or another threshold allows, of another size, or the render cannot be read",
        colours=("#b3261e", "#e0594d"),
        junit=FAILURE,
    ),
    MISSING := Verdict(
        name="missing preview",
        meaning=(
            "nobody said what the picture should be, or the preview's file is not there, cannot be read whole, or is "
            "another than was taken in"
        ),
        colours=("#b3261e", "#e0594d"),
        is_judged=False,
        lacks="preview",
        junit=ERROR,
    ),
)
VERDICTS = {verdict.name: verdict for verdict in _BEST_FIRST}

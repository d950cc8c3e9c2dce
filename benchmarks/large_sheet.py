"""A contact sheet of 20,000 pictures: how long it is in the making, and what a browser takes to open and to filter it.

    python benchmarks/large_sheet.py                        2 minutes
    python benchmarks/large_sheet.py --pictures 5000 --folder /tmp/sheet        keeps the page, to be looked at

Needs Playwright and Debian's Chromium. 20 steps at 5 strengths, 5 seeds, as many prompts as it takes; every fourth
picture at strength 1 has a verdict, and each two scores. The pictures are so small that they are their own thumbnails.
Prints a line for each figure, with its bar where it has one, and ends with status 1 where one is not kept. Filters go
by the address, from its change until what is shown is painted; behind each stand the seconds that the tab's main thread
took of the processor, which do not depend on what else runs. Memory is the share of the tab's process (Pss): the
most that was seen after any of the steps, before anybody collected garbage. The bars are for a machine that has nothing
else to do.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
sys.path[:0] = [str(REPOSITORY / "src"), str(REPOSITORY / "benchmarks")]

import numpy as np  # noqa: E402  (after the path, so that a checkout needs no installation)
from crowd import COST, ENVIRONMENT  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import Browser, CDPSession, sync_playwright  # noqa: E402

from darkroom.record.circumstances import LoraUse  # noqa: E402
from darkroom.record.embedded import EmbeddedRecord  # noqa: E402
from darkroom.record.rows import Record, write_records  # noqa: E402
from darkroom.request.digest import digest_of  # noqa: E402
from darkroom.request.parts import Lora  # noqa: E402
from darkroom.request.request import Request  # noqa: E402
from darkroom.review.regress.verdicts import DRIFTED, IDENTICAL, VERDICTS  # noqa: E402
from darkroom.review.sheet.report import write_report  # noqa: E402
from darkroom.scoring.table import write_scores  # noqa: E402

CHROMIUM = "/usr/bin/chromium"
STEPS, STRENGTHS, SEEDS = range(250, 5001, 250), (0.6, 0.8, 1.0, 1.2, 1.4), range(5)
SIDE = 256  # pixels, as a thumbnail
WORDS = "an old lighthouse in the fog, seen from a small boat, film photograph, soft light, the sea calm as glass"
BARS = {"page MB": 25, "open s": 1.0, "filter s": 0.3, "memory MB": 500, "frames in the page": 1_500}
FILTERS = {  # by name, what stands behind the # of the address
    "everything": "",
    "a word": "find=lighthouse",
    "a rare word": "find=prompt+7",
    "nothing": "find=zebra",
    "a range of steps": "find=step:1000..3000",
    "one seed": "find=seed:3",
    "a strength ticked off": "off.network_multiplier=0.6",
    "one verdict": "find=verdict:drifted",
    "starred": "marks=star",
    "all on one screen": "size=all",
    "seeds across": "rows=index&columns=seed&sections=step&hidden=network_multiplier",
    "a flow of everything": "rows=index,seed,step,network_multiplier",
    "by a score": "sort=likeness&rows=likeness,step,network_multiplier,index,seed&hidden=verdict,texture",
}


@dataclass(frozen=True)
class Figure:
    """`bar`: the name of the bar that it has to keep, "" for none."""

    name: str
    value: float
    bar: str = ""
    processor: float | None = None  # seconds

    @property
    def is_kept(self) -> bool:
        return not self.bar or self.value < BARS[self.bar]

    def __str__(self) -> str:
        bar = f"   {'under' if self.is_kept else 'NOT UNDER'} {BARS[self.bar]:,}" if self.bar else ""
        processor = "" if self.processor is None else f"   processor {self.processor:.2f}"
        return f"{self.name:<44}{self.value:>10,.2f}{bar}{processor}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--folder", type=Path, help="where the page is kept; by default nowhere")
    options = parser.parse_args()
    kept = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        os.chdir(folder)
        for figure in (*made(options.pictures), *looked_at(folder / "report.html")):
            print(figure, flush=True)
            kept &= figure.is_kept
    sys.exit(not kept)


def made(count: int) -> Iterator[Figure]:
    """The page of half of the pictures, and of all."""
    rows = list(fabricated(count))
    scores = Path("likeness.parquet")
    columns = {
        name: {row.request_id: float(value) for row, value in zip(rows, values, strict=True)}
        for name, values in zip(("likeness", "texture"), np.random.default_rng(7).random((2, len(rows))), strict=True)
    }
    write_scores(scores, "likeness", "higher", columns)
    write_verdicts(rows)
    for name, some in (("half of it", rows[: count // 2]), ("all of it", rows)):
        write_records(Path("manifest.parquet"), some, {"experiment": "large"})
        began = time.monotonic()
        write_report(Path("manifest.parquet"), Path("report.html"), [scores])
        yield Figure(f"made: {name}, s", time.monotonic() - began)
    yield Figure("page MB", Path("report.html").stat().st_size / 1e6, "page MB")


def fabricated(count: int) -> Iterator[Record]:
    """Rows of a manifest; their files are links to a few pictures."""
    base = Request.from_json(json.loads((REPOSITORY / "tests/data/record/request.json").read_text()))
    shown = list(_pictures(64))
    for n in range(count):
        step, strength, seed = STEPS[n % 20], STRENGTHS[n // 20 % 5], SEEDS[n // 100 % 5]
        index = n // 500
        lora = Lora(f"output/large/large_{step:09}.safetensors", strength, digest_of(step))
        prompt = f"{WORDS}, prompt {index}"
        request = base.changed(
            **{"experiment": "large", "lora": f"large_{step:09}", "loras": (lora,), "network_multiplier": strength},
            **{"axes": (("network_multiplier", strength), ("seed", seed)), "seed": seed, "index": index},
            **{"prompt": prompt, "prompt_template": prompt, "image_name": f"{index:03}_{seed}_{strength}"},
            **{"width": SIDE, "height": SIDE, "warnings": (), "not_comparable": ()},
        )
        path = Path("images", request.title.lora, f"{request.title.image_name}.jpg")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            os.link(shown[n % len(shown)], path)
        use = replace(LoraUse.of_none(lora), format="ai-toolkit", matched_keys=96)
        record = EmbeddedRecord.of(request, ENVIRONMENT, (use,), (1.0, 0.5, 0.0))
        yield Record(
            **vars(record),
            **{"image_path": str(path), "image_sha256": digest_of(n), "image_format": "jpeg"},
            **{"reused": False, "cost": COST},
        )


def _pictures(count: int) -> Iterator[Path]:
    y, x = np.mgrid[:SIDE, :SIDE]
    for n in range(count):
        path = Path(f"picture_{n}.jpg")
        pixels = np.stack([(x + 7 * n) % 256, (y * 2 + n) % 256, (x + y) % 256], axis=-1).astype(np.uint8)
        Image.fromarray(pixels).save(path)
        yield path


def write_verdicts(rows: list[Record]) -> None:
    """verdicts.js, as a comparison writes it."""
    judged = [row for row in rows if row.request.asked.network_multiplier == 1.0][::4]
    pairs = [
        {
            "name": "/".join((*row.request.title.names, row.request.title.image_name)),
            **{"sha256": row.image_sha256, "verdict": (DRIFTED if n % 9 else IDENTICAL).name, "reason": ""},
            "measures": [["PSNR", "38.20 dB"], ["FLIP", "0.0123"]],
            "preview": {"link": row.image_path, "thumbnail": "", "width": SIDE, "height": SIDE},
        }
        for n, row in enumerate(judged)
    ]
    verdicts = {name: vars(verdict) for name, verdict in VERDICTS.items()}
    Path("verdicts.js").write_text(f"verdicts({json.dumps({'verdicts': verdicts, 'pairs': pairs})});\n")


def looked_at(path: Path) -> Iterator[Figure]:
    """What a browser takes for the page."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.on("pageerror", lambda error: sys.exit(f"the page's script: {error}"))
        page.add_init_script(_MARK)
        tab = _Tab(browser)
        page.goto(path.absolute().as_uri())
        page.locator(".frame img").first.wait_for()
        yield Figure("open: until the first frames, s", page.evaluate(_OPENED), "open s", tab.seconds())
        tab.look()
        page.evaluate(
            # at once, as a file of picks brings them: each key that a person presses writes all of them down
            "for (let i = 0; i < 2000; i++) mine().marks[idOf(i * 7 % data.count)] ="
            " { ...UNMARKED, rating: 1 + i % 5, star: i % 3 === 0, at: now() }; keep()"
        )
        for name, asked in FILTERS.items():
            before, taken = tab.seconds(), page.evaluate(_FILTER, asked)
            yield Figure(f"filter: {name}, s", taken, "filter s", tab.seconds() - before)
            yield Figure("  frames in the page", page.locator(".frame").count(), "frames in the page")
            tab.look()
        for part in range(1, 21):
            page.evaluate("part => { const box = byId('sheet'); box.scrollTop = box.scrollHeight * part / 20; }", part)
            page.wait_for_timeout(100)
        tab.look()
        yield Figure("memory: the most that was seen, MB", tab.most, "memory MB")
        browser.close()


_MARK = """document.addEventListener("laid-out", () => {
  requestAnimationFrame(() => setTimeout(() => performance.mark("laid out")));
}, { once: true });"""
_OPENED = "performance.getEntriesByName('laid out')[0].startTime / 1000"
_FILTER = """asked => new Promise((done) => {
  const began = performance.now(), isShown = () => !order.length || document.querySelector("#sheet .frame");
  const tell = () => setTimeout(() => done((performance.now() - began) / 1000));
  const look = () => requestAnimationFrame(() => (isShown() ? tell() : look()));
  if (location.hash.slice(1) === asked) { look(); return; }
  document.addEventListener("laid-out", look, { once: true });
  location.hash = asked || "#";
})"""


class _Tab:
    """Its process: MB of memory, seconds of its main thread."""

    def __init__(self, browser: Browser) -> None:
        self._session: CDPSession = browser.new_browser_cdp_session()
        self.most = 0.0

    def look(self) -> None:
        self.most = max(self.most, _share(self._process()))

    def seconds(self) -> float:
        process = self._process()
        words = Path(f"/proc/{process}/task/{process}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def _process(self) -> int:
        """The largest: the browser keeps an empty one for the next tab."""
        found: list[dict[str, Any]] = self._session.send("SystemInfo.getProcessInfo")["processInfo"]
        return max((each["id"] for each in found if each["type"] == "renderer"), key=_share)


def _share(process: int) -> float:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1000


if __name__ == "__main__":
    main()

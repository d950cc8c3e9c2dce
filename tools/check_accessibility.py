"""Holds pages against axe-core's rules, in every view, light and dark, wide and narrow; exits with 1 for what it finds.

python tools/check_accessibility.py results/demo/report.html results/my_job/regress.html

axe-core is fetched by npm into a temporary folder, and the browser is Debian's: a check for development, no test.
"""

import argparse
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

AXE = "axe-core@4.14.1"
CHROMIUM = "/usr/bin/chromium"
VIEWS = {  # by name, what a person does to get there
    "as it opens": (),
    "details": ("header button[aria-controls=about]",),
    "an axis": ("#controls .axis",),
    "picks": ("#controls button:text-is('Picks')",),
    "a picture": ("#sheet [data-i]:not(.heat-cell)",),
    "side by side": ("#sheet [data-i]:not(.heat-cell)", "#modes [data-mode=both]:visible:enabled"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", type=Path, nargs="+", metavar="PAGE")
    options = parser.parse_args()
    axe = fetched()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        found = [fault for page in options.pages for fault in faults(browser, page, axe)]
    print("\n".join(found) or f"{len(options.pages)} pages in {len(VIEWS)} views: axe-core finds nothing")
    sys.exit(bool(found))


def fetched() -> str:
    """axe-core's script, from npm."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", AXE], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        [archive] = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as packed:
            script = packed.extractfile("package/axe.min.js")
            assert script is not None
            return script.read().decode()


def faults(browser: Browser, path: Path, axe: str) -> Iterator[str]:
    """A line for each rule that a view of the page breaks, with the first element that does."""
    for scheme in ("light", "dark"):
        for width in (1440, 390):
            context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
            for name, clicks in VIEWS.items():
                page = context.new_page()
                page.goto(path.absolute().as_uri())
                if arrive(page, clicks):
                    yield from (f"{path.name}, {name}, {scheme}, {width} px: {fault}" for fault in broken(page, axe))
                page.close()
            context.close()


def arrive(page: Page, clicks: tuple[str, ...]) -> bool:
    """False where the page has no such view."""
    page.wait_for_selector("#sheet > *")
    page.wait_for_timeout(200)
    for selector in clicks:
        if not page.locator(selector).count():
            return False
        page.locator(selector).first.click()
    return True


def broken(page: Page, axe: str) -> list[str]:
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    return [f"{each['id']} ({len(each['nodes'])}): {each['help']}: {each['nodes'][0]['html'][:160]}" for each in found]


if __name__ == "__main__":
    main()

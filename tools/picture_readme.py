"""Makes the README's picture: the demo's training run as its page shows it, in headless Chromium.

make demo && .venv/bin/python tools/picture_readme.py        # docs/demo.webp
"""

import argparse
import io
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

REPOSITORY = Path(__file__).parents[1]
LAYOUT = "rows=index,network_multiplier&columns=step&hidden=verdict&size=96"
SIZE = (900, 960)
QUIET = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--hide-scrollbars")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, default=Path("results/demo_training/report.html"))
    parser.add_argument("--output", type=Path, default=REPOSITORY / "docs/demo.webp")
    parser.add_argument("--browser", default="chromium")
    options = parser.parse_args()
    with Image.open(io.BytesIO(shot(options.browser, f"{options.page.resolve().as_uri()}#{LAYOUT}"))) as image:
        image.convert("RGB").save(options.output, "WEBP", quality=88, method=6)


def shot(browser: str, address: str) -> bytes:
    """A PNG of what a window of SIZE shows."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "shot.png")
        own = (f"--user-data-dir={folder}", f"--screenshot={file}", f"--window-size={SIZE[0]},{SIZE[1]}")
        command = [browser, "--headless", "--no-sandbox", *QUIET, "--virtual-time-budget=4000", *own, address]
        subprocess.run(command, check=True, capture_output=True)
        return file.read_bytes()


if __name__ == "__main__":
    main()

"""Pictures of the page for its documentation, of the example's pairs: `python -m tests.agents.annotation.screenshots FOLDER`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from agents.annotation.log import Log
from agents.annotation.pairs import read_pairs
from agents.annotation.study import Study
from tests.agents.annotation.browser import Page, browser, missing, serving

PAIRS = Path(__file__).parents[3] / "examples" / "annotate" / "pairs.jsonl"
WIDE, TALL = 1200, 620
SHOWN = "My parcel"  # how the prompt that is pictured begins


def take(folder: Path) -> None:
    """Write annotate.png and annotate-dark.png: a pair in the middle of a run."""
    with tempfile.TemporaryDirectory() as work, Log(Path(work) / "j.jsonl") as log, serving(Study(read_pairs(PAIRS), log)) as url:
        with browser(Path(work) / "profile") as driver:
            page = Page(driver, url)
            page.size(WIDE, TALL)
            page.prefer("light")
            page.enter("Ada")
            while not page.pair()[0].startswith(SHOWN):
                page.press("1")
            for name, scheme in (("annotate", "light"), ("annotate-dark", "dark")):
                page.prefer(scheme)
                driver.save_screenshot(str(folder / f"{name}.png"))


if __name__ == "__main__":
    if why := missing():
        sys.exit(f"error: {why}")
    take(Path(sys.argv[1]))

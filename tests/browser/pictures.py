"""The pictures of the lab in `docs/`: `python -m tests.browser.pictures` takes them anew."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from trpolab.bench.browser import browser, jupyterlab, open_notebook, run_all, until, write_notebook

DOCS = Path(__file__).parents[2] / "docs"
CELL = 'from trpolab import Lab\n\nlab = Lab("Hopper-v5", out=None, seed=1, autostart=True)\nlab'
SIZE = (1400, 900)  # pixels
ITERATIONS = 60  # that the lab has done by the first picture


def iteration(page: Any) -> int:
    """As the header says; 0 before the first."""
    pill = page.locator(".trpolab .trpolab-pill")
    found = re.search(r"iteration ([\d,]+)", pill.first.text_content() or "") if pill.count() else None
    return int(found[1].replace(",", "")) if found else 0


def take(folder: Path) -> None:
    """A picture of the page in each theme."""
    with tempfile.TemporaryDirectory() as place:
        work, home = Path(place, "notebooks"), Path(place, "home")
        work.mkdir()
        home.mkdir()
        with jupyterlab(work, home) as server, browser(*SIZE) as context:
            page = context.new_page()
            write_notebook(work / "lab.ipynb", CELL)
            open_notebook(page, server, "lab.ipynb")
            page.keyboard.press("Escape")
            page.keyboard.press("Control+b")  # the file browser goes
            run_all(page)
            until(lambda: iteration(page) >= ITERATIONS, "it never came so far", 600)
            page.locator(".jp-toast-button", has_text="No").last.click()  # to JupyterLab's question about news
            for theme in ("Light", "Dark"):
                page.get_by_role("menuitem", name="Settings", exact=True).click()
                page.locator(".lm-Menu-item", has_text="Theme").first.click()
                page.locator(".lm-Menu-item", has_text=f"JupyterLab {theme}").first.click()
                page.wait_for_timeout(6_000)  # the pictures follow
                page.screenshot(path=folder / f"lab-{theme.lower()}.png")


if __name__ == "__main__":
    take(DOCS)

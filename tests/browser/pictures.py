"""The pictures of the lab in `docs/`: `python -m tests.browser.pictures` takes them anew."""

from __future__ import annotations

from pathlib import Path

from trpolab.bench.lab_page import lab_page

DOCS = Path(__file__).parents[2] / "docs"
ITERATIONS = 60  # that the lab has done by the first picture


def take(folder: Path) -> None:
    """A picture of the page in each theme."""
    with lab_page() as lab:
        lab.lab("Hopper-v5", ", seed=1, autostart=True")
        lab.reach(ITERATIONS)
        page = lab.page
        page.set_viewport_size({"width": 1400, "height": 900})
        page.keyboard.press("Escape")
        page.keyboard.press("Control+b")  # the file browser goes
        page.locator(".jp-toast-button", has_text="No").last.click()  # to JupyterLab's question about news
        for theme in ("Light", "Dark"):
            page.get_by_role("menuitem", name="Settings", exact=True).click()
            page.locator(".lm-Menu-item", has_text="Theme").first.click()
            page.locator(".lm-Menu-item", has_text=f"JupyterLab {theme}").first.click()
            page.wait_for_timeout(6_000)  # the pictures follow
            page.screenshot(path=folder / f"lab-{theme.lower()}.png")


if __name__ == "__main__":
    take(DOCS)

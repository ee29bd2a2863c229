"""The pictures of the lab in `docs/`: `python -m tests.browser.pictures` takes them anew."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image

from trpolab.bench.lab_page import LabPage, lab_page, turn_a_knob

DOCS = Path(__file__).parents[2] / "docs"
FRAMES = (0, 1, 2, 3, 4, 6, 8, 10, 12, 15, 18, 21, 25, 30, 35, 40)  # iterations of the animated picture's frames
TURNED = 18  # the iteration after which δ is turned
WIDTH, COLOURS = 900, 128  # of the animated picture, whose size they decide
SECONDS, LAST = 0.7, 3.0  # that a frame stays, and the last one


def take(folder: Path) -> None:
    """The lab while it learns, then the page in each theme."""
    with lab_page() as lab:
        lab.lab("Hopper-v5", ", seed=1")
        page = lab.page
        page.set_viewport_size({"width": 1400, "height": 900})
        page.keyboard.press("Escape")
        page.keyboard.press("Control+b")  # the file browser goes
        page.locator(".jp-toast-button", has_text="No").last.click()  # to JupyterLab's question about news
        page.wait_for_selector(".trpolab button.trpolab-run:enabled")
        save(list(learning(lab)), folder / "lab.png")
        for theme in ("Light", "Dark"):
            page.get_by_role("menuitem", name="Settings", exact=True).click()
            page.locator(".lm-Menu-item", has_text="Theme").first.click()
            page.locator(".lm-Menu-item", has_text=f"JupyterLab {theme}").first.click()
            page.wait_for_timeout(6_000)  # the pictures follow
            page.screenshot(path=folder / f"lab-{theme.lower()}.png")


def learning(lab: LabPage) -> Any:
    """The visible part of the lab, as an image, after each of `FRAMES`."""
    box = lab.page.locator(".trpolab").first.bounding_box()
    below = lab.page.locator(".trpolab-pictures").first.bounding_box()
    clip = {**box, "height": below["y"] + below["height"] + 6 - box["y"]}
    for iteration in FRAMES:
        lab.reach(iteration)
        yield Image.open(io.BytesIO(lab.page.screenshot(clip=clip))).convert("RGB")
        if iteration == 0:
            lab.press("run")
        if iteration == TURNED:
            turn_a_knob(lab)


def save(frames: list[Image.Image], file: Path) -> None:
    """An animated PNG of one palette, that of the last frame, which viewers that know no animation show."""
    height = round(WIDTH * frames[0].height / frames[0].width)
    small = [frame.resize((WIDTH, height), Image.Resampling.LANCZOS) for frame in frames]
    palette = small[-1].quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)  # small coloured things keep theirs
    drawn = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in small]
    stays = [round(1000 * SECONDS)] * (len(drawn) - 1) + [round(1000 * LAST)]
    drawn[-1].save(file, save_all=True, append_images=drawn, default_image=True, duration=stays, loop=0)


if __name__ == "__main__":
    take(DOCS)

"""The live lab as a person meets it: times, redraws, memory and revival in a real browser."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trpolab.bench.browser import ask_kernel, browser, jupyterlab, open_notebook, run_all, until, write_notebook
from trpolab.bench.table import Report, verdict

FAST = os.environ.get("TRPOLAB_FAST") == "1"  # a trial of this benchmark, whose numbers count for little
LATE = 200 if FAST else 5_000  # iterations after which nothing may have become slower
MEMORY_SECONDS = 30 if FAST else 600
WATCHED = 10  # seconds in which redraws are counted
TURNS = 1 if FAST else 3
SIZES = {"Hopper-v5": 120, "CartPole-v1": 600}  # iterations of a run whose speed is compared
PATIENCE = 1800.0
PILL = ".trpolab .trpolab-pill"
PLOT = ".trpolab-plot[data-rows]"
# Long tasks of the page's main thread since then, in milliseconds.
OBSERVE = """() => {
  window.longest = 0;
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) window.longest = Math.max(window.longest, duration);
  }).observe({ type: "longtask" });
}"""


class LabPage:
    """A notebook with a lab in a browser, and its kernel."""

    def __init__(self, context: Any, server: str, folder: Path, home: Path):
        self.context, self.server, self.folder, self.home = context, server, folder, home
        self.page: Any = None
        self.name = ""

    def open(self, name: str, *sources: str) -> float:
        """Run the cells of a new notebook; returns when that began."""
        if self.page is not None:
            self.page.close()
        self.name, self.page = f"{name}.ipynb", self.context.new_page()
        write_notebook(self.folder / self.name, *sources)
        open_notebook(self.page, self.server, self.name)
        return run_all(self.page)

    def lab(self, task: str, more: str = "") -> float:
        """Run a cell with a lab."""
        return self.open(
            f"{task}-{time.monotonic_ns()}", f'from trpolab import Lab\n\nlab = Lab("{task}", out=None{more})\nlab'
        )

    def iteration(self) -> int:
        """As the header says; 0 where there is none."""
        pills = self.page.locator(PILL)
        found = re.search(r"iteration ([\d,]+)", pills.last.text_content() or "") if pills.count() else None
        return int(found[1].replace(",", "")) if found else 0

    def reach(self, iteration: int) -> None:
        """Wait until the lab is there."""
        until(lambda: self.iteration() >= iteration, f"iteration {iteration} never came", PATIENCE)

    def press(self, name: str) -> float:
        """Press a button; returns when."""
        began = time.perf_counter()
        self.page.locator(f".trpolab button.trpolab-{name}").last.click()
        return began

    def plots(self) -> dict[str, float]:
        """Redraws so far, and the milliseconds of the last one."""
        told = self.page.locator(PLOT).last.evaluate("plot => ({ ...plot.dataset })")
        return {name: float(told[name]) for name in ("redraws", "milliseconds")}

    def rerun(self) -> None:
        """Run the notebook's cells again and wait for the lab to begin afresh."""
        before = self.iteration()
        run_all(self.page)
        until(lambda: 0 < self.iteration() < max(before, 2), "no fresh lab")


@contextmanager
def lab_page() -> Iterator[LabPage]:
    """A JupyterLab and a browser of their own."""
    with tempfile.TemporaryDirectory() as place:
        folder, home = Path(place, "notebooks"), Path(place, "home")
        folder.mkdir()
        home.mkdir()
        with jupyterlab(folder, home) as server, browser(1400) as context:
            yield LabPage(context, server, folder, home)


def browser_rows(report: Report) -> list[str]:
    """Every row of the table that needs a browser. A row that fails says why, and the others go on."""
    rows: list[str] = []
    for measure in (start, late, hopper, slowed, saved, humanoid):
        with lab_page() as lab:
            try:
                for what, must, reached, passed in measure(lab):
                    rows.append(f"{what} | {must} | {reached} | {verdict(passed)}")
                    report(rows[-1])
            except Exception as error:  # noqa: BLE001 - whatever a browser raises is a row that was not reached
                rows.append(f"{measure.__name__} | | {type(error).__name__}: {str(error).splitlines()[0][:80]} | no")
                report(rows[-1])
    return rows


Row = tuple[str, str, str, bool]


def start(lab: LabPage) -> Iterator[Row]:
    """From the cell to the lab, and from Run to the first point."""
    began = lab.lab("CartPole-v1")
    shown = "() => [...document.querySelectorAll('.jp-OutputArea-output')].some((output) => output.offsetHeight > 0)"
    lab.page.wait_for_function(shown)
    yield row("cell run → something shown", time.perf_counter() - began, 1.0)
    lab.page.wait_for_selector(".trpolab button.trpolab-run:enabled")
    lab.page.wait_for_selector(".trpolab-plot canvas")
    yield row("cell run → the whole lab", time.perf_counter() - began, 6.0)
    began = lab.press("run")
    lab.page.wait_for_function(f"Number(document.querySelector('{PLOT}')?.dataset.rows) > 0")
    yield row("Run → first chart point, CartPole-v1", time.perf_counter() - began, 2.0)


def late(lab: LabPage) -> Iterator[Row]:
    """Cart-pole at full speed: early, and after thousands of iterations."""
    lab.lab("CartPole-v1", ", autostart=True")
    for iteration in (10, LATE):
        lab.reach(iteration)
        yield row(f"slider → shown as pending, iteration {iteration:,}", turn_a_knob(lab), 0.2)
    yield from drawing(lab, f"CartPole-v1, iteration {LATE:,}")
    began = lab.press("stop")
    until(lambda: "stopped" in lab.page.locator(PILL).text_content(), "it never stopped")
    yield row(f"Stop → obeyed, iteration {LATE:,}", time.perf_counter() - began, 1.0)


def turn_a_knob(lab: LabPage) -> float:
    """Seconds until the hint of δ says something else."""
    hint = ".trpolab .trpolab-hint-delta"
    handle = lab.page.locator(".trpolab .trpolab-row:has(.trpolab-hint-delta) .noUi-handle")
    handle.scroll_into_view_if_needed()
    before = lab.page.locator(hint).text_content()
    handle.focus()
    began = time.perf_counter()
    lab.page.keyboard.press("ArrowRight")
    lab.page.wait_for_function(
        "([hint, before]) => document.querySelector(hint).textContent !== before", arg=[hint, before]
    )
    return time.perf_counter() - began


def drawing(lab: LabPage, where: str) -> Iterator[Row]:
    """Redraws a second, the longest task and the time of a redraw."""
    lab.page.locator(PLOT).last.scroll_into_view_if_needed()
    lab.page.evaluate(OBSERVE)
    before, took = lab.plots(), []
    for _ in range(WATCHED * 4):
        time.sleep(0.25)
        took.append(lab.plots()["milliseconds"])
    rate = (lab.plots()["redraws"] - before["redraws"]) / (WATCHED * 1.0)
    longest = lab.page.evaluate("() => window.longest")
    yield f"redraws a second, {where}", ">= 4", f"{rate:.1f}", rate >= 4
    yield f"longest task of the page, {where}", "<= 50 ms", f"{longest:.0f} ms", longest <= 50
    middle = statistics.median(took)
    yield f"a redraw of all charts, {where}", "<= 15 ms", f"{middle:.1f} ms", middle <= 15


def hopper(lab: LabPage) -> Iterator[Row]:
    """Hopper: redraws, memory, and coming back to life."""
    lab.lab("Hopper-v5", ", autostart=True")
    lab.reach(3)
    yield from drawing(lab, "Hopper-v5")
    session = lab.context.new_cdp_session(lab.page)
    grown = -heap(session)
    time.sleep(MEMORY_SECONDS)
    grown += heap(session)
    yield f"browser memory, growth in {MEMORY_SECONDS / 60:g} min", "< 50 MB", f"{grown:.0f} MB", grown < 50
    count = "len(__import__('ipywidgets').widget._instances)"
    first = ask_kernel(lab.home, count)
    for _ in range(5):
        lab.rerun()
    left = ask_kernel(lab.home, count)
    yield "widgets after the cell ran five more times", f"{first}, those of one lab", str(left), left <= 1.1 * first
    lab.page.keyboard.press("Control+s")
    time.sleep(2)
    yield row("cell run again and page reloaded → alive", revival(lab, lab.page.reload), 5.0)

    def another_tab() -> None:
        lab.page.close()
        lab.page = lab.context.new_page()
        lab.page.goto(f"{lab.server}/lab/tree/{lab.name}")

    yield row("tab closed and opened → alive", revival(lab, another_tab), 5.0)


def heap(session: Any) -> float:
    """Megabytes of JavaScript that are in use."""
    session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 1e6


def revival(lab: LabPage, come_back: Callable[[], Any]) -> float:
    """Seconds from the notebook's cells on the page to a lab that counts on."""
    before = lab.iteration()
    come_back()
    lab.page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    began = time.perf_counter()
    until(lambda: lab.iteration() > before, "the lab stands still")
    return time.perf_counter() - began


def slowed(lab: LabPage) -> Iterator[Row]:
    """Training beside an open lab against training alone, in turn."""
    for task, size in SIZES.items():
        iterations = size // 6 if FAST else size
        seconds: dict[str, list[float]] = {"lab": [], "alone": []}
        for _ in range(TURNS):
            lab.lab(task, f", seed=0, iterations={iterations}, autostart=True")
            until(lambda: "finished" in (lab.page.locator(PILL).text_content() or ""), "it never ended", PATIENCE)
            seconds["lab"].append(ask_kernel(lab.home, "float(sum(row['seconds_total'] for row in lab.history[5:]))"))
            seconds["alone"].append(alone(task, iterations))
        share = statistics.median(seconds["lab"]) / statistics.median(seconds["alone"]) - 1
        yield f"training slowed by the open lab, {task}", "<= 5%", f"{share:.1%}", share <= 0.05


def alone(task: str, iterations: int) -> float:
    """Seconds of the same iterations in a process without a lab."""
    code = (
        "import json; from trpolab.training.session import Session\n"
        f"session = Session({task!r}, out=None, seed=0, iterations={iterations})\n"
        "for _ in session.iterate(): pass\n"
        "print(json.dumps(sum(row['seconds_total'] for row in session.history[5:])))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout))


def saved(lab: LabPage) -> Iterator[Row]:
    """The notebook's file with one lab and three players."""
    play = 'import trpolab\ntrpolab.play(lab.policy, task="Hopper-v5")'
    first = 'from trpolab import Lab\n\nlab = Lab("Hopper-v5", out=None, iterations=30, autostart=True)\nlab'
    lab.open("saved", first, play, play.replace("lab.policy", "lab.policy "), play)
    until(lambda: lab.page.locator(".trpolab-player").count() >= 4, "no four players", PATIENCE)
    until(lambda: "finished" in (lab.page.locator(PILL).text_content() or ""), "it never ended", PATIENCE)
    time.sleep(3)
    lab.page.keyboard.press("Control+s")
    time.sleep(3)
    size = (lab.folder / lab.name).stat().st_size / 1e6
    yield "saved notebook, one lab and three players", "< 1.5 MB", f"{size:.2f} MB", size < 1.5


def humanoid(lab: LabPage) -> Iterator[Row]:
    """The player on Humanoid."""
    source = (
        "import trpolab; from trpolab.training.session import Session\n"
        'policy = Session("Humanoid-v5", out=None).learner.policy\n'
        'trpolab.play(policy, task="Humanoid-v5")'
    )
    lab.open("humanoid", source)
    player = ".trpolab-player[data-drawn]"
    lab.page.wait_for_selector(".trpolab-player")
    began = time.perf_counter()
    lab.page.wait_for_selector(player)
    yield row("player on Humanoid-v5, load", time.perf_counter() - began, 1.0)
    drawn = "player => Number(player.dataset.drawn)"
    before = lab.page.locator(player).evaluate(drawn)
    time.sleep(WATCHED)
    rate = (lab.page.locator(player).evaluate(drawn) - before) / WATCHED
    yield "player on Humanoid-v5, frames a second", ">= 30", f"{rate:.0f}", rate >= 30


def row(what: str, seconds: float, most: float) -> Row:
    """A time in seconds and its bound."""
    must = f"< {most:g} s" if most >= 1 else f"< {1000 * most:g} ms"
    return what, must, f"{seconds:.2f} s" if most >= 1 else f"{1000 * seconds:.0f} ms", seconds < most

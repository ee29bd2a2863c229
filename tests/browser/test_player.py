"""Rollouts that play in cells: moved, stepped, chosen and compared by hand, in a real browser.

The tests of this file share one page and build on one another, in order.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.browser.test_start import NOT_OURS, open_and_run
from trpolab.bench.browser import until, write_notebook

pytestmark = pytest.mark.browser

CELL = """import gymnasium, numpy as np, trpolab
from IPython.display import display
from trpolab.policies import make_policy
from trpolab.simulators import find_task
from trpolab.training.config import resolve

run = trpolab.train("CartPole-v1", iterations=3, steps_per_iteration=300, out="player-runs")


class Painter(gymnasium.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float64)
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return np.zeros(2), {}

    def step(self, action):
        self.steps += 1
        return np.full(2, self.steps / 50), 1.0, self.steps == 20, False, {}

    def render(self):
        return np.full((24, 32, 3), (200, 10 * self.steps, 50), np.uint8)


class Hostile(Painter):
    def render(self):
        raise RuntimeError("<img src=x onerror=alert(1)>")


def fresh(task):
    about = find_task(task)
    spaces = about.observation_space, about.action_space
    return make_policy(*spaces, resolve(about).policy, np.random.default_rng(0), own_spaces=about.spaces)


for player in (
    trpolab.play(run.path),
    trpolab.play(fresh(Painter), task=Painter),
    trpolab.play(fresh(Hostile), task=Hostile),
    trpolab.play(fresh("Humanoid-v5"), task="Humanoid-v5"),
):
    display(player)"""
CARTPOLE, PAINTER, HOSTILE, HUMANOID = range(4)
COUNT = 4


@pytest.fixture(scope="module")
def shown(page: Any, server: str, workspace: Path) -> Any:
    """The page of a notebook with four players."""
    page.add_init_script(
        "globalThis.contexts = 0; const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        " if (kind.startsWith('webgl')) globalThis.contexts++; return get.call(this, kind, ...rest); };"
    )
    write_notebook(workspace / "player.ipynb", CELL)
    open_and_run(page, server, "player.ipynb")
    until(lambda: page.locator(".trpolab-player-canvas").count() == COUNT, "not all players came")
    return page


def player(page: Any, which: int) -> Any:
    found = page.locator(".trpolab-player").nth(which)
    found.scroll_into_view_if_needed()
    until(lambda: found.get_attribute("data-drawn"), "nothing was drawn")
    return found


def pixels(found: Any) -> str:
    return found.locator(".trpolab-player-canvas").last.evaluate("canvas => canvas.toDataURL()")


def frame(found: Any) -> int:
    return int(found.get_attribute("data-frame"))


def test_what_is_drawn_fills_its_place(shown: Any) -> None:
    wide = """canvas => {
      const { width, height } = canvas, { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
      const inked = Array.from({ length: width }, (_, x) => x)
        .filter(x => Array.from({ length: height }, (_, y) => data[4 * (y * width + x) + 3]).some(Boolean));
      return (inked.at(-1) - inked[0]) / width;
    }"""
    assert player(shown, CARTPOLE).locator(".trpolab-player-canvas").evaluate(wide) > 0.7


def test_scrubbing_and_keys_move_the_picture(shown: Any) -> None:
    found = player(shown, CARTPOLE)
    scrub = found.locator(".trpolab-player-scrub")
    scrub.fill("0")
    until(lambda: frame(found) == 0, "it is not at the start")
    first = pixels(found)
    last = int(scrub.get_attribute("max"))
    scrub.fill(str(last))
    until(lambda: frame(found) == last and pixels(found) != first, "scrubbing changed nothing")
    scrub.focus()
    for key, at in (("Home", 0), ("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", last), ("Home", 0)):
        shown.keyboard.press(key)
        until(lambda at=at: frame(found) == at, f"{key} did not lead to frame {at}")
    assert "reward" in found.locator(".trpolab-player-numbers").inner_text()


def test_it_plays_and_pauses(shown: Any) -> None:
    found = player(shown, CARTPOLE)
    found.get_by_role("button", name="Play").click()
    until(lambda: frame(found) > 0, "it does not play")
    found.locator(".trpolab-player-canvas").focus()
    shown.keyboard.press("Space")
    until(lambda: found.get_by_role("button", name="Play").count(), "space did not pause it")
    at = frame(found)
    shown.wait_for_timeout(300)
    assert frame(found) == at


def test_any_kept_policy_plays_also_beside_the_one_before(shown: Any) -> None:
    found = player(shown, CARTPOLE)
    title = found.locator(".trpolab-player-title b")
    assert title.inner_text() == "iteration 3"
    found.get_by_label("Iteration; at the right end the newest").fill("1")
    found.get_by_label("Iteration; at the right end the newest").dispatch_event("change")
    until(lambda: title.inner_text() == "iteration 2", "the slider chose no other policy")
    found.get_by_role("button", name="before | after").click()
    until(lambda: title.all_inner_texts() == ["iteration 1", "iteration 2"], "no second picture came")


def test_an_environment_is_seen_as_it_draws_itself(shown: Any) -> None:
    found = player(shown, PAINTER)
    found.locator(".trpolab-player-scrub").fill("7")
    middle = """canvas => [...canvas.getContext('2d')
      .getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data].slice(0, 3)"""
    canvas = found.locator(".trpolab-player-canvas")
    until(lambda: canvas.evaluate(middle) == [200, 70, 50], "the seventh picture is not shown")


def test_what_an_environment_says_is_text(shown: Any) -> None:
    found = player(shown, HOSTILE)
    note = found.locator(".trpolab-player-note").inner_text()
    assert note.startswith("Hostile.render raised RuntimeError: <img src=x onerror=alert(1)>; its observations")
    assert found.locator("img").count() == 0


def test_bodies_turn_and_come_nearer(shown: Any) -> None:
    found = player(shown, HUMANOID)
    canvas = found.locator(".trpolab-player-canvas").last
    found.locator(".trpolab-player-scrub").fill("3")
    until(lambda: frame(found) == 3, "it is elsewhere")
    for key in ("Shift+ArrowLeft", "+"):
        seen = pixels(found)
        canvas.focus()
        shown.keyboard.press(key)
        until(lambda seen=seen: pixels(found) != seen, "the camera stayed where it was")


def test_players_come_back_with_the_page(shown: Any) -> None:
    posters = shown.locator(".jp-RenderedImage img")
    assert posters.count() == COUNT and not posters.first.is_visible()  # they stay in the file
    shown.keyboard.press("Control+s")
    time.sleep(1)
    shown.goto(shown.url.partition("?")[0])
    shown.wait_for_selector(".jp-Notebook .jp-CodeCell")
    until(lambda: shown.locator(".trpolab-player-canvas").count() >= COUNT, "the players did not come back")
    player(shown, PAINTER)
    assert shown.evaluate("globalThis.contexts") <= 2  # one to ask whether there is a graphics card
    assert not [text for text in shown.complaints if not any(part in text for part in NOT_OURS)]

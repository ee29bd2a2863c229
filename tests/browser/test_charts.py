"""The charts in a real browser, fed by their widget without a server: what is drawn, pointed at, zoomed and sent."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from trpolab.bench.browser import ARGUMENTS, until

pytest.importorskip("anywidget", reason='needs the lab: pip install "trpolab[lab]"')

from trpolab.lab.charts import CHARTS, HISTORY, Charts
from trpolab.lab.reading import Mark
from trpolab.lab.style import CSS
from trpolab.lab.web import bundle

pytestmark = pytest.mark.browser

PAGE = f"""<body data-jp-theme-light='true'>{CSS}<div class='trpolab'><div class='trpolab-scroll' style='width: 690px'>
<div class='trpolab-grid'><div id='charts' class='trpolab-web'></div></div></div></div></body>"""
RENDER = """async ({code, state}) => {
  const bytes = text => Uint8Array.from(atob(text), sign => sign.charCodeAt(0));
  const {render} = await import(URL.createObjectURL(new Blob([bytes(code)], {type: 'text/javascript'})));
  globalThis.asked = []; globalThis.hear = () => {};
  const model = {get: name => state[name], on: (name, hear) => { if (name === 'msg:custom') globalThis.hear = hear; },
                 off() {}, send: content => asked.push(content)};
  globalThis.give = (content, parts) => hear(content, parts.map(part => new DataView(bytes(part).buffer)));
  render('charts', {model, el: document.getElementById('charts')});
}"""


AHEAD = 24  # messages that may be on their way to a page that does not draw


class Fed(Charts):
    """Charts whose messages are kept until `deliver`, as if the way to the page took its time."""

    def __init__(self, page: Any):
        self.page, self.kept = page, []
        super().__init__()

    def send(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        self.kept.append((content, [b64encode(part).decode() for part in buffers or []]))

    def deliver(self) -> int:
        """Pass on what views asked for and what they are sent, until nothing moves; how many messages that were."""
        count = 0
        while True:
            asked = self.page.evaluate("asked.splice(0)")
            for content in asked:
                self._handle_custom_msg(content, [])
            passed = self.pass_on()
            count += passed
            if not asked and not passed:
                return count

    def pass_on(self) -> int:
        kept, self.kept = self.kept, []
        for content, parts in kept:
            self.page.evaluate("([content, parts]) => give(content, parts)", [content, parts])
        if kept:  # it is drawn, and asked for more, in the next frame
            self.page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return len(kept)


def rows(first: int, last: int) -> list[dict[str, Any]]:
    return [
        {
            **dict.fromkeys(HISTORY),
            "iteration": k,
            "return_mean": 10.0 * k,
            "kl_mean": 0.008,
            "delta": 0.01,
            "kl_max": 0.3,
            "entropy": 1.0,
        }
        for k in range(first, last + 1)
    ]


@pytest.fixture(scope="module")
def tab(chromium: str) -> Iterator[Any]:
    """A page of a browser, without JupyterLab."""
    playwright = pytest.importorskip("playwright.sync_api", reason='needs Playwright: pip install "trpolab[test]"')
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        page = browser.new_page(viewport={"width": 720, "height": 1100})
        page.complaints = []
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        yield page
        browser.close()


@pytest.fixture
def fed(tab: Any) -> Iterator[Fed]:
    """Charts on an empty page."""
    tab.set_content(PAGE)
    charts = Fed(tab)
    state = {"charts": json.loads(json.dumps(charts.charts)), "columns": list(HISTORY)}
    tab.evaluate(RENDER, {"code": b64encode(bundle()[1]).decode(), "state": state})
    yield charts
    assert tab.complaints == []


def chart(page: Any, key: str) -> Any:
    return page.locator(f".trpolab-plot-{key}")


def drawn(page: Any) -> int:
    return int(chart(page, "return").get_attribute("data-rows") or 0)


def label(page: Any, key: str) -> str:
    return chart(page, key).get_attribute("aria-label")


def ink(page: Any, key: str) -> int:
    """Pixels of the first line's colour on a chart's canvas."""
    count = """canvas => {
      const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      let found = 0;
      for (let k = 0; k < data.length; k += 4) if (data[k + 2] - data[k] > 80 && data[k + 3] > 200) found++;
      return found;
    }"""
    return chart(page, key).locator("canvas").evaluate(count)


def test_a_single_point_is_drawn(fed: Fed, tab: Any) -> None:
    fed.update(rows(1, 1))
    fed.deliver()
    until(lambda: drawn(tab) == 1, "nothing was drawn")
    assert ink(tab, "return") > 8
    assert "this run 10" in label(tab, "return") and "at 1" in label(tab, "return")


def test_only_appends_are_sent_and_soon_none_before_they_were_drawn(fed: Fed, tab: Any) -> None:
    fed.update(rows(1, 5000))
    assert fed.deliver() == 1
    until(lambda: drawn(tab) == 5000, "the history was not drawn")
    for k in range(5001, 5101):  # a hundred iterations while the page is busy
        fed.update(rows(k, k))
    assert 1 < len(fed.kept) <= AHEAD and {content["rows"] for content, _ in fed.kept} == {1}
    assert {len(b64decode(parts[0])) for _, parts in fed.kept} == {4 * len(HISTORY)}
    fed.deliver()
    until(lambda: drawn(tab) == 5100, "the newest did not come")
    for k in range(5101, 5201):  # a page that keeps up asks for more now and then
        fed.update(rows(k, k))
        asked = tab.evaluate("asked.length")
        assert asked <= 1
        fed.deliver()
    until(lambda: drawn(tab) == 5200, "they stopped coming")


def test_a_question_that_was_lost_is_asked_again(fed: Fed, tab: Any) -> None:
    fed.update(rows(1, 10))
    assert tab.evaluate("asked.splice(0).length") == 1  # a page that is loaded again may lose it
    until(lambda: tab.evaluate("asked.length"), "it is never asked again")
    fed.deliver()
    until(lambda: drawn(tab) == 10, "the history was not drawn")


def test_a_history_that_comes_twice_is_drawn_once(fed: Fed, tab: Any) -> None:
    fed.update(rows(1, 10))
    fed._handle_custom_msg(tab.evaluate("asked.splice(0)")[0], [])
    until(lambda: tab.evaluate("asked.length"), "it is never asked again")  # the answer is on its way
    assert fed.deliver() == 2
    fed.update(rows(11, 12))
    fed.deliver()
    until(lambda: drawn(tab) == 12, "other rows were drawn than there are")


def test_a_run_without_a_whole_episode_says_so(fed: Fed, tab: Any) -> None:
    fed.update([row | {"return_mean": None} for row in rows(1, 2)])
    fed.deliver()
    until(lambda: "no episode has ended yet" in chart(tab, "return").inner_text(), "an empty chart tells nothing")
    assert "no episode" not in chart(tab, "kl").inner_text()
    fed.update(rows(3, 3))
    fed.deliver()
    until(lambda: "at 3" in chart(tab, "return").inner_text(), "the first value does not show")


def test_the_numbers_at_the_axes_grow_with_the_lab(fed: Fed, tab: Any) -> None:
    fed.update(rows(1, 20))
    fed.deliver()
    axis = "() => document.querySelector('.trpolab-plot-return .u-over').offsetLeft"
    narrow = tab.evaluate(axis)
    tab.locator(".trpolab").evaluate("lab => lab.classList.add('trpolab-projector')")
    until(lambda: tab.evaluate(axis) > 1.2 * narrow, "they stay small")


def test_every_value_of_an_iteration_is_read_in_all_charts(fed: Fed, tab: Any) -> None:
    fed.update([*rows(1, 19), rows(20, 20)[0] | {"entropy": 7.5}, *rows(21, 40)])
    fed.deliver()
    plot = chart(tab, "return").locator(".u-over").bounding_box()
    tab.mouse.move(plot["x"] + plot["width"] * 19 / 39, plot["y"] + plot["height"] / 2)
    until(lambda: "at 20" in label(tab, "entropy"), "the others do not follow")
    assert "entropy 7.5" in label(tab, "entropy") and "this run 200" in label(tab, "return")
    tab.mouse.move(1, 1)
    until(lambda: "at 40" in label(tab, "entropy"), "the newest does not come back")
    chart(tab, "kl").focus()
    tab.keyboard.press("ArrowLeft")
    until(lambda: "at 39" in label(tab, "return"), "the arrow key does nothing")
    tab.keyboard.press("Escape")


def test_a_drag_zooms_all_and_a_double_click_shows_all(fed: Fed, tab: Any) -> None:
    fed.update(rows(1, 400))
    fed.deliver()
    plot = chart(tab, "return").locator(".u-over").bounding_box()
    middle = plot["y"] + plot["height"] / 2
    tab.mouse.move(plot["x"] + 0.25 * plot["width"], middle)
    tab.mouse.down()
    tab.mouse.move(plot["x"] + 0.5 * plot["width"], middle, steps=4)
    tab.mouse.up()
    until(lambda: "double click: all" in label(tab, "kl"), "nothing is zoomed")
    tab.mouse.move(plot["x"] + plot["width"] - 1, middle)
    until(lambda: "at 200" in label(tab, "kl"), "the axis does not end where the selection did")
    tab.mouse.dblclick(plot["x"] + 0.5 * plot["width"], middle)
    until(lambda: "double click" not in label(tab, "kl"), "a double click does not show all")
    tab.mouse.move(plot["x"] + plot["width"] - 1, middle)
    until(lambda: "at 400" in label(tab, "kl"), "the axis does not end where the data do")


def test_marks_are_listed_and_lead_to_their_iteration(fed: Fed, tab: Any) -> None:
    evil = "<img src=x onerror=alert(1)>"
    fed.update(rows(1, 100), marks=[Mark(30, "δ 0.01 → 0.05"), Mark(60, evil)])
    fed.deliver()
    items = tab.locator(".trpolab-marks li")
    assert items.all_text_contents() == ["1: δ 0.01 → 0.05 at 30", f"2: {evil} at 60"]
    assert tab.locator(".trpolab-marks img").count() == 0
    items.first.locator("button").click()
    until(lambda: "at 30" in label(tab, "kl"), "the mark leads nowhere")


def test_no_legend_title_or_number_is_cut(fed: Fed, tab: Any) -> None:
    fed.update([{**dict.fromkeys(HISTORY, -1234.5678), "iteration": k} for k in range(1, 30)])
    fed.restart()
    fed.update([{**dict.fromkeys(HISTORY, 0.000123), "iteration": k} for k in range(1, 30)])
    fed.deliver()
    inside = """plot => {
      const room = plot.getBoundingClientRect();
      const shown = part => part.getClientRects().length > 0;
      return [...plot.querySelectorAll('b, .trpolab-plot-entry')].filter(shown).every(part => {
        const box = part.getBoundingClientRect();
        return box.left >= room.left && box.right <= room.right + 0.5 && box.bottom <= room.bottom;
      });
    }"""
    for width in (540, 690, 1100):  # the board's at 1,280, 1,400 and 1,920 pixels
        tab.locator(".trpolab-scroll").evaluate("(board, width) => { board.style.width = `${width}px`; }", width)
        for about in CHARTS:
            assert chart(tab, about.key).evaluate(inside), (about.key, width)


def test_nothing_is_drawn_or_asked_for_out_of_sight(fed: Fed, tab: Any) -> None:
    fed.update(rows(1, 10))
    fed.deliver()
    tab.locator(".trpolab").evaluate("lab => { lab.style.display = 'none'; }")
    tab.evaluate("new Promise(done => setTimeout(done, 300))")
    for k in range(11, 11 + AHEAD):
        fed.update(rows(k, k))
        fed.deliver()
    fed.update(rows(11 + AHEAD, 50))
    assert fed.deliver() == 0 and drawn(tab) == 10
    tab.locator(".trpolab").evaluate("lab => { lab.style.display = ''; }")
    until(lambda: fed.deliver() or drawn(tab) == 50, "what was missed does not come")
    until(lambda: drawn(tab) == 50, "it is not drawn")


@pytest.mark.parametrize("value", [0.0, 1.0, -1e-12, 3e38, np.nan, 1e-30])
def test_any_number_can_be_drawn(fed: Fed, tab: Any, value: float) -> None:
    fed.update([{**dict.fromkeys(HISTORY, value), "iteration": k} for k in range(1, 4)], residuals=[value] * 3)
    fed.deliver()
    until(lambda: drawn(tab) == 3, "it was not drawn")

"""The view of the trust region in a browser, handed pictures as a kernel would."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.test_trust_region import as_sent, newest
from trpolab.bench.browser import browser
from trpolab.lab.trust_region import picture
from trpolab.lab.web import bundle

pytestmark = pytest.mark.browser

# A model that answers what the view asks for with the newest picture, as `WebView` does.
SHOW = """async (code) => {
  const bundle = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  let hear, asked, version = 0, picture = null;
  const answer = () => {
    if (!asked || !picture || asked.have.version === version) return;
    const { view, topic } = asked;
    asked = null;
    hear({ type: "answer", view, topic, version, ...picture }, []);
  };
  const send = (content) => {
    asked = content;
    queueMicrotask(answer);
  };
  const model = { on: (_, listener) => (hear = listener), off() {}, send };
  bundle.render("trust_region", { model, el: document.body.appendChild(document.createElement("div")) });
  window.show = (next) => {
    version += 1;
    picture = next;
    answer();
  };
}"""


@pytest.fixture(scope="module")
def view(chromium: str) -> Iterator[Any]:
    """A page that holds the view alone; `window.show(picture)` hands it another picture."""
    pytest.importorskip("playwright.sync_api", reason='needs Playwright: pip install "trpolab[test]"')
    with browser(700, 500) as context:
        page = context.new_page()
        page.complaints = []
        page.on("console", lambda note: page.complaints.append(note.text) if note.type == "error" else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.evaluate(SHOW, bundle()[1].decode())
        yield page


@pytest.fixture(scope="module")
def accepted() -> dict[str, Any]:
    return as_sent(picture(newest(), 60.0))


def numbers(view: Any) -> tuple[float, float]:
    """The gain and the KL that are told."""
    told = view.locator(".trpolab-trust-verdict").inner_text().replace("−", "-")
    return tuple(float(re.search(name + r" (\S+)", told)[1]) for name in ("gain", "mean KL"))  # type: ignore[return-value]


def test_it_tells_the_step_that_was_taken(view: Any, accepted: dict[str, Any]) -> None:
    view.evaluate("picture => show(picture)", accepted)
    at = accepted["fractions"].index(accepted["taken"])
    assert numbers(view) == pytest.approx((accepted["gain"][at], accepted["kl"][at]), rel=5e-3)
    assert "accepted" in view.locator(".trpolab-trust-verdict em").inner_text()
    assert accepted["caption"] in view.locator(".trpolab-trust-head").inner_text()


def test_dragging_and_keys_change_the_numbers(view: Any, accepted: dict[str, Any]) -> None:
    view.evaluate("picture => show(picture)", accepted)
    slider = view.get_by_role("slider")
    slider.fill("0.5")
    at = accepted["fractions"].index(0.5)
    assert numbers(view) == pytest.approx((accepted["gain"][at], accepted["kl"][at]), rel=5e-3)
    assert "would be accepted" in slider.get_attribute("aria-valuetext")
    half = numbers(view)
    slider.press("ArrowRight")
    assert numbers(view) > half
    slider.press("End")
    assert numbers(view) == pytest.approx((accepted["gain"][-1], accepted["kl"][-1]), rel=5e-3)
    assert "would be refused: mean KL is above δ" in view.locator(".trpolab-trust-verdict").inner_text()
    box = view.locator(".trpolab-trust-step").bounding_box()
    view.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 50)
    view.mouse.down()
    view.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 50)
    view.mouse.up()
    assert 0.2 < float(slider.input_value()) < 0.8
    view.get_by_role("button", name="as taken").click()
    assert float(slider.input_value()) == accepted["taken"]


def test_the_chosen_fraction_stays_for_the_next_picture(view: Any, accepted: dict[str, Any]) -> None:
    view.evaluate("picture => show(picture)", accepted)
    view.get_by_role("slider").fill("0.3")
    view.evaluate("picture => show(picture)", {**accepted, "caption": "another"})
    assert "another" in view.locator(".trpolab-trust-head").inner_text()
    assert float(view.get_by_role("slider").input_value()) == 0.3
    view.get_by_role("button", name="as taken").click()


def test_a_refused_update_says_that_no_step_was_taken(view: Any) -> None:
    refused = newest(damping=0.0, delta=0.8, cg_iterations=30, max_tries=1, seed=1)
    view.evaluate("picture => show(picture)", as_sent(picture(refused, 60.0)))
    told = view.locator(".trpolab-trust-verdict").inner_text()
    assert "no step was taken" in told and refused.metrics["message"] in told
    view.get_by_role("slider").fill("0.01")
    assert "no step" not in view.locator(".trpolab-trust-verdict").inner_text()
    view.get_by_role("button", name="as taken").click()


def test_where_there_is_nothing_to_draw_it_says_why_and_comes_back(view: Any, accepted: dict[str, Any]) -> None:
    view.evaluate("picture => show(picture)", {"note": "iteration 3: <b>CEM</b> has no trust region"})
    assert view.locator(".trpolab-trust-note").inner_text() == "iteration 3: <b>CEM</b> has no trust region"
    assert not view.locator(".trpolab-trust-plane").is_visible()
    hostile = {**accepted, "method": "<img src=x onerror=alert(1)>", "plane": None}
    view.evaluate("picture => show(picture)", hostile)
    assert view.locator(".trpolab-trust-step").is_visible()
    assert not view.locator(".trpolab-trust-plane").is_visible()
    view.evaluate("picture => show(picture)", {**hostile, "plane": accepted["plane"]})
    assert view.locator(".trpolab-trust-plane").is_visible()
    assert view.locator("img").count() == 0
    assert view.complaints == []


def test_no_number_is_cut_in_a_narrow_card(view: Any, accepted: dict[str, Any]) -> None:
    view.set_viewport_size({"width": 275, "height": 500})
    others = [{**other, "gain": -0.000844, "kl": 0.0342} for other in accepted["others"]]
    view.evaluate("picture => show(picture)", {**accepted, "others": others})
    cut = "table => table.getBoundingClientRect().right > table.parentElement.getBoundingClientRect().right"
    assert not view.locator(".trpolab-trust table").evaluate(cut)
    assert view.get_by_role("slider").bounding_box()["width"] > 80
    view.set_viewport_size({"width": 700, "height": 500})


def test_labels_do_not_lie_over_one_another(view: Any, accepted: dict[str, Any]) -> None:
    for width in (320, 700):
        view.set_viewport_size({"width": width, "height": 500})
        view.evaluate("picture => show(picture)", accepted)
        read = "labels => labels.map((l) => l.getBBox()).map(({ x, y, width, height }) => ({ x, y, width, height }))"
        boxes = view.locator(".trpolab-trust-plane text.halo").evaluate_all(read)  # without their halos
        assert len(boxes) >= 3
        for place, one in enumerate(boxes):
            for other in boxes[:place]:
                across = one["x"] + 1 < other["x"] + other["width"] and other["x"] + 1 < one["x"] + one["width"]
                down = one["y"] + 1 < other["y"] + other["height"] and other["y"] + 1 < one["y"] + one["height"]
                assert not (across and down), (width, one, other)

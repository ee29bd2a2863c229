"""Knobs: what a browser would set becomes a request, and nothing but a request."""

from __future__ import annotations

import ipywidgets as w
import pytest

from trpolab.lab.controls_panel import ControlsPanel
from trpolab.lab.knobs import Knob, decades, in_words, tidy
from trpolab.simulators import find_task
from trpolab.training.config import resolve, settings
from trpolab.training.controls import Controls
from trpolab.updates import METHODS


def make_controls(task: str = "Hopper-v5", **changes) -> Controls:
    about = find_task(task)
    return Controls(resolve(about, overrides={"delta": 0.02, **changes}), about)


@pytest.fixture
def controls() -> Controls:
    return make_controls()


@pytest.fixture
def panel(controls: Controls) -> ControlsPanel:
    return ControlsPanel(lambda: controls)


def hint(panel: ControlsPanel, name: str) -> str:
    return panel.knobs[name].hint.value


def test_every_knob_shows_what_is_requested(panel: ControlsPanel, controls: Controls) -> None:
    for name, knob in panel.knobs.items():
        assert knob.stands_at(controls.requested.get(name)), name


def test_moving_delta_is_a_request_and_pending_until_taken(panel: ControlsPanel, controls: Controls) -> None:
    panel.knobs["delta"].widget.value = 10**-1.3  # where a drag of the logarithmic slider ends
    assert controls.requested.get("delta") == 0.0501
    assert controls.in_use.get("delta") == 0.02
    assert "next 0.0501, in use 0.02" in hint(panel, "delta")

    controls.take()
    panel.refresh()
    assert "next" not in hint(panel, "delta") and "in use 0.0501" in hint(panel, "delta")
    panel.applied(["delta"], 60)
    panel.refresh()
    assert "in use 0.0501 since iteration 60" in hint(panel, "delta")


@pytest.mark.parametrize(
    ("name", "value"),
    [("line_search", False), ("max_tries", 3), ("cg_iterations", 20), ("damping", 0.0), ("fisher_fraction", 0.1),
     ("steps_per_iteration", 4096), ("gamma", 0.98), ("lam", 0.9), ("seconds_per_iteration", 0.5), ("shrink", 0.5)],
)  # fmt: skip
def test_each_knob_requests_its_own_setting(panel: ControlsPanel, controls: Controls, name: str, value) -> None:
    before = controls.requested.settings()
    panel.knobs[name].widget.value = value
    after = controls.requested.settings()
    assert {key: after[key] for key in after if after[key] != before[key]} == {name: value}


def test_a_combination_that_cannot_run_is_refused_in_words_and_the_knob_goes_back(
    panel: ControlsPanel, controls: Controls
) -> None:
    panel.knobs["advantage"].widget.value = "monte_carlo"  # sums need whole paths
    assert controls.requested.get("advantage") == "gae"
    assert panel.knobs["advantage"].widget.value == "gae"
    assert "whole paths" in panel.error.value and "role='alert'" in panel.error.value

    panel.knobs["path.whole"].widget.value = True
    assert panel.error.value == ""
    panel.knobs["advantage"].widget.value = "monte_carlo"
    assert controls.requested.get("advantage") == "monte_carlo"


def test_a_change_made_in_python_moves_the_knob_and_is_not_rounded(panel: ControlsPanel, controls: Controls) -> None:
    panel.refresh()
    controls.replace(delta=0.0123456, steps_per_iteration=3000)
    panel.refresh()
    assert panel.knobs["delta"].widget.value == 0.0123456
    assert panel.knobs["steps_per_iteration"].widget.value == 3000
    assert controls.requested.get("delta") == 0.0123456


def test_a_value_outside_the_slider_stretches_it(controls: Controls) -> None:
    controls.replace(delta=0.7)
    panel = ControlsPanel(lambda: controls)
    assert panel.knobs["delta"].widget.value == pytest.approx(0.7)


def test_knobs_that_mean_nothing_now_are_disabled_and_say_why(panel: ControlsPanel) -> None:
    panel.knobs["line_search"].widget.value = False
    assert panel.knobs["shrink"].widget.disabled and panel.knobs["max_tries"].widget.disabled
    assert "line search is off" in panel.knobs["shrink"].widget.tooltip
    panel.knobs["line_search"].widget.value = True
    assert not panel.knobs["shrink"].widget.disabled


def test_sliders_report_once_a_drag_and_every_knob_explains_itself(panel: ControlsPanel) -> None:
    for name, knob in panel.knobs.items():
        assert getattr(knob.widget, "continuous_update", False) is False, name
        assert name in knob.widget.tooltip
    assert isinstance(panel.knobs["delta"].widget, w.FloatLogSlider)
    assert (panel.knobs["delta"].widget.min, panel.knobs["delta"].widget.max) == (-4, -1)


def test_the_paper_preset_with_no_damping_fits_a_logarithmic_knob() -> None:
    controls = make_controls(preset="paper", steps_per_iteration=5000)
    panel = ControlsPanel(lambda: controls)
    assert panel.knobs["damping"].widget.value == 0.0
    assert panel.knobs["lam"].widget.disabled  # sums have no λ


def test_a_knob_escapes_what_it_tells() -> None:
    knob = Knob(settings()["delta"], 0.02, lambda name, value: None)
    knob.tell("<script>alert(1)</script>")
    assert "<script>" not in knob.hint.value


def test_values_in_words() -> None:
    shown = [in_words(value) for value in (True, "gae", 0.02, 2048, (64, 64), (), None)]
    assert shown == ["on", "GAE", "0.02", "2,048", "64 × 64", "linear", "by rule"]
    assert tidy(0.019952623) == 0.02 and tidy(0.9995) == 0.9995
    assert decades(1e-2, 1) == [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0]


def test_the_vine_brings_its_own_rows_and_its_cost() -> None:
    controls = make_controls()
    panel = ControlsPanel(lambda: controls)
    assert panel.knobs["vine.states"].row.layout.display == "none"
    panel.knobs["sampler"].widget.value = "vine"
    assert controls.requested.sampler == "vine"
    assert panel.knobs["vine.states"].row.layout.display is None
    assert panel.knobs["steps_per_iteration"].row.layout.display == "none"
    assert panel.knobs["lam"].widget.disabled and "branches" in panel.knobs["lam"].widget.tooltip
    vine = controls.requested.vine
    panel.refresh()
    most = vine.trunks * vine.trunk_length + vine.states * vine.actions * vine.rollout_length
    assert f"at most {most:,} simulator steps" in panel.cost.value


def test_what_the_task_cannot_do_is_struck_out_with_the_reason() -> None:
    controls = make_controls(sampler="vine")
    panel = ControlsPanel(lambda: controls)
    q = panel.knobs["proposal"].widget
    struck = [text for k, (text, _) in enumerate(q.options) if f"trpolab-no-{k + 1}" in q._dom_classes]
    assert struck == ["uniform", "every action"]
    assert "continuous actions" in q.tooltips[2] and "continuous" not in q.tooltips[0]
    q.value = "all"
    assert q.value == "policy" and "continuous actions" in panel.error.value


def shown(panel: ControlsPanel) -> set[str]:
    return {name for name, knob in panel.knobs.items() if knob.row.layout.display is None}


def test_a_method_brings_its_own_rows() -> None:
    controls = make_controls("paper/CartPole")
    panel = ControlsPanel(lambda: controls)
    of_methods = {setting for kind in METHODS.values() for setting in kind.names}
    for name, kind in METHODS.items():
        panel.knobs["method"].widget.value = name
        assert controls.requested.method == name, panel.error.value
        assert shown(panel) & of_methods == set(kind.names) & set(panel.knobs), name
        assert ("steps_per_iteration" in shown(panel)) == (not kind.searches)
    assert panel._cards["Trust region"].layout.display == "none"  # the last one searches over θ
    panel.knobs["method"].widget.value = "max_kl"
    assert panel._cards["Trust region"].layout.display is None


def test_every_method_can_be_turned_on_while_another_one_learns() -> None:
    controls = make_controls("paper/CartPole")
    panel = ControlsPanel(lambda: controls)
    controls.take()
    panel.knobs["method"].widget.value = "cem"
    assert "next CEM, in use TRPO" in hint(panel, "method")
    assert panel.knobs["lam"].widget.disabled and "candidates" in panel.knobs["lam"].widget.tooltip
    panel.refresh()
    assert "at most 20,000 simulator steps" in panel.cost.value
    panel.knobs["cem.population"].widget.value = 20
    panel.refresh()
    assert "at most 10,000 simulator steps" in panel.cost.value


def test_methods_that_cannot_run_here_are_crossed_in_the_menu_and_refused_in_words() -> None:
    controls = make_controls("Hopper-v5")
    panel = ControlsPanel(lambda: controls)
    menu = panel.knobs["method"].widget
    assert [value for text, value in menu.options if "✕" in text] == ["reps"]
    menu.value = "reps"
    assert menu.value == "trpo" and controls.requested.method == "trpo"
    assert "5,126 parameters" in panel.error.value
    panel.knobs["sampler"].widget.value = "vine"
    assert [value for text, value in menu.options if "✕" in text] == ["cem", "cma_es", "reps"]
    menu.value = "cem"
    assert menu.value == "trpo" and "sampler = &#x27;single-path&#x27;" in panel.error.value


def test_a_knob_of_a_choice_not_made_says_why_it_is_off() -> None:
    controls = make_controls("paper/CartPole", method="policy_gradient")
    panel = ControlsPanel(lambda: controls)
    assert panel.knobs["policy_gradient.step"].widget.disabled
    assert "edge of the ball" in panel.knobs["policy_gradient.step"].widget.tooltip
    panel.knobs["policy_gradient.rule"].widget.value = "step"
    assert not panel.knobs["policy_gradient.step"].widget.disabled
    assert panel.knobs["policy_gradient.radius"].widget.disabled

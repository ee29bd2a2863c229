"""The lab around a session that learns nothing: threads, buttons, errors, closing."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ipywidgets import Widget
from ipywidgets.widgets.widget import _instances

from trpolab.lab import cells, view
from trpolab.lab.lab import Lab
from trpolab.lab.reading import clock, remarks, short
from trpolab.lab.summary import summarize
from trpolab.lab.trainer import NAME
from trpolab.training.config import resolve
from trpolab.training.session import Session

PATIENCE = 20.0  # seconds; generous: a deadline must never be what fails


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)


def press(lab: Lab, name: str) -> None:
    (lab.view.page.buttons | lab.view.page.texts)[name].click()


def drawn(lab: Lab, metric: str) -> list[float]:
    return lab.view.charts.rows.get(metric).tolist()


def test_a_blocking_run_does_exactly_what_was_asked(make_lab) -> None:
    lab = make_lab()
    lab.run(block=True, iterations=7)
    assert len(lab.history) == 7
    until(lambda: lab.state == "paused")
    lab.run(block=True, iterations=2)
    assert len(lab.history) == 9


def test_awaiting_a_lab_leaves_the_loop_free_for_its_buttons(make_lab) -> None:
    lab = make_lab()

    async def cell() -> Lab:
        lab.run(iterations=1_000_000)
        asyncio.get_running_loop().call_later(0.1, lab.pause)
        return await lab

    assert asyncio.run(cell()) is lab and 0 < len(lab.history) < 1_000_000
    until(lambda: lab.state == "paused")


def test_interrupting_a_cell_that_awaits_pauses_the_lab(make_lab) -> None:
    lab = make_lab()

    async def cell() -> None:
        lab.run(iterations=1_000_000)
        waiting = asyncio.ensure_future(lab._arrival())
        asyncio.get_running_loop().call_later(0.1, waiting.cancel)
        await waiting

    asyncio.run(cell())
    until(lambda: lab.state == "paused")


def test_a_lab_that_is_never_shown_makes_no_widget(make_lab) -> None:
    made: list[Widget] = []
    Widget.on_widget_constructed(made.append)
    try:
        lab = make_lab()
        lab.run(block=True, iterations=3)
        assert made == [] and lab.overhead() == 0.0
        lab._repr_mimebundle_()
        assert len(made) > 50  # so it would have been noticed
    finally:
        Widget.on_widget_constructed(None)


def test_a_run_goes_on_in_a_daemon_thread_of_its_name(make_lab) -> None:
    lab = make_lab(about={"seconds": 0.01}, autostart=True)
    until(lambda: len(lab.history) > 2)
    threads = {thread.name: thread for thread in threading.enumerate()}
    assert threads[NAME].daemon
    assert "running" in lab.view.page.status.value or lab.refresh() or "running" in lab.view.page.status.value


def test_pause_step_stop_and_run_again_by_button(make_lab) -> None:
    lab = make_lab(about={"seconds": 0.01})
    assert lab.state == "ready" and lab.view.page.buttons["pause"].disabled
    press(lab, "run")
    until(lambda: len(lab.history) > 1)
    press(lab, "pause")
    until(lambda: lab.state == "paused")
    held = len(lab.history)
    press(lab, "step")
    until(lambda: len(lab.history) == held + 1 and lab.state == "paused")
    press(lab, "stop")
    until(lambda: lab.state == "stopped")
    assert not lab.trainer.alive
    press(lab, "run")
    until(lambda: len(lab.history) > held + 2)


def test_run_pressed_twice_runs_once(make_lab) -> None:
    lab = make_lab(about={"seconds": 0.01})
    press(lab, "run")
    press(lab, "run")
    until(lambda: len(lab.history) > 3)
    assert sum(thread.name == NAME for thread in threading.enumerate()) == 1
    assert [row["iteration"] for row in lab.history] == list(range(1, len(lab.history) + 1))


def test_step_from_the_start_does_one_iteration(make_lab) -> None:
    lab = make_lab()
    press(lab, "step")
    until(lambda: lab.state == "paused")
    assert len(lab.history) == 1


def test_reset_starts_afresh_with_the_knobs_as_they_stand(make_lab) -> None:
    lab = make_lab()
    lab.run(block=True, iterations=5)
    lab.view.knobs.knobs["delta"].widget.value = 0.05
    first = lab.session
    press(lab, "reset")
    until(lambda: lab.session is not first)
    assert lab.history == [] and lab.controls.requested.get("delta") == 0.05
    lab.refresh()
    ((iterations, _),) = lab.view.charts.ghosts
    assert iterations.tolist() == [1, 2, 3, 4, 5] and drawn(lab, "return_mean") == []


def test_a_turned_knob_is_marked_where_it_was_applied(make_lab) -> None:
    lab = make_lab()
    lab.run(block=True, iterations=3)
    lab.view.knobs.knobs["delta"].widget.value = 0.05
    assert "next 0.05, in use 0.02" in lab.view.knobs.knobs["delta"].hint.value
    lab.run(block=True, iterations=1)
    lab.refresh()
    assert lab.history[-1]["delta"] == 0.05
    assert "in use 0.05 since iteration 4" in lab.view.knobs.knobs["delta"].hint.value
    lab.controls.replace(delta=0.03, seconds_per_iteration=0.01)
    lab.run(block=True, iterations=1)
    assert lab.view.charts.marks == [(4, "δ 0.02 → 0.05"), (5, "δ 0.05 → 0.03")]


def test_the_charts_show_the_history(make_lab) -> None:
    lab = make_lab()
    lab.run(block=True, iterations=6)
    lab.refresh()
    assert drawn(lab, "kl_mean") == [row["kl_mean"] for row in lab.history]
    assert drawn(lab, "iteration") == [1, 2, 3, 4, 5, 6]
    assert drawn(lab, "steps_per_second")[0] == pytest.approx(2048 / 0.08)
    residuals = lab.view.charts.answer("rows", {"run": -1, "rows": 0})[1][1]
    np.testing.assert_allclose(np.frombuffer(residuals, np.float32), [10.0**-k for k in range(11)], rtol=1e-6)


def test_an_exception_is_shown_escaped_and_run_goes_on(make_lab) -> None:
    lab = make_lab(about={"fail_at": 3, "message": "<img src=x onerror=alert(1)>"})
    with pytest.raises(RuntimeError, match="onerror"):
        lab.run(block=True, iterations=5)
    lab.refresh()
    assert lab.state == "error" and len(lab.history) == 2
    shown = lab.view.page.error.value
    assert "ArithmeticError" in shown and "Traceback" in shown and "&lt;img src=x" in shown and "<img" not in shown
    lab.session.fail_at = None
    press(lab, "run")
    until(lambda: len(lab.history) > 4)
    lab.refresh()
    assert lab.view.page.error.value == ""


def test_the_loss_of_a_worker_is_told_for_a_while(make_lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = make_lab()
    before = {"event": "worker_restarted", "unit": 0, "iteration": 1, "message": "a worker was lost: <b>"}
    lab.session.events.append(before)
    lab.refresh()
    assert lab.view.page.error.value == "", "one from before the lab was shown"
    lab.session.events.append({**before, "iteration": 1234, "message": f"a worker was lost: <b> {'why ' * 50}"})
    lab.refresh()
    told = lab.view.page.error.value
    assert "iteration 1,234: a worker was lost and replaced, and the run goes on (&lt;b&gt; why" in told
    assert "iteration 1:" not in told and len(told) < 300
    monkeypatch.setattr(view, "LOSS_TOLD", -1.0)
    lab.session.events.append(before)
    lab.refresh()
    assert lab.view.page.error.value == ""


def test_a_finished_run_can_be_extended(make_lab) -> None:
    lab = make_lab(iterations=4)
    lab.run(block=True)
    assert lab.state == "finished" and len(lab.history) == 4
    lab.run(block=True, iterations=3)
    assert len(lab.history) == 7


def test_closing_ends_the_threads_and_disables_the_buttons(make_lab) -> None:
    lab = make_lab(about={"seconds": 0.01}, autostart=True)
    until(lambda: len(lab.history) > 0 and not lab.view.page.buttons["pause"].disabled)
    lab.close()
    assert not lab.trainer.alive and not lab.view.pump._thread.is_alive()
    assert all(button.disabled for button in lab.view.page.buttons.values())
    with pytest.raises(RuntimeError, match="closed"):
        lab.run()


def test_a_display_that_breaks_says_so_and_leaves_training_alone(make_lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab = make_lab(about={"seconds": 0.01})
    monkeypatch.setattr(lab.view.charts, "update", lambda *_: 1 / 0)
    lab.run()
    until(lambda: "the display stopped" in lab.view.page.error.value)
    reached = len(lab.history)
    until(lambda: len(lab.history) > reached)


def test_running_a_cell_again_closes_its_earlier_lab_only(make_lab, monkeypatch: pytest.MonkeyPatch) -> None:
    shell = SimpleNamespace(execution_count=1, get_parent=lambda: {"metadata": {"cellId": shell.cell}}, cell="a")
    monkeypatch.setattr(cells, "current_shell", lambda: shell)
    first, beside = make_lab(), make_lab()  # two labs of one execution live together
    shell.cell, shell.execution_count = "b", 2
    other = make_lab()
    shell.cell, shell.execution_count = "a", 3
    beside.run(block=True, iterations=4)
    again = make_lab()
    ((iterations, returns),) = again.view.charts.ghosts
    assert iterations.tolist() == [1, 2, 3, 4], "the cell's last run is grey in the charts"
    assert returns.tolist() == [row["return_mean"] for row in beside.history]
    assert [lab.state for lab in (first, beside, other, again)] == ["closed", "closed", "ready", "ready"]


def test_a_closed_lab_leaves_no_widget_open(make_lab) -> None:
    """One that is left, and holds one that is closed, ends every widget of the page when it is loaded again."""
    before = set(_instances)
    lab = make_lab()
    lab.run(block=True, iterations=2)
    lab.refresh()
    assert lab.view is not None and len(set(_instances) - before) > 200
    lab.close(keep_view=False)
    assert set(_instances) - before == set()


def test_a_view_that_is_kept_is_whole(make_lab) -> None:
    lab = make_lab()
    lab.run(block=True, iterations=1)
    before = set(_instances)
    assert lab.view is not None
    made = set(_instances) - before
    lab.close()
    assert made and made <= set(_instances)


def test_it_shows_a_widget_and_tells_its_state_as_text(make_lab) -> None:
    lab = make_lab()
    bundle = lab._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == "Lab(CartPole-v1)", "a state would be an old one when the file is read"
    assert repr(lab) == "Lab(CartPole-v1: ready, iteration 0)"


def test_texts_to_take_along_repeat_what_was_changed(make_lab) -> None:
    lab = make_lab()
    usual = resolve(lab.session.task)
    lab.controls.replace(delta=0.05, cg_iterations=usual.get("cg_iterations"))
    press(lab, "python")
    assert "trpolab.train(&#x27;CartPole-v1&#x27;, delta=0.05, iterations=1)" in lab.view.page.code.value
    press(lab, "command")
    assert "trpolab train CartPole-v1 --set delta=0.05 --set iterations=1" in lab.view.page.code.value
    press(lab, "command")
    assert lab.view.page.code.value == ""


def test_the_summary_is_a_table_and_a_picture(make_lab) -> None:
    lab = make_lab()
    assert "nothing trained yet" in str(lab.summary())
    lab.run(block=True, iterations=4)
    summary = lab.summary()
    assert ("steps accepted", "4 of 4") in summary.rows
    assert summary.png.startswith(b"\x89PNG") and "<table>" in summary._repr_html_()


def test_the_summary_tells_the_delta_that_was_used_last() -> None:
    session = Session("CartPole-v1", iterations=4, delta=0.02, delta_end=0.0, steps_per_iteration=64, out=None)
    for _ in session.iterate():
        pass
    assert ("δ in use", "0.005") in summarize(session).rows  # a quarter is left before the last of four


def test_numbers_for_people() -> None:
    assert [short(n) for n in (980, 24_500, 1_900_000)] == ["980", "24.5k", "1.9M"]
    assert [clock(s) for s in (4.2, 124, 3725)] == ["4 s", "2 min 04 s", "1 h 02 min"]


def test_a_process_that_ends_while_it_learns_ends_cleanly(tmp_path: Path) -> None:
    code = (
        "import time; from trpolab import Lab; lab = Lab('Hopper-v5', out='runs'); lab.view; lab.run()\n"
        "while not lab.history: time.sleep(0.05)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "status.json").read_text())["state"] == "stopped"


def test_what_went_wrong_in_the_last_iteration_is_in_the_header() -> None:
    row = {"outcome": "accepted", "log_std_clamped": None, "episodes_unstable": 0}
    assert remarks(row) == [] == remarks({"outcome": "accepted_after_backtrack"})
    found = remarks({"outcome": "skipped_zero_gradient", "log_std_clamped": 2, "episodes_unstable": 3})
    assert found == ["last step: skipped zero gradient", "2 log σ at a bound", "physics blew up 3 times"]

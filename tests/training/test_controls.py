"""The mailbox: requested and in use, from any thread."""

from __future__ import annotations

import threading
import time

import pytest

from trpolab.settings import ConfigError
from trpolab.simulators import find_task
from trpolab.training.config import resolve
from trpolab.training.controls import Controls


@pytest.fixture
def controls():
    task = find_task("CartPole-v1")
    return Controls(resolve(task, overrides={"delta": 0.01}), task)


def test_a_change_is_pending_until_the_loop_takes_it(controls):
    controls.replace(delta=0.02)
    assert controls.in_use.trust.delta == 0.01
    assert controls.pending == {"delta": (0.02, 0.01)}
    assert controls.take().trust.delta == 0.02
    assert controls.pending == {}


def test_a_refused_change_changes_nothing(controls):
    with pytest.raises(ConfigError, match="delta = -1"):
        controls.replace(delta=-1, gamma=0.5)
    assert controls.pending == {}


def test_what_is_not_live_applies_at_reset_only(controls):
    with pytest.raises(ConfigError, match="hidden can't change while a run goes on"):
        controls.replace(hidden=(8,))
    controls.replace(hidden=controls.requested.policy.hidden)


def test_pause_step_resume_stop(controls):
    controls.pause()
    turns = []

    def loop():
        while controls.wait_for_turn():
            turns.append(time.monotonic())
            time.sleep(0.001)

    thread = threading.Thread(target=loop)
    thread.start()
    time.sleep(0.1)
    assert not turns
    controls.step()
    wait_until(lambda: len(turns) == 1)
    time.sleep(0.1)
    assert len(turns) == 1
    controls.resume()
    wait_until(lambda: len(turns) > 5)
    controls.step()  # while running: hold, after one more at most
    time.sleep(0.1)
    seen = len(turns)
    time.sleep(0.1)
    assert len(turns) == seen
    controls.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert not controls.aborting()
    controls.stop()
    assert controls.aborting()
    controls.rearm()
    assert not controls.stopping
    assert not controls.aborting()


def test_a_thousand_changes_from_other_threads_never_mix(controls):
    """Two knobs are always turned together; the loop must never see one without the other."""
    done = threading.Event()

    def turn():
        for k in range(1, 501):
            controls.replace(delta=k / 1000, damping=k / 1000)
        done.set()

    threads = [threading.Thread(target=turn) for _ in range(2)]
    controls.replace(delta=0.001, damping=0.001)
    for thread in threads:
        thread.start()
    seen = set()
    while not done.is_set():
        config = controls.take()
        assert config.trust.delta == config.trust.damping
        seen.add(config.trust.delta)
    for thread in threads:
        thread.join()
    assert seen


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.005)


def test_going_on_withdraws_a_stop_that_was_not_obeyed_yet(controls):
    controls.stop()
    controls.resume()
    assert not controls.stopping
    assert controls.wait_for_turn()
    controls.stop()
    assert not controls.wait_for_turn()
    controls.resume()
    assert controls.stopping, "the loop has ended: only another start goes on"

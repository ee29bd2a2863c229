"""R16, R17: simulations that blow up during a run, and actions that nobody may take."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from tests.faults.points import replace
from trpolab.sampling.evaluate import play_episodes
from trpolab.selftest.physics import poisoned
from trpolab.training import loop
from trpolab.training.loop import Diverged
from trpolab.training.session import Session

SMALL = {"steps_per_iteration": 512, "slots": 8}


def blow_up(monkeypatch: pytest.MonkeyPatch, calls: set[int], slots: list[int]) -> list[int]:
    """Some slots of the first simulator that steps get an impossible state before the given steps of all."""
    count, first = [0], []

    def poisoning(honest):
        def step(self, ids, actions):
            first[:] = first or [self]
            if self is first[0]:
                count[0] += 1
                if count[0] in calls:
                    self.restore(None, poisoned(self, slots))
            return honest(self, ids, actions)

        return step

    replace("MuJoCo: step", poisoning, monkeypatch)
    return count


@pytest.mark.reliability("R16")
def test_a_run_leaves_out_what_blew_up_counts_it_and_writes_no_log(scratch: Path, monkeypatch) -> None:
    blow_up(monkeypatch, {400, 401, 402}, [1, 3])  # in the third iteration, three times in a row
    session = Session("Hopper-v5", iterations=5, **SMALL)
    batches = [iteration.batch for iteration in session.iterate()]
    unstable = [row["episodes_unstable"] for row in session.history]
    assert sum(unstable) == 6 and max(unstable) == 6
    hit = unstable.index(6)
    assert len(batches[hit].obs) == session.history[hit]["batch_steps"] - 6, "their steps are not learned from"
    assert [event["episodes"] for event in session.events if event["event"] == "sim_unstable"] == [6]
    for batch in batches:
        assert np.isfinite(batch.obs).all() and np.abs(batch.obs).max() < 1e3
    assert all(row["outcome"].startswith("accepted") for row in session.history)
    play_episodes(session.policy, "Hopper-v5", 2)
    assert [path.name for path in scratch.iterdir()] == ["runs"]
    assert not list(scratch.rglob("MUJOCO_LOG*"))


@pytest.mark.reliability("R16")
def test_physics_that_blow_up_all_the_time_end_the_run_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    blow_up(monkeypatch, set(range(200, 100_000)), [0])
    session = Session("Hopper-v5", out=None, iterations=20, **SMALL)
    with pytest.raises(
        Diverged, match=r"the physics blew up in \d+ of 512 steps of iteration \d+: the task's time step"
    ):
        session.run()
    assert session.state == "diverged"
    last = session.history[-1]
    assert last["episodes_unstable"] > loop.MOST_UNSTABLE * last["batch_steps"]


@pytest.mark.reliability("R17")
def test_a_run_reports_the_share_of_actions_that_were_clipped() -> None:
    wide = Session("Hopper-v5", out=None, iterations=1, **SMALL, **{"policy.log_std": 0.0})
    (iteration,) = wide.iterate()
    outside = np.abs(iteration.batch.actions) > 1
    assert iteration.metrics["clipped_fraction"] == pytest.approx(outside.mean())
    assert outside.mean() == pytest.approx(math.erfc(1 / math.sqrt(2)), abs=0.05)


@pytest.mark.reliability("R17")
def test_what_reaches_the_simulator_is_inside_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def noting(honest):
        return lambda self, ids, actions: taken.append(np.array(actions)) or honest(self, ids, actions)

    replace("MuJoCo: step", noting, monkeypatch)
    session = Session("Hopper-v5", out=None, iterations=1, **SMALL, **{"policy.log_std": 2.0}).run()
    assert max(np.abs(actions).max() for actions in taken) == 1.0
    assert session.history[0]["clipped_fraction"] > 0.8

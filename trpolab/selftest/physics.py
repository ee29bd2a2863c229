"""Simulators: restored, blown up, and talking nonsense."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.spaces import Box

from trpolab.selftest.expect import expect
from trpolab.simulators import Simulator, Snapshot, find_task, make, task_names
from trpolab.training.session import Session

SLOTS, STEPS = 3, 40


def restores_exactly(folder: Path) -> str:
    """Every built-in task that says it can: save, live on, come back, live on the same way again."""
    restored = [name for name in task_names() if find_task(name).can_restore]
    for name in restored:
        simulator = make(name, SLOTS)
        actions = _actions(simulator)
        simulator.reset(None, np.arange(SLOTS))
        simulator.step(None, actions[0])
        saved = simulator.snapshot(None)
        first = _trace(simulator, actions)
        _trace(simulator, actions[::-1])
        simulator.restore(None, saved)
        expect(_trace(simulator, actions) == first, f"{name}: another future after a restore")
        simulator.close()
    return f"{len(restored)} tasks, {STEPS} steps each, byte for byte"


def reports_resets(folder: Path) -> str:
    """An impossible velocity, twice in a row, among healthy slots."""
    with _silence():
        return _reports_resets()


@contextmanager
def _silence() -> Iterator[None]:
    """MuJoCo's warnings are what is asked for here: no news on the terminal."""
    log = mujoco.MjLogConfig.get()
    before, log.logto_console = log.logto_console, False
    mujoco.MjLogConfig.set(log)
    try:
        yield
    finally:
        log.logto_console = before
        mujoco.MjLogConfig.set(log)


def _reports_resets() -> str:
    simulator = make("Hopper-v5", SLOTS)
    still = np.zeros((SLOTS, 3), np.float32)
    simulator.reset(None, np.arange(SLOTS))
    for _ in range(50):
        expect(not simulator.step(None, still).unstable.any(), "a healthy step was called unstable")
        simulator.reset(None, np.arange(SLOTS))
    for time in ("first", "second"):
        state = simulator.snapshot(None)
        state.parts["state"][1, 1 + 6] = 1e12  # after the time and six positions
        simulator.restore(None, Snapshot(state.parts))
        told = simulator.step(None, still).unstable.tolist()
        expect(told == [False, True, False], f"the {time} silent reset of slot 1 was reported as {told}")
        simulator.reset(None, np.arange(SLOTS))
    expect(not mujoco.MjLogConfig.get().logto_file, "MuJoCo would write MUJOCO_LOG.TXT")
    return "two silent resets in a row reported, healthy steps not"


def skips_what_is_not_finite(folder: Path) -> str:
    """A reward that is NaN in the third of four iterations."""
    ill = [False]

    class LineTask(gymnasium.Env):
        """A walk on a line, 20 steps an episode."""

        observation_space = Box(-np.inf, np.inf, (1,), np.float64)
        action_space = Box(-1, 1, (1,), np.float32)

        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
            super().reset(seed=seed)
            self.x, self.t = self.np_random.normal(), 0
            return np.array([self.x]), {}

        def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
            self.x, self.t = self.x + float(action[0]), self.t + 1
            reward = np.nan if ill[0] and self.t == 3 else -abs(self.x)
            return np.array([self.x]), reward, False, self.t >= 20, {}

    session = Session(LineTask, out=None, iterations=4, steps_per_iteration=160, slots=4)
    learners = []
    for iteration in session.iterate():
        learners.append(iteration.learner)
        ill[0] = iteration.index == 2
    row = session.history[2]
    expect(row["outcome"] == "skipped_nonfinite", f"the iteration ended as {row['outcome']}")
    expect("non-finite reward" in row["message"], f"it was told as: {row['message']}")
    expect(learners[2] is learners[1], "something of it was learned")
    expect(session.history[3]["outcome"].startswith("accepted"), "the run did not recover")
    return str(row["message"])


def _actions(simulator: Simulator) -> np.ndarray:
    rng, space = np.random.default_rng(0), simulator.action_space
    if isinstance(space, Box):
        noise = 0.3 * rng.standard_normal((STEPS, SLOTS, *space.shape))
        return np.clip(noise, space.low, space.high).astype(np.float32)
    counts = space.n if hasattr(space, "n") else space.nvec  # type: ignore[attr-defined]
    return rng.integers(0, counts, size=(STEPS, SLOTS, *(space.shape or ())))


def _trace(simulator: Simulator, actions: np.ndarray) -> list[tuple[bytes, bytes]]:
    """What all slots give back, ends ignored: both futures ignore them alike."""
    trace = []
    for row in actions:
        result = simulator.step(None, row)
        trace.append((result.obs.tobytes(), result.reward.tobytes()))
    return trace

"""Simulators: restored, blown up, and talking nonsense."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
from gymnasium.spaces import Box, Discrete

from trpolab.sampling.batch import Batch
from trpolab.selftest.expect import expect
from trpolab.simulators import Simulator, Snapshot, find_task, make, task_names
from trpolab.simulators.mujoco.catalogue import MUJOCO_TASKS
from trpolab.simulators.mujoco.model import load_model
from trpolab.training.session import Session

Trace = list[list[tuple[bytes, float, bool, bool, bool]]]


def random_actions(simulator: Simulator, steps: int, width: int, seed: int) -> np.ndarray:
    """Actions [T, n, *A] in the sampler's dtypes; boxes get small ones, so that episodes live."""
    rng, space = np.random.default_rng(seed), simulator.action_space
    if isinstance(space, Box):
        noise = 0.3 * rng.standard_normal((steps, width, *space.shape))
        return np.clip(noise * np.minimum(space.high, 1), space.low, space.high).astype(np.float32)
    counts = space.n if isinstance(space, Discrete) else space.nvec  # type: ignore[attr-defined]
    return rng.integers(0, counts, size=(steps, width, *(space.shape or ())))


def trace(simulator: Simulator, slots: np.ndarray, actions: np.ndarray) -> Trace:
    """Step the slots with actions [T, n, *A]; per slot what came back, up to the end of its episode."""
    traced: Trace = [[] for _ in slots]
    alive = np.arange(len(slots))
    for row in actions:
        if not len(alive):
            break
        whole = len(alive) == simulator.width
        result = simulator.step(None if whole else slots[alive], row[alive])
        ends = np.stack([result.terminated, result.truncated, result.unstable], axis=1)
        for n, which in enumerate(alive):
            traced[which].append((result.obs[n].tobytes(), float(result.reward[n]), *ends[n].tolist()))
        alive = alive[~ends.any(axis=1)]
    return traced


def unfinished(traced: Trace) -> np.ndarray:
    """Which of the traced episodes have not ended."""
    return np.array([n for n, part in enumerate(traced) if not (part and any(part[-1][2:]))], dtype=np.int64)


def restores_exactly(folder: Path, tasks: Iterable[Any] | None = None, oldest: int = 12) -> str:
    """Every built-in task that says it can: save, live on, come back, live on the same way, here and elsewhere."""
    restored = [name for name in (tasks or task_names()) if find_task(name).can_restore]
    for name in restored:
        simulator, other, slots, age = make(name, 2), make(name, 3), np.array([0, 2]), oldest
        before, after, elsewhere = (random_actions(simulator, 20, 2, seed) for seed in (4, 5, 6))
        other.reset(slots, slots)
        trace(other, slots, elsewhere[:9])
        lived = np.arange(0)
        while not len(lived):  # episodes that are over by then are saved earlier
            simulator.reset(None, np.array([41, 42]))
            lived = unfinished(trace(simulator, np.arange(2), before[:age]))
            age //= 2
        saved = simulator.snapshot(lived)
        future = trace(simulator, lived, after[:, lived])
        simulator.restore(lived, saved)
        trace(simulator, lived, elsewhere[:, lived])
        simulator.restore(lived, saved)
        expect(trace(simulator, lived, after[:, lived]) == future, f"{name}: another future after a restore")
        slots = slots[: len(lived)]
        other.restore(slots, saved.take(slice(None, None, -1)))
        found = trace(other, slots, after[:, lived[::-1]])
        expect(found == future[::-1], f"{name}: another future in another simulator")
        simulator.close()
        other.close()
    return f"{len(restored)} tasks, byte for byte"


def reports_resets(folder: Path, task: str = "Hopper-v5", steps: int = 50) -> str:
    """An impossible velocity, twice in a row, among healthy slots; `steps` healthy steps before it."""
    with _silence():
        simulator = make(task, 3)
        still = np.zeros((3, *(simulator.action_space.shape or ())), np.float32)
        for step in range(steps):
            if step % 5 == 0:
                simulator.reset(None, np.arange(3) + step)
            expect(not simulator.step(None, still).unstable.any(), "a healthy step was called unstable")
        simulator.reset(None, np.arange(3))
        for time in ("first", "second"):  # MuJoCo's counter reads 1 both times
            simulator.restore(None, poisoned(simulator, [1]))
            result = simulator.step(None, still)
            told = result.unstable.tolist()
            expect(told == [False, True, False], f"the {time} silent reset of slot 1 was reported as {told}")
            expect(not (result.terminated[1] or result.truncated.any()), "a silent reset was called an end")
        expect(not simulator.step(None, still).unstable.any(), "a reset was reported a second time")
    expect(not mujoco.MjLogConfig.get().logto_file, "MuJoCo would write MUJOCO_LOG.TXT")
    return "two silent resets in a row reported, healthy steps not"


def poisoned(simulator: Simulator, slots: list[int]) -> Snapshot:
    """The present state with an impossible velocity in some slots: MuJoCo resets these in the next step."""
    model, saved = load_model(MUJOCO_TASKS[simulator.task].file), simulator.snapshot(None)
    saved.parts["state"][slots, 1 + model.nq] = 1e12  # after the time and the positions
    return saved


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


class LineWalk(gymnasium.Env):
    """A walk on a line, 20 steps an episode; `spoil(env, obs, reward)` may change what a step gives back."""

    observation_space = Box(-np.inf, np.inf, (2,), np.float64)
    action_space = Box(-1, 1, (1,), np.float32)

    def __init__(self, spoil: Callable[[LineWalk, np.ndarray, float], tuple[np.ndarray, float]] | None = None):
        self.spoil = spoil or (lambda env, obs, reward: (obs, reward))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self.x, self.t = self.np_random.normal(), 0
        return self.obs(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self.t += 1
        self.x += float(action[0])
        obs, reward = self.spoil(self, self.obs(), -abs(self.x))
        return obs, reward, False, self.t >= 20, {}

    def obs(self) -> np.ndarray:
        return np.array([self.x, self.t / 20])


class Switch:
    """Spoils the third observation or reward of an episode with `value` while it is on."""

    def __init__(self, field: str = "reward", value: float = np.nan):
        self.field, self.value, self.on = field, value, False

    def __call__(self, env: LineWalk, obs: np.ndarray, reward: float) -> tuple[np.ndarray, float]:
        if not self.on or env.t != 3:
            return obs, reward
        return (obs, self.value) if self.field == "reward" else (np.array([obs[0], self.value]), reward)

    def task(self) -> Callable[[], LineWalk]:
        """A task whose environments all listen to this switch."""
        return partial(LineWalk, self)


def skips_what_is_not_finite(folder: Path, field: str = "reward", value: float = np.nan, **settings: Any) -> str:
    """A reward that is NaN in the third of four iterations."""
    switch = Switch(field, value)
    session = Session(switch.task(), out=None, iterations=4, steps_per_iteration=160, slots=4, **settings)
    done = []
    for iteration in session.iterate():
        done.append(iteration)
        switch.on = iteration.index == 2
    row = session.history[2]
    expect(row["outcome"] == "skipped_nonfinite", f"the iteration ended as {row['outcome']}")
    expect(f": non-finite {field}" in row["message"], f"it was told as: {row['message']}")
    expect(row["message"].startswith("slot ") and row["kl_mean"] is None, f"not told by its slot: {row['message']}")
    expect(done[2].learner is done[1].learner, "something of it was learned")
    expect(session.history[3]["outcome"].startswith("accepted"), "the run did not recover")
    batch = done[3].batch
    assert isinstance(batch, Batch)
    firsts = [int(batch.t[batch.path == path][0]) for path in np.unique(batch.path)]
    expect(not any(firsts), "the next iteration goes on with the spoiled episodes")
    return str(row["message"])

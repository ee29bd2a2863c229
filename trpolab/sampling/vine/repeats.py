"""A running vine's check of its own ground: pieces of trunks, replayed from the states that were saved on them."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from trpolab.policies.frames import Frames
from trpolab.sampling.play import Begun, Interrupt, Play, quietly
from trpolab.sampling.trajectories import Trajectories
from trpolab.sampling.vine.trunks import RolloutSet
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.simulators.base import Simulator

Difference = tuple[int, str, Any, Any]  # time step of its episode, field, value now, value then
Made = dict[str, np.ndarray]  # by field, of each of the trunks' N steps: actions, and what came of them


def other_future(
    pool: SimulatorPool,
    trunks: Trajectories,
    roots: RolloutSet,
    length: int,
    horizon: int,
    interrupt: Interrupt,
    scaled: bool,
) -> tuple[str, int]:
    """Go on once more from the roots, at most `horizon` steps, as trunks of `length` steps each did.

    `scaled`: actions are in units of the task's bounds.

    Returns a sentence with task, step and field of the first difference, or "", and how many steps it took.
    """
    ends, over = trunks.start[1:] - 1, np.zeros(len(trunks), bool)
    after = np.roll(trunks.obs.pixels().numpy() if isinstance(trunks.obs, Frames) else trunks.obs, -1, axis=0)
    after[ends], over[ends] = trunks.last_obs, trunks.terminated
    made = {"actions": trunks.actions, "reward": trunks.rewards, "observation": after, "end": over}
    first = roots.trunk * length + roots.step
    left = np.minimum(trunks.start[np.searchsorted(trunks.start, first, side="right")] - first, horizon)
    unit = partial(_replay, roots=roots, first=first, left=left, made=made, scaled=scaled)
    shares = np.array_split(np.arange(len(roots)), len(pool))
    blocks = pool.map(unit, shares, interrupt=interrupt)
    found, steps = [each for block, _ in blocks for each in block], sum(taken for _, taken in blocks)
    if not found:
        return "", steps
    step, field, now, then = min(found, key=lambda each: each[0])
    return (
        f"{pool.task.name} does not repeat itself from a saved state, as the branches of a vine must: at step {step} "
        f"of an episode the {field} is {now} when it is replayed, and was {then}; use sampler = 'single-path'"
    ), steps


class _Again:
    """Pieces of trunks, each from its saved state: of state r, left[r] steps from step first[r] of all N on."""

    def __init__(self, simulator: Simulator, roots: RolloutSet, rows: np.ndarray, left: np.ndarray, actions: Any):
        self._simulator, self._roots, self._rows, self._left, self._actions = simulator, roots, rows, left, actions
        self._begun = 0

    def begin(self, free: np.ndarray, play: Play) -> Begun | None:
        """The next pieces, on the noise that was saved."""
        rows = self._rows[self._begun : self._begun + len(free)]
        self._begun += len(rows)
        if not len(rows):
            return None
        obs = self._simulator.restore(free[: len(rows)], self._roots.snapshot.take(rows))
        return Begun(rows, obs, cut_at=self._left[rows])

    def actions(self, parameters: np.ndarray, play: Play) -> np.ndarray:
        """Those that were taken then."""
        return self._actions(play)

    def called(self, row: int, play: Play) -> str:
        """By its state, and its age."""
        return f"replay from state {play.names[row]}, step {play.ages[row]}"


@quietly
def _replay(
    simulator: Simulator,
    rows: np.ndarray,
    *,
    roots: RolloutSet,
    first: Any,
    left: Any,
    made: Made,
    scaled: bool,
    interrupt: Interrupt,
) -> tuple[list[Difference], int]:
    """Work unit: replay the pieces of some roots up to the first differences from what was made then; counts steps."""
    starter = _Again(simulator, roots, rows, left, lambda play: made["actions"][first[play.names] + play.ages])

    def unread(obs: np.ndarray) -> np.ndarray:
        return np.zeros((len(obs), 1), np.float32)

    play = Play(simulator, unread, starter, interrupt, checks=False, scaled=scaled)
    found: list[Difference] = []
    while play.fill() and not found:
        names, ages = play.names, play.ages
        result = play.step().result
        end = result.terminated | (result.truncated & (ages + 1 < left[names]))
        seen = {"reward": result.reward, "observation": play.obs.astype(made["observation"].dtype), "end": end}
        for field, now in seen.items():
            then = made[field][first[names] + ages]
            other = np.argwhere((now != then) & ~((now != now) & (then != then)))  # NaN repeats itself
            found += [
                (int(roots.t[names[at[0]]] + ages[at[0]]), field, now[*at].item(), then[*at].item()) for at in other
            ]
    return found, play.sim_steps

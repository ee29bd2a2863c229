"""MuJoCo tasks on `mujoco.batch.Batch`: a thread pool in C++ steps all slots, NumPy turns states into rewards.

A slot is a row of MuJoCo's full integration state (time, positions, velocities, the solver's warm start, controls), so
a snapshot is a copy of rows and a restore is exact. What a task reads from one call before (Ant's and Humanoid's place,
observed contact forces) is not in that row; a snapshot carries it beside it.
"""

from __future__ import annotations

from collections.abc import Iterable

import mujoco
import numpy as np
from gymnasium.spaces import Box
from mujoco.batch import Batch, SimulationError

from trpolab.simulators.base import Scene, Snapshot, Task, TaskSimulator, Transition, refuse_misfit
from trpolab.simulators.mujoco.catalogue import MujocoTask
from trpolab.simulators.mujoco.model import body_poses, load_model, make_scene
from trpolab.simulators.mujoco.state_rows import Rows

# MuJoCo resets a simulation in mid-step when one of these is bad, and goes on as if nothing had happened.
_RESETTING = slice(int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADQACC) + 1)


class MujocoSimulator(TaskSimulator):
    """W slots of a MuJoCo task (see `Simulator`). Arrays that it returns are valid until its next call."""

    def __init__(self, about: MujocoTask, slots: int, threads: int = 1):
        super().__init__(describe(about), slots)
        self._about, self._meaning, self._model = about, about.meaning, load_model(about.file)
        self._scratch = mujoco.MjData(self._model)
        layout = about.meaning.layout
        # Only a persistent batch keeps the whole MjData that contact forces are computed from.
        self._batch = Batch(self._model, slots, threads, persistent=layout.contact_forces)
        self._batch.reset(stage=int(mujoco.mjtStage.mjSTAGE_NONE))
        self._start = self._batch.state[0].copy()
        self._derived = {name: self._batch.bind(name) for name in layout.derived}
        if layout.contact_forces:
            self._derived["cfrc_ext"] = np.zeros((slots, self._model.nbody, 6))
        self._warnings = self._batch.warning  # [W, kinds, 2]: last info, count
        self._steps = np.zeros(slots, np.int64)
        self._one, self._limit = np.ones(slots, np.int64), np.full(slots, about.time_limit)
        # A decision takes the time of all its substeps, unless MuJoCo has reset the simulation on the way.
        self._least = np.full(slots, (about.frame_skip - 0.5) * self._model.opt.timestep)
        self._all = self._rows(self._batch.state, self._batch.bind("ctrl"), self._derived, np.zeros(slots))
        self._some: Rows | None = None
        flags = np.zeros((2, slots), bool)
        self._transition = Transition(self._all.obs, self._all.reward, self._all.terminated, flags[0], flags[1])

    @property
    def scene(self) -> Scene | None:
        """The model's geometry."""
        seconds = self._about.frame_skip * self._model.opt.timestep
        return make_scene(self._model, self._about.view, self._about.follow, seconds)

    def reset(self, slots: np.ndarray | None, seeds: np.ndarray) -> np.ndarray:
        """Start new episodes from the states that Gymnasium's environment draws from the same seeds. Obs [n, O]."""
        self._refuse_seeds(slots, seeds)
        ids = self._ids(slots)
        states = np.tile(self._start, (len(ids), 1))
        split, end = 1 + self._model.nq, 1 + self._model.nq + self._model.nv
        for state, seed in zip(states, seeds, strict=True):
            state[1:split], state[split:end] = self._about.starts(np.random.default_rng(int(seed)), self._model)
        self._batch.state[ids] = states
        self._warnings[ids] = 0
        self._steps[ids] = 0
        if self._derived:
            self._batch.forward(ids)
        if self._meaning.layout.contact_forces:
            self._derived["cfrc_ext"][ids] = 0  # `mj_forward` leaves them at the zeros of the reset
        rows = self._gather(ids)
        self._meaning.start(rows)
        self._meaning.observe(rows)
        self._all.mark[ids], self._all.obs[ids] = rows.mark, rows.obs
        return rows.obs

    def step(self, slots: np.ndarray | None, actions: np.ndarray) -> Transition:
        """Advance by one decision (frame_skip substeps) with actions [n, A], which are not clipped here."""
        refuse_misfit(self.action_space, actions, self._count(slots))
        if slots is None or len(slots) == self.width:
            return self._step_all(np.ascontiguousarray(actions))
        return self._step_some(np.asarray(slots), np.ascontiguousarray(actions))

    def snapshot(self, slots: np.ndarray | None) -> Snapshot:
        """State rows, step counters, observations, and the places that a task remembers."""
        ids = self._ids(slots)
        parts = {"state": self._batch.state, "steps": self._steps, "obs": self._all.obs, "mark": self._all.mark}
        return Snapshot({name: part[ids] for name, part in parts.items()})

    def restore(self, slots: np.ndarray | None, snapshot: Snapshot, seeds: np.ndarray | None = None) -> np.ndarray:
        """Copy saved rows into the slots. These tasks draw nothing after the start, so `seeds` change nothing."""
        self._refuse_states(slots, snapshot, self._batch.nstate)
        ids, parts = self._ids(slots), snapshot.parts
        self._batch.state[ids] = parts["state"]
        self._warnings[ids] = 0
        self._steps[ids], self._all.mark[ids], self._all.obs[ids] = parts["steps"], parts["mark"], parts["obs"]
        return self._all.obs[ids]

    def poses(self, slots: np.ndarray | None) -> np.ndarray:
        """World poses [n, bodies, 7] of the present states, the world's own included."""
        return body_poses(self._model, self._scratch, self._all.qpos[self._ids(slots)])

    def _step_all(self, actions: np.ndarray) -> Transition:
        rows, result = self._all, self._transition
        rows.ctrl[...] = actions
        rows.remember()
        self._advance(None)
        rows.look()
        self._meaning.observe(rows)
        self._meaning.judge(rows, actions)
        np.add(self._steps, self._one, out=self._steps)
        np.greater_equal(self._steps, self._limit, out=result.truncated)
        np.less(rows.elapsed, self._least, out=result.unstable)
        if np.count_nonzero(self._warnings) or np.count_nonzero(result.unstable):
            self._blame(slice(None), result)
        return result

    def _step_some(self, slots: np.ndarray, actions: np.ndarray) -> Transition:
        self._all.ctrl[slots] = actions
        self._all.remember()
        self._advance(slots)
        rows = self._gather(slots)
        np.take(self._all.before, slots, axis=1, out=rows.before, mode="clip")
        rows.look()
        self._meaning.observe(rows)
        self._meaning.judge(rows, actions)
        self._all.obs[slots], self._all.mark[slots] = rows.obs, rows.mark
        steps = self._steps[slots] + 1
        self._steps[slots] = steps
        unstable = rows.elapsed < self._least[0]
        result = Transition(rows.obs, rows.reward, rows.terminated, steps >= self._limit[0], unstable)
        if np.count_nonzero(self._warnings[slots]) or np.count_nonzero(unstable):
            self._blame(slots, result)
        return result

    def _advance(self, slots: np.ndarray | None) -> None:
        try:
            self._batch.step(slots, nstep=self._about.frame_skip)
        except SimulationError as failure:
            # The failed slots stay where they were, and the others have finished. A clock that stands still reports its
            # slot as unstable; make sure that it does, even if MuJoCo left something half done.
            self._all.clock[0, failure.ids] = self._all.before[0, failure.ids]
        if self._meaning.layout.contact_forces:
            self._compute_contact_forces(range(self.width) if slots is None else slots.tolist())

    def _compute_contact_forces(self, slots: Iterable[int]) -> None:
        """Fill derived["cfrc_ext"] as Gymnasium does: from the MjData that the last substep leaves."""
        for slot in slots:
            self._batch.get_data(slot, self._scratch)
            mujoco.mj_rnePostConstraint(self._model, self._scratch)
            self._derived["cfrc_ext"][slot] = self._scratch.cfrc_ext

    def _blame(self, slots: np.ndarray | slice, result: Transition) -> None:
        """Mark the slots that MuJoCo has reset, and forget the warnings: the next reset sets the same count to 1."""
        np.logical_or(result.unstable, self._warnings[slots, _RESETTING, 1].any(axis=1), out=result.unstable)
        self._warnings[slots] = 0
        np.logical_and(result.terminated, ~result.unstable, out=result.terminated)
        np.logical_and(result.truncated, ~result.unstable, out=result.truncated)

    def _gather(self, ids: np.ndarray) -> Rows:
        """Copies of some rows. Buffers are kept for the next call that names as many."""
        rows, whole = self._some, self._all
        if rows is None or len(rows.mark) != len(ids):
            derived = {name: part[ids] for name, part in self._derived.items()}
            rows = self._some = self._rows(whole.state[ids], whole.ctrl[ids], derived, whole.mark[ids])
            return rows
        pairs = [(whole.state, rows.state), (whole.ctrl, rows.ctrl), (whole.mark, rows.mark)]
        pairs += [(self._derived[name], part) for name, part in rows.derived.items()]
        for source, copy in pairs:
            np.take(source, ids, axis=0, out=copy, mode="clip")  # the ids are good; "raise" would buffer
        return rows

    def _rows(self, state: np.ndarray, ctrl: np.ndarray, derived: dict[str, np.ndarray], mark: np.ndarray) -> Rows:
        return Rows(self._model, self._meaning.layout, state, ctrl, derived, mark)


def describe(about: MujocoTask) -> Task:
    """The task that simulators of `about` run: float64 observations, float32 actions in the actuators' ranges."""
    low, high = load_model(about.file).actuator_ctrlrange.astype(np.float32).T
    return Task(
        name=about.name,
        observation_space=Box(-np.inf, np.inf, (about.meaning.layout.size,), np.float64),
        action_space=Box(low, high, dtype=np.float32),
        time_limit=about.time_limit,
        can_restore=True,
        proven=True,
        defaults=about.defaults,
        paper_defaults=about.paper_defaults,
        block=32,
    )

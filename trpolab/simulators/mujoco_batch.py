"""MuJoCo tasks on `mujoco.batch.Batch`: a thread pool in C++ steps all slots, NumPy turns states into rewards.

A slot is a row of MuJoCo's full integration state (time, positions, velocities, the solver's warm start, controls), so
a snapshot is a copy of rows and a restore is exact.
"""

from __future__ import annotations

import contextlib

import mujoco
import numpy as np
from gymnasium.spaces import Box
from mujoco.batch import Batch, SimulationError

from trpolab.simulators.base import Scene, Snapshot, Task, Transition
from trpolab.simulators.mujoco_model import body_poses, load_model, make_scene
from trpolab.simulators.mujoco_tasks import MujocoTask, Rows

# MuJoCo resets a simulation in mid-step when one of these is bad, and goes on as if nothing had happened.
_RESETTING = slice(int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADQACC) + 1)


def spaces(task: MujocoTask) -> tuple[Box, Box]:
    """Observation space (float64, unbounded) and action space (float32, the actuators' ranges) of one slot."""
    model = load_model(task.file)
    low, high = model.actuator_ctrlrange.astype(np.float32).T
    return Box(-np.inf, np.inf, (task.meaning.size(model),), np.float64), Box(low, high, dtype=np.float32)


class MujocoSimulator:
    """W slots of a MuJoCo task (see `Simulator`). Arrays of `step(None, ...)` are valid until the next call."""

    can_restore = True
    restore_reason = ""

    def __init__(self, task: MujocoTask, slots: int, threads: int = 1):
        self.task = task.name
        self.width = slots
        self.time_limit = task.time_limit
        self.observation_space, self.action_space = spaces(task)
        self._about, self._meaning, self._model = task, task.meaning, load_model(task.file)
        # Only a persistent batch keeps the whole MjData that contact forces are computed from.
        self._batch = Batch(self._model, slots, threads, persistent=task.meaning.contact_forces)
        self._scratch = mujoco.MjData(self._model)
        self._derived = {name: self._batch.bind(name) for name in task.meaning.derived}
        if task.meaning.contact_forces:
            self._derived["cfrc_ext"] = np.zeros((slots, self._model.nbody, 6))
        self._batch.reset(stage=mujoco.mjtStage.mjSTAGE_NONE)
        self._start = self._batch.state[0].copy()
        self._ctrl = self._batch.bind("ctrl")
        self._steps = np.zeros(slots, np.int64)
        self._mark = np.zeros(slots)
        self._warnings = self._batch.warning
        # A decision advances the time by exactly its substeps, unless MuJoCo has reset the simulation on the way.
        self._least_time = (task.frame_skip - 0.5) * self._model.opt.timestep
        self._all = self._rows(self._batch.state, self._derived, self._mark)
        self._whole = Transition(
            self._all.obs, self._all.reward, self._all.terminated, np.zeros(slots, bool), np.zeros(slots, bool)
        )

    @property
    def scene(self) -> Scene:
        """The model's geometry."""
        seconds = self._about.frame_skip * self._model.opt.timestep
        return make_scene(self._model, self._about.view, self._about.follow, seconds)

    def reset(self, slots: np.ndarray | None, seeds: np.ndarray) -> np.ndarray:
        """Start new episodes from the state that Gymnasium's environment draws from the same seed. Obs [n, O]."""
        ids = self._ids(slots)
        if len(seeds) != len(ids):
            raise ValueError(f"reset of {len(ids)} slots needs as many seeds, got {len(seeds)}")
        rows = np.tile(self._start, (len(ids), 1))
        split = 1 + self._model.nq
        for row, seed in zip(rows, seeds, strict=True):
            row[1:split], row[split : split + self._model.nv] = self._about.starts.draw(generator(seed), self._model)
        return self._enter(ids, rows, np.zeros(len(ids), np.int64))

    def step(self, slots: np.ndarray | None, actions: np.ndarray) -> Transition:
        """Advance by one decision (frame_skip substeps) with actions [n, A]; controls are not clipped here."""
        if slots is None or len(slots) == self.width:
            return self._step_all(np.ascontiguousarray(actions))
        return self._step_some(slots, np.ascontiguousarray(actions))

    def snapshot(self, slots: np.ndarray | None) -> Snapshot:
        """State rows, step counters, the observation, and the remembered place of tasks that need one."""
        ids = self._ids(slots)
        parts = {"state": self._batch.state, "steps": self._steps, "obs": self._all.obs, "mark": self._mark}
        return Snapshot({name: part[ids] for name, part in parts.items()})

    def restore(self, slots: np.ndarray | None, snapshot: Snapshot, seeds: np.ndarray | None = None) -> np.ndarray:
        """Copy saved rows into the slots. These tasks draw nothing after the start, so `seeds` change nothing."""
        ids, parts = self._ids(slots), snapshot.parts
        expected = (len(ids), self._batch.nstate)
        if "state" not in parts or parts["state"].shape != expected:
            got = parts["state"].shape if "state" in parts else sorted(parts)
            raise ValueError(f"{self.task}: a snapshot of {len(ids)} slots has states {expected}, got {got}")
        self._batch.state[ids] = parts["state"]
        self._warnings[ids] = 0
        self._steps[ids], self._mark[ids], self._all.obs[ids] = parts["steps"], parts["mark"], parts["obs"]
        return self._all.obs if slots is None else self._all.obs[ids]

    def poses(self, slots: np.ndarray | None) -> np.ndarray:
        """World poses [n, bodies, 7] of the present states, the world's own included."""
        return body_poses(self._model, self._scratch, self._all.qpos[self._ids(slots)])

    def close(self) -> None:
        """Nothing to give back: memory and threads go with the object."""

    def _step_all(self, actions: np.ndarray) -> Transition:
        rows, result = self._all, self._whole
        np.copyto(self._ctrl, actions)
        np.copyto(rows.before, rows.state[:, :2])
        self._advance(None)
        np.subtract(rows.state[:, :2], rows.before, out=rows.change)
        self._meaning.observe(rows)
        self._meaning.judge(rows, actions)
        self._steps += 1
        np.greater_equal(self._steps, self.time_limit, out=result.truncated)
        np.less(rows.change[:, 0], self._least_time, out=result.unstable)
        if self._warnings.any() or result.unstable.any():
            self._blame(slice(None), result)
        return result

    def _step_some(self, slots: np.ndarray, actions: np.ndarray) -> Transition:
        before = self._batch.state[slots, :2]
        self._ctrl[slots] = actions
        self._advance(slots)
        rows = self._rows(
            self._batch.state[slots], {name: part[slots] for name, part in self._derived.items()}, self._mark[slots]
        )
        np.subtract(rows.state[:, :2], before, out=rows.change)
        self._meaning.observe(rows)
        self._meaning.judge(rows, actions)
        self._all.obs[slots], self._mark[slots] = rows.obs, rows.mark
        steps = self._steps[slots] + 1
        self._steps[slots] = steps
        unstable = rows.change[:, 0] < self._least_time
        result = Transition(rows.obs, rows.reward, rows.terminated, steps >= self.time_limit, unstable)
        if self._warnings[slots].any() or unstable.any():
            self._blame(slots, result)
        return result

    def _advance(self, slots: np.ndarray | None) -> None:
        # An error inside MuJoCo leaves the failed slots where they were while the others finish: their clocks have not
        # moved, which reports them as unstable.
        with contextlib.suppress(SimulationError):
            self._batch.step(slots, nstep=self._about.frame_skip)
        if self._meaning.contact_forces:
            self._compute_contact_forces(range(self.width) if slots is None else slots)

    def _compute_contact_forces(self, slots: range | np.ndarray) -> None:
        """Fill derived["cfrc_ext"]: like Gymnasium, from the MjData as the last substep left it."""
        for slot in slots:
            self._batch.get_data(int(slot), self._scratch)
            mujoco.mj_rnePostConstraint(self._model, self._scratch)
            self._derived["cfrc_ext"][slot] = self._scratch.cfrc_ext

    def _blame(self, slots: np.ndarray | slice, result: Transition) -> None:
        """Mark the slots that MuJoCo has reset, and forget the warnings: the next reset sets the same counter to 1."""
        np.logical_or(result.unstable, self._warnings[slots, _RESETTING, 1].any(axis=1), out=result.unstable)
        self._warnings[slots] = 0
        np.logical_and(result.terminated, ~result.unstable, out=result.terminated)
        np.logical_and(result.truncated, ~result.unstable, out=result.truncated)

    def _enter(self, ids: np.ndarray, states: np.ndarray, steps: np.ndarray) -> np.ndarray:
        """Put the slots into new episodes that start in the given state rows; their observations [n, O]."""
        self._batch.state[ids] = states
        self._warnings[ids] = 0
        self._steps[ids] = steps
        if self._derived:
            self._batch.forward(ids)
        if self._meaning.contact_forces:
            self._derived["cfrc_ext"][ids] = 0  # mj_forward computes none
        rows = self._rows(states, {name: part[ids] for name, part in self._derived.items()}, self._mark[ids])
        self._meaning.start(rows)
        self._meaning.observe(rows)
        self._mark[ids], self._all.obs[ids] = rows.mark, rows.obs
        return rows.obs

    def _rows(self, state: np.ndarray, derived: dict[str, np.ndarray], mark: np.ndarray) -> Rows:
        n, nq, nv = len(state), self._model.nq, self._model.nv
        bounds = self._meaning.bounds
        tests = 0 if bounds is None else len(bounds.low)
        return Rows(
            state=state,
            qpos=state[:, 1 : 1 + nq],
            qvel=state[:, 1 + nq : 1 + nq + nv],
            derived=derived,
            mark=mark,
            before=np.empty((n, 2)),
            change=np.empty((n, 2)),
            obs=np.empty((n, self.observation_space.shape[0])),
            reward=np.empty(n),
            terminated=np.zeros(n, bool),
            healthy=np.empty(n, bool),
            inside=np.empty((n, tests), bool),
            below=np.empty((n, tests), bool),
        )

    def _ids(self, slots: np.ndarray | None) -> np.ndarray:
        return np.arange(self.width) if slots is None else np.asarray(slots)


def generator(seed: int) -> np.random.Generator:
    """Gymnasium's `np_random` of an environment that was reset with this seed."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(int(seed))))


def describe(about: MujocoTask) -> Task:
    """The task that simulators of `about` run."""
    observations, actions = spaces(about)
    return Task(
        name=about.name,
        observation_space=observations,
        action_space=actions,
        time_limit=about.time_limit,
        can_restore=True,
        defaults=about.defaults,
        paper_defaults=about.paper_defaults,
        block=16,
    )

"""What every simulator offers: slots that reset, step, snapshot and restore.

A simulator holds W slots. Every call names the slots it touches, and no slot resets by itself: the sampler does it.

Arrays that `reset`, `step` and `restore` return may be views of the simulator's own buffers: they are valid until its
next call. Copy what is to be kept. A `Snapshot` owns its arrays. A simulator is used by one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box

from trpolab.settings import PlainError

CALLABLE = "callable"  # of a fingerprint: what the environments were made by, where that was no id
VERDICT = "cannot be restored"  # what a run adds: why its environments could not be, as it found


class UnknownTask(PlainError):
    """What was given is no task; the message has the nearest names, or says what was given instead."""


class UnsupportedSpace(PlainError):
    """The task's observations or actions are of a kind that no policy here can take; the message quotes the space."""


class AnswerError(PlainError):
    """An environment's `reset` or `step` gave what it must not; the message says which, what came and what is due."""


class SnapshotUnsupported(PlainError):
    """This simulator cannot be restored exactly; the message says why."""


class PictureError(PlainError):
    """A task draws no picture of itself; the message says why."""


@dataclass(frozen=True)
class Transition:
    """One step of n slots.

    A slot that blew up (`unstable`) has no meaningful observation or reward, and neither terminates nor is truncated:
    its episode is cut before this step. It must be reset or restored before it goes on.
    """

    obs: np.ndarray  # [n, *O] the true next state, never the state after a reset
    reward: np.ndarray  # [n] float64
    terminated: np.ndarray  # [n] bool: the task ended
    truncated: np.ndarray  # [n] bool: the time limit cut the episode
    unstable: np.ndarray  # [n] bool: the physics blew up, and the engine reset it without an error


@dataclass(frozen=True)
class Snapshot:
    """Everything the future of n slots depends on: named arrays with n rows each.

    Rows of dtype `object` hold copies of Python environments.
    """

    parts: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(next(iter(self.parts.values())))

    def take(self, rows: Any) -> Snapshot:
        """The snapshot of the given rows (an index array, a slice or a mask)."""
        return Snapshot({name: part[rows] for name, part in self.parts.items()})

    def repeat(self, count: int) -> Snapshot:
        """Each row `count` times in succession: N states become N * count branches."""
        return Snapshot({name: np.repeat(part, count, axis=0) for name, part in self.parts.items()})

    @staticmethod
    def concatenate(snapshots: Sequence[Snapshot]) -> Snapshot:
        """Rows of several snapshots of one task, in order."""
        names = snapshots[0].parts
        return Snapshot({name: np.concatenate([s.parts[name] for s in snapshots]) for name in names})


@dataclass(frozen=True)
class Scene:
    """What a player needs to draw a task: geometry once, then one pose per body and frame."""

    bodies: tuple[str, ...]
    geoms: tuple[dict[str, Any], ...]  # type, size, rgba, body (index), pos [3], quat [4], all plain numbers
    view: str = "xz"  # the plane a flat picture shows
    follow: int | None = None  # the body that the camera follows
    seconds: float = 0.02  # of the task's own time between two frames: one decision
    flat: bool = False  # everything happens in that plane: there is nothing to see from elsewhere


def geom(kind: str, size: list[float], rgba: list[float], body: int, pos: list[float], quat: Any = None) -> dict:
    """A shape of a scene, in the frame of the body with this index."""
    upright = [1.0, 0.0, 0.0, 0.0]
    return {"type": kind, "size": size, "rgba": rgba, "body": body, "pos": pos, "quat": quat or upright}


def refuse_misfit(space: Space, actions: np.ndarray, count: int) -> None:
    """Raise ValueError unless `actions` are `count` rows of this space, of its kind of number; values are not read.

    NumPy would broadcast another shape and round another kind of number without an error.
    """
    wanted = space.shape or ()
    kinds = "f" if isinstance(space, Box) else "iu"
    if actions.shape != (count, *wanted) or actions.dtype.kind not in kinds:
        kind = "floats" if kinds == "f" else "whole numbers"
        raise ValueError(
            f"actions are {actions.dtype} {list(actions.shape)}: must be {kind} {[count, *wanted]} for {space}"
        )


class Simulator(Protocol):
    """W slots of one task. `slots` is a sorted, unique integer array, or None for all slots in order."""

    task: str
    width: int
    observation_space: Space  # of one slot
    action_space: Space  # of one slot
    time_limit: int | None
    can_restore: bool
    restore_reason: str  # why not, when `can_restore` is False; else ""
    stacks_frames: bool = False  # observations are stacks of the last frames, oldest first, of which each is kept once

    @property
    def scene(self) -> Scene | None:
        """What a player draws; None when there is nothing to draw."""
        return None

    def reset(self, slots: np.ndarray | None, seeds: np.ndarray) -> np.ndarray:
        """Start new episodes; `seeds` [n] are non-negative integers. Returns obs [n, *O]."""
        ...

    def step(self, slots: np.ndarray | None, actions: np.ndarray) -> Transition:
        """Advance by one decision with actions [n, *A], taken as they are (the sampler clips).

        Raises ValueError for another shape or kind of number.
        """
        ...

    def snapshot(self, slots: np.ndarray | None) -> Snapshot:
        """Raises SnapshotUnsupported where the future could not be restored bit for bit."""
        ...

    def restore(self, slots: np.ndarray | None, snapshot: Snapshot, seeds: np.ndarray | None = None) -> np.ndarray:
        """Make the slots' future the saved future; with seeds [n], the task's own noise is drawn anew.

        Returns obs [n, *O] of the restored states.
        """
        ...

    def poses(self, slots: np.ndarray | None) -> np.ndarray:
        """World poses for drawing: [n, bodies, 7] position and quaternion (w first), in `scene.bodies` order."""
        return np.zeros((self.width if slots is None else len(slots), 0, 7))

    def close(self) -> None:
        """Give back what is held; memory and threads go with the object."""
        return


@runtime_checkable
class Replayable(Protocol):
    """A simulator whose states can't be written to a file, but whose episodes can be replayed from their start."""

    def past(self) -> dict[str, np.ndarray]:
        """Plain arrays from which `relive` replays every slot, with the `steps` [W] that each takes.

        Raises SnapshotUnsupported with the reason.
        """
        ...

    def relive(self, past: dict[str, np.ndarray]) -> Iterator[None]:
        """Replay every slot, one step at each call, so that the caller may give it up.

        Raises SnapshotUnsupported where a slot does not reach the state that it was in.
        """
        ...


@dataclass(frozen=True)
class Task:
    """What is known of a task before a simulator of it is made."""

    name: str
    observation_space: Space
    action_space: Space
    time_limit: int | None
    can_restore: bool
    restore_reason: str = ""
    own_spaces: tuple[Space, Space] | None = None  # observations and actions of an environment that is shown otherwise
    typical: int | None = None  # steps of an episode, as a first guess; None: the time limit
    defaults: dict[str, Any] = field(default_factory=dict)  # settings that suit it, over the preset's
    paper_defaults: dict[str, Any] = field(default_factory=dict)  # the same for preset="paper"
    block: int | None = None  # most slots of one simulator object when sampling; None: all slots in one
    python: bool = False  # steps in Python and holds the GIL, so threads do not help
    runs_in_processes: bool = False  # holds the GIL in C++: sampled in worker processes, one per core
    sees_pixels: bool = False  # observations are stacks of the last grey frames [C, H, W] uint8, oldest first
    clip_rewards: bool = False  # learn from the sign of each reward; scores stay the task's own
    kind: str = ""  # its entry in SIMULATORS; `find_task` fills it in
    proven: bool = False  # tests hold it to restore exactly; of other tasks a running vine replays a part
    fingerprint: dict[str, str] = field(default_factory=dict)  # what an environment from outside is made of, by part
    seed_problem: str = ""  # why seeds and actions do not decide its episodes, as far as a trial showed

    @property
    def spaces(self) -> tuple[Space, Space]:
        """Observations and actions as a loop outside this package has them."""
        return self.own_spaces or (self.observation_space, self.action_space)


class TaskSimulator(Simulator):
    """What the simulators of this package have in common: what they say of their task, and checks of what they get."""

    def __init__(self, about: Task, slots: int):
        self.task, self.width, self.time_limit = about.name, slots, about.time_limit
        self.observation_space, self.action_space = about.observation_space, about.action_space
        self.can_restore, self.restore_reason = about.can_restore, about.restore_reason
        self.stacks_frames = about.sees_pixels

    def _ids(self, slots: np.ndarray | None) -> np.ndarray:
        return np.arange(self.width) if slots is None else np.asarray(slots)

    def _where(self, slots: np.ndarray | None) -> np.ndarray | slice:
        """The same as an index; that of all slots gives views."""
        return slice(None) if slots is None else np.asarray(slots)

    def _count(self, slots: np.ndarray | None) -> int:
        return self.width if slots is None else len(slots)

    def _refuse_seeds(self, slots: np.ndarray | None, seeds: np.ndarray) -> None:
        """Raise ValueError unless there is a seed for each slot."""
        if len(seeds) != self._count(slots):
            raise ValueError(f"reset of {self._count(slots)} slots needs as many seeds, got {len(seeds)}")

    def _refuse_states(self, slots: np.ndarray | None, snapshot: Snapshot, size: int) -> None:
        """Raise ValueError unless the snapshot has a state of this size for each slot."""
        expected, parts = (self._count(slots), size), snapshot.parts
        if "state" not in parts or parts["state"].shape != expected:
            got = parts["state"].shape if "state" in parts else sorted(parts)
            raise ValueError(f"{self.task}: a snapshot of {expected[0]} slots has states {expected}, got {got}")

    def _demand_restore(self) -> None:
        if not self.can_restore:
            raise SnapshotUnsupported(f"{self.task} cannot be restored exactly: {self.restore_reason}")


def differences(then: Mapping[str, Any], now: Mapping[str, str]) -> str:
    """The parts in which two fingerprints differ, in words; "" where they agree."""
    parts = [name for name in {**then, **now} if name not in (CALLABLE, VERDICT)]
    names = [name for name in parts if then.get(name) != now.get(name)]
    return "; ".join(f"{name}: {then.get(name, 'none')} then, {now.get(name, 'none')} now" for name in names)

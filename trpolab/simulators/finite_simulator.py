"""Finite MDPs to play: W slots in NumPy, one-hot observations, and the names of those that are built in."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Discrete

from trpolab.simulators.base import Scene, Snapshot, Task, TaskSimulator, Transition, UnknownTask, geom, refuse_misfit
from trpolab.simulators.finite_mdp import FiniteMDP, chain, gridworld, random_mdp
from trpolab.simulators.registry import SimulatorKind, nearest_tasks

TASKS = ("finite/chain-8", "finite/gridworld-4x4", "finite/random-20x4")
NAMES = r"finite/(chain)-(\d+)|finite/(gridworld)-(\d+)x(\d+)|finite/(random)-(\d+)x(\d+)(-\d+)?"
PATTERNS = "finite/chain-N, finite/gridworld-RxC, finite/random-SxA or finite/random-SxA-SEED"
MOST_NUMBERS = 5_000_000  # entries of P that a name may ask for
MOST_DRAWN = 150  # states; a picture of more shows nothing
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def finite_mdp(name: str) -> FiniteMDP:
    """The MDP that a task's name stands for: finite/chain-8, finite/gridworld-4x4, finite/random-20x4-7 …

    Raises ValueError for a name of another form, and for sizes that are too small or too large.
    """
    if (match := re.fullmatch(NAMES, name)) is None:
        raise ValueError(f"unknown finite MDP {name!r}: names are {PATTERNS}")
    kind, *sizes = (part for part in match.groups() if part is not None)
    numbers = [int(size.removeprefix("-")) for size in sizes]
    states, actions = {"chain": (numbers[0], 2), "gridworld": (int(np.prod(numbers)), 4)}.get(kind, numbers[:2])
    if states**2 * actions > MOST_NUMBERS:
        raise ValueError(f"{states}² · {actions} transition probabilities are more than {MOST_NUMBERS:,}")
    if kind == "chain":
        return chain(states)
    if kind == "gridworld":
        return gridworld(*numbers)
    generator = np.random.default_rng(numbers[2] if len(numbers) == 3 else 0)
    return random_mdp(states, actions, branching=min(states, 4), gamma=0.9, generator=generator, name=name)


class FiniteSimulator(TaskSimulator):
    """W slots of a finite MDP (see `Simulator`); the observation is the state, one-hot.

    The noise of a slot's dynamics is a stream of its own, one number a step. Its seed is part of a snapshot; `restore`
    with seeds replaces it. The next state is the inverse cumulative distribution at that number, so branches with
    equal seeds share their noise whatever they do.
    """

    def __init__(self, mdp: FiniteMDP, slots: int):
        super().__init__(describe(mdp), slots)
        self._mdp = mdp
        self._start, self._next = cumulative(mdp.start), cumulative(mdp.transitions)
        self._state = np.zeros(slots, np.int64)
        self._steps = np.zeros(slots, np.int64)
        self._noise = np.zeros(slots, np.uint64)

    @property
    def scene(self) -> Scene | None:
        """A dot for each state, a larger one for each terminal one, and the one that walks among them."""
        return scene_of(self._mdp) if self._mdp.states <= MOST_DRAWN else None

    def reset(self, slots: np.ndarray | None, seeds: np.ndarray) -> np.ndarray:
        """Start new episodes from ρ0. Obs [n, S]."""
        self._refuse_seeds(slots, seeds)
        where = self._where(slots)
        self._noise[where] = np.asarray(seeds).astype(np.uint64)
        self._steps[where] = 0
        self._state[where] = drawn(self._start, uniforms(self._noise[where], np.uint64(0)))
        return self._observe(where)

    def step(self, slots: np.ndarray | None, actions: np.ndarray) -> Transition:
        """Advance by one decision with actions [n] in 0 … A - 1. Raises ValueError for another shape or kind."""
        refuse_misfit(self.action_space, actions, self._count(slots))
        where = self._where(slots)
        state, steps = np.array(self._state[where]), self._steps[where] + 1
        following = drawn(self._next[state, actions], uniforms(self._noise[where], steps.astype(np.uint64)))
        self._state[where], self._steps[where] = following, steps
        reward, over = self._mdp.rewards[state, actions, following], self._mdp.terminal[following]
        truncated = steps >= (np.inf if self.time_limit is None else self.time_limit)
        return Transition(self._observe(where), reward, over, truncated, unstable=np.zeros(len(state), bool))

    def snapshot(self, slots: np.ndarray | None) -> Snapshot:
        """State, step counter and the seed of the noise to come."""
        where = self._where(slots)
        parts = {"state": self._state, "steps": self._steps, "noise": self._noise}
        return Snapshot({name: np.array(part[where]) for name, part in parts.items()})

    def restore(self, slots: np.ndarray | None, snapshot: Snapshot, seeds: np.ndarray | None = None) -> np.ndarray:
        """Copy saved states into the slots; seeds [n] replace the noise to come."""
        where, expected, parts = self._where(slots), self._count(slots), snapshot.parts
        if parts.keys() != {"state", "steps", "noise"} or len(snapshot) != expected:
            raise ValueError(
                f"{self.task}: a snapshot of {expected} slots has as many rows of state, steps and noise, got "
                f"{len(snapshot)} of {', '.join(sorted(parts))}"
            )
        self._state[where], self._steps[where] = parts["state"], parts["steps"]
        self._noise[where] = parts["noise"] if seeds is None else np.asarray(seeds).astype(np.uint64)
        return self._observe(where)

    def poses(self, slots: np.ndarray | None) -> np.ndarray:
        """Poses [n, 2, 7] of the states and of the walker, in the xy plane; [n, 0, 7] where nothing is drawn."""
        state = self._state[self._where(slots)]
        poses = np.zeros((len(state), 2 if self._mdp.states <= MOST_DRAWN else 0, 7))
        poses[:, :, 3] = 1.0
        poses[:, 1:, :2] = self._mdp.places[state][:, None]
        return poses

    def _observe(self, slots: np.ndarray | slice) -> np.ndarray:
        state = self._state[slots]
        obs = np.zeros((len(state), self._mdp.states), np.float32)
        obs[np.arange(len(state)), state] = 1
        return obs


def scene_of(mdp: FiniteMDP) -> Scene:
    """What a player draws of a finite MDP."""
    states = [
        geom("sphere", [0.3 if over else 0.12] * 3, [0.55, 0.6, 0.65, 1.0], 0, [x, y, 0.0])
        for (x, y), over in zip(mdp.places.tolist(), mdp.terminal, strict=True)
    ]
    walker = geom("sphere", [0.22] * 3, [0.85, 0.55, 0.25, 1.0], 1, [0.0, 0.0, 0.5])
    return Scene(bodies=("states", "walker"), geoms=(*states, walker), view="xy", seconds=0.2, flat=True)


def cumulative(probabilities: np.ndarray) -> np.ndarray:
    """Sums along the last axis, exactly 1 from the last state with a probability on: none beyond it is drawn."""
    sums = np.cumsum(probabilities, axis=-1)
    rest = np.cumsum(probabilities[..., ::-1], axis=-1)[..., ::-1] - probabilities  # what lies beyond each entry
    return np.where(rest > 0, np.minimum(sums, 1.0), 1.0)


def drawn(sums: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """States [n] by the inverse cumulative distribution: sums [n, S] or [S], uniform [n] in [0, 1)."""
    return np.asarray((sums <= uniform[:, None]).sum(axis=-1))


def uniforms(seeds: np.ndarray, index: np.ndarray | np.uint64) -> np.ndarray:
    """The index-th number in [0, 1) of each stream [n]: SplitMix64 (Steele, Lea and Flood 2014) on a mixed seed."""
    with np.errstate(over="ignore"):
        mixed = _mix(_mix(seeds + GOLDEN) + (index + np.uint64(1)) * GOLDEN)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _mix(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(z ^ (z >> np.uint64(31)))


def takes(source: object) -> bool:
    """Whether it is a finite MDP or names one."""
    return isinstance(source, FiniteMDP) or (isinstance(source, str) and source.startswith("finite/"))


def mdp_of(source: str | FiniteMDP) -> FiniteMDP:
    """The finite MDP that was given or named. Raises UnknownTask for a finite/ name that names none."""
    if isinstance(source, FiniteMDP):
        return source
    if re.fullmatch(NAMES, source) is None:
        raise UnknownTask(f"unknown task {source!r}; {nearest_tasks(source)} (finite MDPs: {PATTERNS})")
    try:
        return finite_mdp(source)
    except ValueError as error:
        raise UnknownTask(f"{source}: {error}") from None


def make(source: str | FiniteMDP, slots: int, threads: int) -> FiniteSimulator:
    """A simulator of a finite MDP; NumPy steps all slots in this thread."""
    return FiniteSimulator(mdp_of(source), slots)


def describe(source: str | FiniteMDP) -> Task:
    """A finite MDP as a task: a soft-max of one number per state and action learns it in seconds."""
    mdp = mdp_of(source)
    limit = mdp.time_limit or 100
    vine = {"vine.trunks": 4, "vine.trunk_length": limit, "vine.states": 50, "vine.rollout_length": 20}
    shared = {"hidden": (), "gamma": mdp.gamma, "iterations": 40, "proposal": "all", **vine}
    modern = {"steps_per_iteration": 1024, "lam": 0.95, "slots": 16, "normalize_observations": False, "damping": 0.01}
    paper = {"steps_per_iteration": 5000, "path.horizon": limit}
    observations, actions = Box(0, 1, (mdp.states,), np.float32), Discrete(mdp.actions)
    presets: dict[str, Any] = {"defaults": shared | modern, "paper_defaults": shared | paper}
    return Task(mdp.name, observations, actions, mdp.time_limit, True, proven=True, **presets)


KIND = SimulatorKind(
    name="finite",
    label="finite MDPs",
    doc="all slots step at once in NumPy",
    source="Section 2",
    takes=takes,
    names=lambda: TASKS,
    describe=describe,
    make=make,
)

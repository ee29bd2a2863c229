"""One episode of a policy as pure data: poses or screens, and rewards. Any thread may record or draw it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from threadpoolctl import threadpool_limits

from trpolab.policies import Policy
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.trajectories import ActionBounds
from trpolab.simulators.base import Scene, Simulator

FRAMES_PER_SECOND = 30.0
MOST_STEPS = 1000
MOST_DECISIONS = 450  # of a game: half a minute of most, and about 0.3 s of a processor
SLOT = np.array([0])
START, NOISE = 0, 1  # indices of the stream DRAWING


@dataclass(frozen=True)
class Rollout:
    """F frames of an episode of T steps."""

    scene: Scene
    poses: np.ndarray  # [F, bodies, 7] float32: position and quaternion (w first), every `every` steps
    rewards: np.ndarray  # [T] float64
    every: int
    terminated: bool  # the task ended; otherwise the time limit or the longest recording cut it

    @property
    def seconds_per_frame(self) -> float:
        """Of the task's own time."""
        return self.scene.seconds * self.every

    @property
    def seconds(self) -> float:
        """How long the episode took in the task's own time."""
        return self.scene.seconds * len(self.rewards)

    @property
    def total(self) -> float:
        """The raw return of what was recorded."""
        return float(self.rewards.sum())


@dataclass(frozen=True)
class GameRollout:
    """T decisions of a game on a console, and its F = T + 1 screens."""

    screens: np.ndarray  # [F, H, W] uint8, numbers of colours: where the recording starts, then after each decision
    palette: np.ndarray  # [256, 3] uint8: red, green and blue of each number
    rewards: np.ndarray  # [T] float64
    seconds_per_frame: float  # of the console's own time
    terminated: bool  # the game was over; otherwise the time limit or the longest recording cut it

    @property
    def seconds(self) -> float:
        """How long it took in the console's own time."""
        return self.seconds_per_frame * len(self.rewards)

    @property
    def total(self) -> float:
        """The raw return of what was recorded: the score, if the recording starts with the game."""
        return float(self.rewards.sum())


@runtime_checkable
class Screened(Simulator, Protocol):
    """A simulator of games, which have screens where other tasks have bodies."""

    @property
    def seconds(self) -> float:
        """Of the console's own time that one decision lasts."""
        ...

    def screens(self, slots: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Colour numbers [n, H, W] uint8, and the RGB of each [256, 3] uint8."""
        ...


def record(
    policy: Policy, simulator: Simulator, *, seed: int = 0, max_steps: int | None = None, skip: int = 0
) -> Rollout | GameRollout:
    """Play one episode in slot 0 of a simulator that nobody else uses, and record it after `skip` decisions.

    The start is that of `seed`, the same for every policy, so that two recordings can be compared. Games are played
    with sampled actions, their noise that of `seed` (the mode may never press the button that serves the ball), all
    else with the distribution's mode. At most `max_steps` decisions are recorded: 1000, of a game 450, if not given.
    Raises ValueError if the task has nothing to draw, or if the episode is over before there is something to record.
    """
    if skip < 0 or (max_steps is not None and max_steps < 1):
        raise ValueError(f"skip = {skip}, max_steps = {max_steps}: must be at least 0 and 1")
    if simulator.scene is not None:
        return _record_bodies(policy, simulator, simulator.scene, seed, max_steps or MOST_STEPS, skip)
    if isinstance(simulator, Screened):
        # Torch's own threads spin while they wait, which beside a training takes up to fifty times as long. The limit
        # is the calling thread's alone: OpenMP keeps that number thread by thread.
        with threadpool_limits(1, user_api="openmp"):
            return _record_game(policy, simulator, seed, max_steps or MOST_DECISIONS, skip)
    raise ValueError(f"{simulator.task} has no geometry to draw")


def _record_bodies(policy: Policy, simulator: Simulator, scene: Scene, seed: int, max_steps: int, skip: int) -> Rollout:
    every = max(1, round(1.0 / (FRAMES_PER_SECOND * scene.seconds)))
    poses: list[np.ndarray] = []

    def look(step: int, ended: bool) -> None:
        if step % every == 0 or ended:
            poses.append(simulator.poses(SLOT)[0])

    mode = policy.distribution.mode
    rewards, terminated = _play(policy, simulator, lambda u, _: mode(u), look, seed, max_steps, skip)
    return Rollout(scene, np.array(poses, np.float32), rewards, every, terminated)


def _record_game(policy: Policy, simulator: Screened, seed: int, max_steps: int, skip: int) -> GameRollout:
    distribution = policy.distribution
    noise = distribution.noise(Streams(seed).generator(0, Purpose.DRAWING, NOISE), (skip + max_steps, 1))
    screens: list[np.ndarray] = []

    def look(step: int, ended: bool) -> None:
        screens.append(simulator.screens(SLOT)[0][0])

    def choose(u: np.ndarray, decision: int) -> np.ndarray:
        return distribution.sample_from(u, noise[decision])

    rewards, terminated = _play(policy, simulator, choose, look, seed, max_steps, skip)
    palette = simulator.screens(SLOT)[1].copy()
    return GameRollout(np.stack(screens), palette, rewards, simulator.seconds, terminated)


def _play(
    policy: Policy,
    simulator: Simulator,
    choose: Callable[[np.ndarray, int], np.ndarray],
    look: Callable[[int, bool], None],
    seed: int,
    max_steps: int,
    skip: int,
) -> tuple[np.ndarray, bool]:
    """Rewards [T] after the first `skip` decisions, and whether the task ended.

    `choose(u [1, U], decision)` gives actions [1, *A]. `look(step, ended)` is called where the recording starts
    (step 0) and after each decision from there on.
    """
    actor, bounds = policy.actor(1), ActionBounds.of(simulator.action_space)
    obs = simulator.reset(SLOT, Streams(seed).seeds(1, 0, Purpose.DRAWING, START))
    rewards: list[float] = []
    terminated = False
    for decision in range(skip + max_steps):
        if decision == skip:
            look(0, False)
        transition = simulator.step(SLOT, bounds.clip(choose(actor.parameters(obs), decision)))
        if transition.unstable[0]:
            break
        obs, terminated = transition.obs, bool(transition.terminated[0])
        ended = terminated or bool(transition.truncated[0])
        if decision >= skip:
            rewards.append(float(transition.reward[0]))
            look(decision - skip + 1, ended)
        if ended:
            break
    if skip and not rewards:
        raise ValueError(f"skip = {skip}: the episode of seed {seed} is over after {decision + 1} decisions")
    return np.array(rewards, np.float64), terminated

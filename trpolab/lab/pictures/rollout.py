"""One episode of a policy as pure data: poses or screens, and rewards. Any thread may record or draw it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from threadpoolctl import threadpool_limits

from trpolab.policies import Policy
from trpolab.sampling.play import Begun, Play
from trpolab.sampling.streams import Purpose, Streams
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


class _OneEpisode:
    """The episode of `seed` in slot 0, with actions that `choose` takes."""

    def __init__(self, simulator: Simulator, seed: int, steps: int, choose: Callable[[np.ndarray, int], np.ndarray]):
        """`choose(u [1, U], decision)` gives actions [1, *A]."""
        self._simulator, self.seed, self._steps, self._choose = simulator, seed, steps, choose

    def begin(self, free: np.ndarray, play: Play) -> Begun | None:
        """It is played once."""
        if play.clock:
            return None
        obs = self._simulator.reset(SLOT, Streams(self.seed).seeds(1, 0, Purpose.DRAWING, START))
        return Begun(SLOT, obs, cut_at=self._steps)

    def actions(self, parameters: np.ndarray, play: Play) -> np.ndarray:
        """What is chosen at this decision."""
        return self._choose(parameters, play.clock)

    def called(self, row: int, play: Play) -> str:
        """By its decision: there is nothing else to tell apart."""
        return f"step {play.clock}"


def _record_bodies(policy: Policy, simulator: Simulator, scene: Scene, seed: int, max_steps: int, skip: int) -> Rollout:
    every = max(1, round(1.0 / (FRAMES_PER_SECOND * scene.seconds)))
    episode = _OneEpisode(simulator, seed, skip + max_steps, lambda u, _: policy.distribution.mode(u))
    poses, rewards, terminated = _play(policy, simulator, episode, lambda: simulator.poses(SLOT)[0], skip, every)
    return Rollout(scene, poses.astype(np.float32), rewards, every, terminated)


def _record_game(policy: Policy, simulator: Screened, seed: int, max_steps: int, skip: int) -> GameRollout:
    distribution = policy.distribution
    noise = distribution.noise(Streams(seed).generator(0, Purpose.DRAWING, NOISE), (skip + max_steps, 1))
    episode = _OneEpisode(simulator, seed, len(noise), lambda u, decision: distribution.sample_from(u, noise[decision]))
    screens, rewards, terminated = _play(policy, simulator, episode, lambda: simulator.screens(SLOT)[0][0], skip)
    return GameRollout(screens, simulator.screens(SLOT)[1].copy(), rewards, simulator.seconds, terminated)


def _play(
    policy: Policy, simulator: Simulator, episode: _OneEpisode, see: Callable[[], np.ndarray], skip: int, every: int = 1
) -> tuple[np.ndarray, np.ndarray, bool]:
    """What `see` gives [F, ...], rewards [T], and whether the task ended.

    It is looked at after `skip` decisions, then `every` so many of them and at the end of the episode.
    """
    play = Play(simulator, policy.actor(1).parameters, episode, scaled=policy.scaled_actions)
    seen: list[np.ndarray] = []
    rewards: list[float] = []
    terminated = False
    while play.fill():
        if play.clock == skip:
            seen.append(see())
        result = play.step().result
        if result.unstable[0]:
            break
        terminated = bool(result.terminated[0])
        if play.clock > skip:
            rewards.append(float(result.reward[0]))
            if terminated or result.truncated[0] or (play.clock - skip) % every == 0:
                seen.append(see())
    if skip and not rewards:
        seed = episode.seed
        raise ValueError(f"skip = {skip}: the episode of seed {seed} is over after {play.clock} decisions")
    return np.stack(seen), np.array(rewards, np.float64), terminated

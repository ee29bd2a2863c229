"""One episode of a policy as pure data: what is to be seen, and rewards. Any thread may record or draw it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from trpolab.lab.pictures.reel import Film, Reel, state_picture
from trpolab.policies import Policy
from trpolab.sampling.play import Begun, Play
from trpolab.sampling.streams import Purpose, Streams
from trpolab.settings import PlainError, whole_number
from trpolab.simulators.base import PictureError, Scene, Simulator

FRAMES_PER_SECOND = 30.0
MOST_STEPS = 1000
MOST_DECISIONS = 450  # of a game: half a minute of most, and about 0.3 s of a processor
MOST_FRAMES = 400  # that an environment draws itself, which may take long
SECONDS_PER_STEP = 0.05  # of tasks that tell no time of their own
MOST_CURVES = 8
SLOT = np.array([0])
START, NOISE = 0, 1  # indices of the stream DRAWING


@dataclass(frozen=True)
class Tracks:
    """What the policy saw and did in T decisions."""

    obs: np.ndarray  # [T, *O] before each decision
    actions: np.ndarray  # [T, *A] in the task's units, within its bounds
    kl: np.ndarray | None = None  # [T] KL(before‖this policy) at these observations, where a policy before was given


NO_TRACKS = Tracks(np.zeros((0, 0)), np.zeros((0, 0)))


class Recorded:
    """What all recordings have in common."""

    rewards: np.ndarray  # [T] float64
    every: int  # decisions between two frames
    terminated: bool  # the task ended; otherwise the time limit or the longest recording cut it
    seconds_per_frame: float  # of the task's own time

    @property
    def seconds(self) -> float:
        """How long the episode took in the task's own time."""
        return self.seconds_per_frame / self.every * len(self.rewards)

    @property
    def total(self) -> float:
        """The raw return of what was recorded: the score, if the recording starts with the episode."""
        return float(self.rewards.sum())


@dataclass(frozen=True)
class Rollout(Recorded):
    """F frames of bodies in an episode of T steps."""

    scene: Scene
    poses: np.ndarray  # [F, bodies, 7] float32: position and quaternion (w first), every `every` steps
    rewards: np.ndarray
    every: int
    terminated: bool
    tracks: Tracks = NO_TRACKS
    note: str = ""  # why this is shown and not something else, in a line

    @property
    def seconds_per_frame(self) -> float:  # type: ignore[override]
        """Of the task's own time."""
        return self.scene.seconds * self.every


@dataclass(frozen=True)
class ScreenRollout(Recorded):
    """T decisions of a task that shows screens, and F of these: a console's, an environment's own, a state's cells."""

    screens: np.ndarray  # [F, H, W] uint8, numbers of colours: where the recording starts, then after decisions
    palette: np.ndarray  # [256, 3] uint8: red, green and blue of each number
    rewards: np.ndarray
    seconds_per_frame: float
    terminated: bool
    every: int = 1
    aspect: float | None = None  # width to height of what is shown; None: pixels are squares
    tracks: Tracks = NO_TRACKS
    note: str = ""


@dataclass(frozen=True)
class CurveRollout(Recorded):
    """T decisions of a task that can't be drawn: F = T + 1 observations as C curves."""

    names: tuple[str, ...]  # C of them
    values: np.ndarray  # [F, C] float32
    rewards: np.ndarray
    seconds_per_frame: float
    terminated: bool
    every: int = 1
    tracks: Tracks = NO_TRACKS
    note: str = ""


AnyRollout = Rollout | ScreenRollout | CurveRollout


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


@runtime_checkable
class Pictured(Simulator, Protocol):
    """A simulator of environments that may draw themselves."""

    @property
    def seconds(self) -> float:
        """Of the task's own time that one decision lasts."""
        ...

    def picture(self, slot: int) -> np.ndarray:
        """[H, W, 3] uint8. Raises PictureError."""
        ...


def record(
    policy: Policy,
    simulator: Simulator,
    *,
    seed: int = 0,
    max_steps: int | None = None,
    skip: int = 0,
    before: Policy | None = None,
    patience: float = 60.0,
) -> AnyRollout:
    """Play one episode in slot 0 of a simulator that nobody else uses, and record it after `skip` decisions.

    The start is that of `seed`, the same for every policy, so that two recordings can be compared. Games are played
    with sampled actions, their noise that of `seed` (the mode may never press the button that serves the ball), all
    else with the distribution's mode. At most `max_steps` decisions are recorded: 1000, of a game 450, if not given,
    and none after `patience` seconds. With `before`, the KL divergence from that policy is recorded as well. Tasks
    without bodies and screens show what their environment draws (a simulator of `drawn(task)`), else their state.
    Raises ValueError for wrong numbers, and if the episode is over before there is something to record.
    """
    skip = whole_number("skip", skip, 0)
    most = None if max_steps is None else whole_number("max_steps", max_steps, 1)
    if misfit := policy.misfit(simulator.observation_space, simulator.action_space):
        raise PlainError(f"this policy does not fit {simulator.task}: {misfit}")
    recorder = _Recorder(policy, simulator, seed, skip, time.perf_counter() + patience)
    # Torch's own threads spin while they wait, which beside a training takes up to fifty times as long. The limit
    # is the calling thread's alone: OpenMP keeps that number thread by thread.
    with threadpool_limits(1, user_api="openmp"):
        rollout = _recorded(recorder, simulator, most)
        if before is not None and before.misfit(simulator.observation_space, simulator.action_space) == "":
            kl = _divergence(before, policy, rollout.tracks.obs)
            rollout = replace(rollout, tracks=replace(rollout.tracks, kl=kl))
    if time.perf_counter() < recorder.deadline:
        return rollout
    slow = f"recording took more than {patience:g} s: the first {len(rollout.rewards):,} steps are shown"
    return replace(rollout, note=f"{rollout.note}; {slow}" if rollout.note else slow)


def _recorded(recorder: _Recorder, simulator: Simulator, most: int | None) -> AnyRollout:
    if (scene := simulator.scene) is not None:
        every = max(1, round(1.0 / (FRAMES_PER_SECOND * scene.seconds)))
        poses, rest = recorder.play(lambda play: simulator.poses(SLOT)[0].astype(np.float32), most or MOST_STEPS, every)
        return Rollout(scene, np.stack(poses), every=every, **rest)
    if isinstance(simulator, Screened):
        screens, rest = recorder.play(lambda play: simulator.screens(SLOT)[0][0], most or MOST_DECISIONS, sampled=True)
        palette = simulator.screens(SLOT)[1].copy()
        return ScreenRollout(np.stack(screens), palette, seconds_per_frame=simulator.seconds, aspect=4 / 3, **rest)
    note = ""
    if isinstance(simulator, Pictured):
        try:
            return _pictured(recorder, simulator, most or MOST_STEPS)
        except PictureError as error:
            note = f"{error}; its observations are shown instead"
    seconds = simulator.seconds if isinstance(simulator, Pictured) else SECONDS_PER_STEP
    seen, rest = recorder.play(lambda play: np.array(play.obs[0]), most or MOST_STEPS)
    if (cells := state_picture(np.stack(seen), recorder.policy.states is not None)) is not None:
        return ScreenRollout(cells.screens, cells.palette, seconds_per_frame=seconds, note=note, **rest)
    names, values = _curves(np.stack(seen))
    return CurveRollout(names, values, seconds_per_frame=seconds, note=note, **rest)


def _pictured(recorder: _Recorder, simulator: Pictured, most: int) -> ScreenRollout:
    """Raises PictureError where the environment draws nothing at first; what comes later may end the recording."""
    reel = Reel(MOST_FRAMES)
    every = max(1, round(1.0 / (FRAMES_PER_SECOND * simulator.seconds)))
    most = min(most, MOST_FRAMES * every)
    _, rest = recorder.play(lambda play: reel.add(simulator.picture(0)), most, every)
    frames: Film = reel.developed()
    seconds = simulator.seconds * every
    return ScreenRollout(frames.screens, frames.palette, seconds_per_frame=seconds, every=every, **rest)


def _curves(seen: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """The components of observations [F, *O] that vary most, by their names, and their values [F, C]."""
    flat = seen.reshape(len(seen), -1).astype(np.float32)
    chosen = np.sort(np.argsort(-flat.std(axis=0), kind="stable")[:MOST_CURVES])
    places = zip(*np.unravel_index(chosen, seen.shape[1:] or (1,)), strict=True)
    return tuple(f"obs[{', '.join(map(str, place))}]" for place in places), flat[:, chosen]


def _divergence(before: Policy, policy: Policy, obs: np.ndarray) -> np.ndarray:
    """KL(before‖policy) [T] at observations [T, *O]."""
    with torch.inference_mode():
        u_old, u_new = (each.parameters(each.features(obs)) for each in (before, policy))
        return np.maximum(policy.distribution.kl(u_old, u_new).numpy().astype(float), 0.0)  # but for its rounding


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


@dataclass(frozen=True)
class _Recorder:
    """Plays the episode of a seed, and keeps what is asked for."""

    policy: Policy
    simulator: Simulator
    seed: int
    skip: int
    deadline: float  # by `time.perf_counter`

    def play(
        self, see: Callable[[Play], Any], steps: int, every: int = 1, *, sampled: bool = False
    ) -> tuple[list[Any], dict[str, Any]]:
        """What `see` gave, F times, and what every recording has: rewards [T], tracks, whether the task ended.

        It is looked at after `skip` decisions, then `every` so many of them and at the end of the episode.
        """
        distribution, last = self.policy.distribution, self.skip + steps
        if sampled:
            noise = distribution.noise(Streams(self.seed).generator(0, Purpose.DRAWING, NOISE), (last, 1))
            episode = _OneEpisode(self.simulator, self.seed, last, lambda u, at: distribution.sample_from(u, noise[at]))
        else:
            episode = _OneEpisode(self.simulator, self.seed, last, lambda u, _: distribution.mode(u))
        parameters = self.policy.actor(1).parameters
        play = Play(self.simulator, parameters, episode, scaled=self.policy.scaled_actions)
        seen: list[Any] = []
        rewards: list[float] = []
        observed: list[np.ndarray] = []
        acted: list[np.ndarray] = []
        terminated = False
        while play.fill() and (not rewards or time.perf_counter() < self.deadline):
            recording = play.clock >= self.skip
            if play.clock == self.skip:
                seen.append(see(play))
            obs = np.array(play.obs[0]) if recording else None
            done = play.step()
            result = done.result
            if result.unstable[0]:
                break
            terminated = bool(result.terminated[0])
            if recording:
                assert obs is not None
                observed.append(obs)
                acted.append(np.array(play.bounds.clip(done.actions)[0]))
                rewards.append(float(result.reward[0]))
                if terminated or result.truncated[0] or len(rewards) % every == 0:
                    seen.append(see(play))
        if self.skip and not rewards:
            over = f"the episode of seed {self.seed} is over after {play.clock} decisions"
            raise ValueError(f"skip = {self.skip}: {over}")
        tracks = Tracks(np.array(observed), np.array(acted))
        return seen, {"rewards": np.array(rewards, np.float64), "terminated": terminated, "tracks": tracks}

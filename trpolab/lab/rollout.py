"""One episode of a policy as pure data: geometry, poses and rewards. Any thread may record or draw it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trpolab.policies import Policy
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.trajectories import Bounds
from trpolab.simulators.base import Scene, Simulator

FRAMES_PER_SECOND = 30.0


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
        """The raw return."""
        return float(self.rewards.sum())


def record(policy: Policy, simulator: Simulator, *, seed: int = 0, max_steps: int = 1000) -> Rollout:
    """Play one episode with the distribution's mode in slot 0 of a simulator that nobody else uses.

    The start is that of `seed`, the same for every policy, so that two recordings can be compared. Raises ValueError if
    the task has nothing to draw.
    """
    scene = simulator.scene
    if scene is None:
        raise ValueError(f"{simulator.task} has no geometry to draw")
    slot = np.array([0])
    every = max(1, round(1.0 / (FRAMES_PER_SECOND * scene.seconds)))
    actor, bounds = policy.actor(1), Bounds.of(simulator.action_space)
    obs = simulator.reset(slot, Streams(seed).seeds(1, 0, Purpose.DRAWING))
    poses, rewards, terminated = [simulator.poses(slot)[0]], [], False
    for step in range(1, min(max_steps, simulator.time_limit or max_steps) + 1):
        actions = policy.distribution.mode(actor.parameters(obs))
        transition = simulator.step(slot, bounds.clip(actions))
        if transition.unstable[0]:
            break
        obs, terminated = transition.obs, bool(transition.terminated[0])
        rewards.append(float(transition.reward[0]))
        ended = terminated or bool(transition.truncated[0])
        if step % every == 0 or ended:
            poses.append(simulator.poses(slot)[0])
        if ended:
            break
    return Rollout(scene, np.array(poses, np.float32), np.array(rewards, np.float64), every, terminated)

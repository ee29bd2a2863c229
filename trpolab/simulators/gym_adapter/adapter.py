"""Any Gymnasium environment, by id or from a callable: slots are environments that step in turn, in this process."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np

from trpolab.simulators.base import (
    Scene,
    Snapshot,
    SnapshotUnsupported,
    Task,
    TaskSimulator,
    Transition,
    UnsupportedSpace,
    refuse_misfit,
)
from trpolab.simulators.gym_adapter.answers import of_reset, of_step
from trpolab.simulators.gym_adapter.copies import draw_anew, try_out
from trpolab.simulators.gym_adapter.environments import Factory, close, layers, make_environments
from trpolab.simulators.gym_adapter.fingerprint import fingerprint
from trpolab.simulators.gym_adapter.pictures import picture_of, poses_of, scene_of, seconds_of
from trpolab.simulators.gym_adapter.replay import Past
from trpolab.simulators.gym_adapter.spaces import encode, in_short

LARGEST_SEED = 2**31 - 1  # environments hand their seeds on, often to generators that take 32 bits
SLOTS = 16  # that step in turn: more of them are not faster, and each has to be made


def describe(factory: Factory, name: str | None = None) -> Task:
    """The task of the factory's environments; one of them is tried out to see whether it can be restored.

    Raises UnknownTask where the factory makes no environment, or not a new one at each call, UnsupportedSpace for
    spaces that no policy here can take, and AnswerError for answers that are none. What an environment itself raises,
    training will show.
    """
    envs = make_environments(factory, 2)
    try:
        env, encoding = envs[0], encode(envs[0])
        limit = _time_limit(env)
        known = name or (env.spec.id if env.spec is not None else type(env.unwrapped).__name__)
        made_of = fingerprint(env, None if name else factory)
        tried = try_out(env, envs[1], encoding)
    finally:
        close(envs)
    spaces = encoding.observation_space, encoding.action_space
    found: dict[str, Any] = {"fingerprint": made_of, "seed_problem": tried.seeds}
    found |= {"defaults": {"slots": SLOTS}, "paper_defaults": {"slots": SLOTS}}
    return Task(known, *spaces, limit, not tried.copies, tried.copies, encoding.own_spaces, python=True, **found)


class GymnasiumSimulator(TaskSimulator):
    """W environments as slots (see `Simulator`). A snapshot holds deep copies, where these were seen to replay."""

    def __init__(self, about: Task, factory: Factory, slots: int, watch: Callable[[], None] | None = None):
        super().__init__(about, slots)
        self._envs = make_environments(factory, slots, watch)
        self._encoding = encode(self._envs[0])
        self._spaces: list[Any] = [None] * slots  # as they were last seen
        try:
            for slot in range(slots):
                self._refuse_other_spaces(slot)
        except UnsupportedSpace:
            close(self._envs)
            raise
        self._obs = np.zeros((slots, *(self.observation_space.shape or ())), self.observation_space.dtype)
        self._past = Past(slots)

    @property
    def scene(self) -> Scene | None:
        """The bodies of environments that step a MuJoCo model."""
        return scene_of(self._envs[0])

    @property
    def seconds(self) -> float:
        """Of the task's own time that one decision lasts."""
        return seconds_of(self._envs[0])

    def picture(self, slot: int) -> np.ndarray:
        """What the environment in a slot draws of itself: [H, W, 3] uint8. Raises PictureError, which says why not."""
        return picture_of(self._envs[slot])

    def poses(self, slots: np.ndarray | None) -> np.ndarray:
        """World poses [n, bodies, 7]; no bodies where there is no scene."""
        return np.stack([poses_of(self._envs[slot]) for slot in self._ids(slots)])

    def reset(self, slots: np.ndarray | None, seeds: np.ndarray) -> np.ndarray:
        """Start new episodes from the environments' own seeds: the lowest 31 bits of these. Obs [n, *O]."""
        ids = self._ids(slots)
        for slot, seed in zip(ids.tolist(), seeds.tolist(), strict=True):
            self._begin(slot, seed & LARGEST_SEED)
        return self._obs[ids]

    def _begin(self, slot: int, seed: int) -> None:
        env = self._envs[slot]
        try:
            answer = env.reset(seed=seed)
        except (Exception, SystemExit) as error:
            _name_slot(error, slot)
            raise
        self._refuse_other_spaces(slot)
        self._obs[slot] = of_reset(answer, self._encoding.observe, env, slot)
        self._past.begin(slot, seed)

    def _refuse_other_spaces(self, slot: int) -> None:
        """Raise UnsupportedSpace if the slot's spaces are not those of slot 0 when it was made."""
        now, before = (self._envs[slot].observation_space, self._envs[slot].action_space), self._spaces[slot]
        if before is not None and now[0] is before[0] and now[1] is before[1]:
            return
        for kind, new, first in zip(("observation", "action"), now, self._encoding.own_spaces, strict=True):
            if new != first:
                raise UnsupportedSpace(
                    f"{self.task}: the {kind} space of slot {slot} is {in_short(new)}; that of slot 0 was "
                    f"{in_short(first)} when it was made: all episodes must have the same spaces"
                )
        self._spaces[slot] = now

    def step(self, slots: np.ndarray | None, actions: np.ndarray) -> Transition:
        """Advance by one decision; whole-number actions [n] or [n, factors] count from 0.

        What the environments get lies within their own action spaces.
        """
        ids = self._ids(slots)
        refuse_misfit(self.action_space, actions, len(ids))
        own, observe = self._encoding.act(actions), self._encoding.observe
        reward, flags = np.empty(len(ids)), np.zeros((3, len(ids)), bool)
        for n, slot in enumerate(ids.tolist()):
            env = self._envs[slot]
            try:
                answer = env.step(own[n])
            except (Exception, SystemExit) as error:
                _name_slot(error, slot)
                raise
            self._obs[slot], reward[n], terminated, truncated = of_step(answer, observe, env, slot)
            self._past.add(slot, actions[n])
            if was_reset_by_mujoco(env):
                flags[2, n] = True
            elif terminated or truncated:
                flags[:2, n] = terminated, truncated
        self._past.score[ids] += reward
        return Transition(self._obs[ids], reward, *flags)

    def snapshot(self, slots: np.ndarray | None) -> Snapshot:
        """Deep copies of the environments, wrappers and noise included, and their observations."""
        self._demand_restore()
        ids = self._ids(slots)
        copies = np.empty(len(ids), object)
        copies[:] = [copy.deepcopy(self._envs[slot]) for slot in ids]
        return Snapshot({"env": copies, "obs": self._obs[ids]})

    def restore(self, slots: np.ndarray | None, snapshot: Snapshot, seeds: np.ndarray | None = None) -> np.ndarray:
        """Put copies of the saved environments into the slots.

        With seeds, Gymnasium's `np_random` and every generator in an attribute start anew; noise that an environment
        keeps deeper inside goes on as saved.
        """
        self._demand_restore()
        ids = self._ids(slots)
        for n, (slot, saved) in enumerate(zip(ids, snapshot.parts["env"], strict=True)):
            close([self._envs[slot]])
            self._envs[slot] = copy.deepcopy(saved)
            self._past.forget(slot)
            if seeds is not None:
                draw_anew(self._envs[slot], int(seeds[n]))
        self._obs[ids] = snapshot.parts["obs"]
        return self._obs[ids]

    def past(self) -> dict[str, np.ndarray]:
        """Each slot's seed, its actions since, what they earned, and what it observes now."""
        return {**self._past.arrays(), "obs": self._obs.copy()}

    def relive(self, past: dict[str, np.ndarray]) -> Iterator[None]:
        """Reset every slot with its seed and repeat its actions, one at each call; what comes must be what came."""
        if len(past["seed"]) != self.width:
            raise SnapshotUnsupported(f"the past of {len(past['seed'])} slots cannot be relived in {self.width}")
        for slot, actions in enumerate(np.split(past["actions"], np.cumsum(past["steps"])[:-1])):
            only, ended = np.array([slot]), False
            self._begin(slot, int(past["seed"][slot]))  # as it is: older versions gave all 63 bits
            for action in actions:
                after = self.step(only, action[None])
                ended |= bool(after.terminated[0] or after.truncated[0] or after.unstable[0])
                yield
            now = {
                "end": np.array(ended),
                "observation": self._obs[slot].astype(past["obs"].dtype),
                "score": self._past.score[slot],
            }
            then = {"end": np.array(False), "observation": past["obs"][slot]}
            then["score"] = past["score"][slot] if "score" in past else now["score"]  # older versions kept none
            if other := [name for name in now if now[name].tobytes() != then[name].tobytes()]:
                raise SnapshotUnsupported(
                    f"slot {slot}: {self.task} does not come to the same {other[0]} from the same seed and actions"
                )

    def close(self) -> None:
        """Close every environment."""
        close(self._envs)


def _name_slot(error: BaseException, slot: int) -> None:
    """Whatever an environment raises passes through, with a note that says in which slot.

    Raises RuntimeError in place of what would end our own loops, or the whole process.
    """
    error.add_note(f"raised by the environment in slot {slot}")
    if isinstance(error, StopIteration | SystemExit):
        why = "an iterator of its ran out" if isinstance(error, StopIteration) else "it asked to end the process"
        raise RuntimeError(f"the environment in slot {slot} raised {type(error).__name__}: {why}") from error


def was_reset_by_mujoco(env: gymnasium.Env) -> bool:
    """Whether MuJoCo has reset the environment's simulation in mid-step. Clears the warnings that tell so."""
    mujoco: Any = sys.modules.get("mujoco")
    data = getattr(env.unwrapped, "data", None)
    if mujoco is None or not isinstance(data, mujoco.MjData):
        return False
    resetting = slice(int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADQACC) + 1)
    bad = bool(data.warning.number[resetting].any())
    data.warning.number[resetting] = 0
    return bad


def _time_limit(env: gymnasium.Env) -> int | None:
    """Steps after which the environment cuts an episode, or None where it doesn't say."""
    for layer in layers(env):
        if isinstance(layer, gymnasium.wrappers.TimeLimit):
            return int(layer._max_episode_steps)
    return env.spec.max_episode_steps if env.spec is not None else None

"""The one loop that plays: episodes in the slots of a simulator under a policy that stays as it is.

Here, and nowhere else, samplers step a simulator: actions are put into its units and clipped, what is not finite is
found and named, what blew up is set apart, steps are counted, and an interrupt is obeyed. Who uses the loop says which
episodes begin in free slots, and keeps of each step what it wants.

    play = Play(simulator, policy.actor(simulator.width).parameters, starter, interrupt, scaled=policy.scaled_actions)
    while play.fill():
        ...                   # play.obs is what the policy will see
        done = play.step()
        ...                   # play.obs is what came of it
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, NoReturn, Protocol

import numpy as np

from trpolab.numerics.arrays import all_finite
from trpolab.policies.acting import ActionBounds
from trpolab.sampling.errors import Interrupted, NonFinite
from trpolab.simulators.base import Simulator, Transition

Interrupt = Callable[[], bool]
NONE = np.zeros(0, np.int64)
NEVER = np.iinfo(np.int64).max
LARGEST_REWARD = 1e30  # in size: policies learn in float32, and squares are summed
quietly = np.errstate(invalid="ignore", over="ignore")  # what is not finite is looked for, and named


def never() -> bool:
    """The interrupt that doesn't come."""
    return False


class Begun(NamedTuple):
    """Episodes that begin, or go on, in the first n of the slots that are free."""

    names: np.ndarray  # [n] int64: what their starter calls them
    obs: np.ndarray  # [n, *O]
    ages: np.ndarray | int = 0  # [n] steps that they have lasted
    cut_at: np.ndarray | int | None = None  # [n] age at which they are cut; 0 or None: never


class Starter(Protocol):
    """Which episodes begin in free slots, and on what noise they are played."""

    def begin(self, free: np.ndarray, play: Play) -> Begun | None:
        """Put episodes into as many of the slots `free` (sorted, not empty) as are wanted, the first ones first.

        None where no episode is to begin.
        """
        ...

    def actions(self, parameters: np.ndarray, play: Play) -> np.ndarray:
        """The actions [n, *A] of the slots that play, from the policy's parameters there [n, U].

        They are in the policy's units, and unclipped.
        """
        ...

    def called(self, row: int, play: Play) -> str:
        """What an error calls the next step of the row-th slot that plays: "slot 3, step 7"."""
        ...


class PlayedStep(NamedTuple):
    """One step of the n slots that play. Arrays may be buffers: they are valid until the next `fill` or `step`."""

    parameters: np.ndarray  # [n, U]
    actions: np.ndarray  # [n, *A] in the policy's units, unclipped
    result: Transition
    over: np.ndarray  # rows of the slots whose episodes ended or were cut


class Play:
    """The loop's state: which episodes the W slots play, how old these are and what they observe.

    `slots`, `names`, `ages` and `obs` have one row for each of the n slots that play, in the order of slots. An episode
    is over where the task ends or truncates it, where the physics blows up, or at the age at which it is to be cut. Its
    slot keeps its row until the next `fill`, so that `obs` shows the true next state; after physics that blew up, the
    state before.

    """

    def __init__(
        self,
        simulator: Simulator,
        parameters: Callable[[np.ndarray], np.ndarray],
        starter: Starter,
        interrupt: Interrupt = never,
        checks: bool = True,
        *,
        scaled: bool,
    ):
        """`parameters` is the policy, from observations [n, *O] to its distributions' parameters [n, U].

        `scaled`: actions are in units of the simulator's bounds, as `policy.scaled_actions` says.

        `checks` off: rewards and observations are not looked at in each step; the caller keeps them all and has
        `first_fault` look through them later, which is faster.
        """
        self._simulator, self._parameters, self._starter = simulator, parameters, starter
        self._interrupt, self._checks = interrupt, checks
        self.bounds = ActionBounds.of(simulator.action_space, scaled)
        self.clock = 0  # steps that were taken, of however many slots
        self.sim_steps = 0  # the same, each slot's counted
        self.fresh = NONE  # rows of the slots whose episodes begin, or go on, with the next step
        width = simulator.width
        self.cut_at = np.zeros(width, np.int64)  # [W] age at which a slot's episode is cut; 0: never
        self._busy = np.zeros(width, bool)  # [W] whether a slot plays
        self._all_names, self._all_births = np.zeros((2, width), np.int64)  # [W]; births: by the clock
        self._all_obs: np.ndarray | None = None  # [W, *O], in the simulator's own type
        self._all_slots = np.arange(width)
        self._which: np.ndarray | None = NONE  # the slots that play as simulators want them: None for all
        self.slots = self.names = self._births = NONE
        self.obs: np.ndarray = NONE
        self._over, self._changed, self._next_cut = NONE, True, NEVER

    @property
    def ages(self) -> np.ndarray:
        """[n] steps that the episodes have lasted."""
        return self.clock - self._births

    @property
    def ages_under_way(self) -> np.ndarray:
        """The same of the episodes that are not over."""
        return self.clock - self._all_births[self._busy]

    def fill(self) -> bool:
        """Let episodes begin in free slots, if a slot came free; whether any slot plays."""
        if self._changed:
            self._let_begin()
        return len(self.slots) > 0

    def step(self) -> PlayedStep:
        """One step of every slot that plays. Raises Interrupted, and NonFinite with the steps spent so far."""
        if self._interrupt():
            raise Interrupted
        parameters = self._parameters(self.obs)
        actions = self._starter.actions(parameters, self)
        if (bad := first_bad_action(self.obs, parameters, actions)) is not None:
            self.refuse(self._starter.called(bad[0], self), bad[1])
        result = self._simulator.step(self._which, self.bounds.clip(actions))
        self.sim_steps += len(actions)
        if self._checks:
            fault = first_fault(result.reward[None], result.obs[None], result.unstable[None])
            if fault is not None:
                self.refuse(self._starter.called(fault[1], self), fault[2])
        self.clock += 1
        over = result.terminated | result.truncated | result.unstable
        if self.clock >= self._next_cut:
            cut_at = self.cut_at[self.slots]
            over |= (cut_at > 0) & (self.ages >= cut_at)
            self._next_cut = self._soonest_cut()
        self.fresh = self._over = NONE
        if np.count_nonzero(over):
            self._over, self._changed = np.flatnonzero(over), True
        if self._changed and np.count_nonzero(result.unstable):
            sound = ~result.unstable
            self.obs[sound] = result.obs[sound]
        else:
            self.obs[...] = result.obs
        return PlayedStep(parameters, actions, result, self._over)

    def refuse(self, called: str, field: str) -> NoReturn:
        """Raise NonFinite for a field of a step."""
        beyond = f" (or one beyond ±{LARGEST_REWARD:g})" if field == "reward" else ""
        raise NonFinite(f"{called}: non-finite {field}{beyond}", self.sim_steps)

    def _let_begin(self) -> None:
        gone = self.slots[self._over]
        self._busy[gone], self.cut_at[gone] = False, 0
        if self._which is not None and self._all_obs is not None:
            self._all_obs[self.slots] = self.obs
        free = np.flatnonzero(~self._busy)
        begun = self._starter.begin(free, self)
        self._over, self._changed, new = NONE, False, NONE
        if begun is not None:
            new = free[: len(begun.names)]
            if self._all_obs is None:
                self._all_obs = np.zeros((len(self._busy), *begun.obs.shape[1:]), begun.obs.dtype)
            self._busy[new] = True
            self._all_names[new], self._all_births[new] = begun.names, self.clock - begun.ages
            self._all_obs[new] = begun.obs
            if begun.cut_at is not None:
                self.cut_at[new] = begun.cut_at
                self._next_cut = self._soonest_cut()
        if self._all_obs is None:
            return
        if len(new) == len(free):
            self._which, self.slots, self.fresh = None, self._all_slots, new
            self.names, self._births, self.obs = self._all_names, self._all_births, self._all_obs
            return
        self._which = self.slots = np.flatnonzero(self._busy)
        self.fresh = np.searchsorted(self.slots, new)
        every = self._all_names, self._all_births, self._all_obs
        self.names, self._births, self.obs = (values[self.slots] for values in every)

    def _soonest_cut(self) -> int:
        """The clock at which the next episode is cut."""
        at = self._all_births + self.cut_at
        return int(np.min(at, where=(self.cut_at > 0) & (at > self.clock), initial=NEVER))


def first_bad_action(obs: np.ndarray, parameters: np.ndarray, actions: np.ndarray) -> tuple[int, str] | None:
    """The first row whose action must not be taken, and what is not finite there; None where all may be.

    obs [n, *O], parameters [n, U], actions [n, *A]. Actions that are floats are looked at themselves; of whole numbers,
    which are always finite, the parameters that they were drawn from.
    """
    telling = actions if actions.dtype.kind == "f" else parameters
    if all_finite(telling):
        return None
    row = int(np.argwhere(~np.isfinite(telling))[0, 0])
    sources = {"observation": obs, "policy output": parameters}
    return row, next((name for name, values in sources.items() if not all_finite(values[row])), "action")


def first_fault(rewards: np.ndarray, obs: np.ndarray, unstable: np.ndarray) -> tuple[int, int, str] | None:
    """(step, row, field) of the first reward or observation that is not finite; None where all are.

    A reward beyond ±1e30 counts as not finite.

    rewards [T, n], unstable [T, n], and obs [T, n, *O] after each step, or [T + 1, n, *O] with those before the first,
    which count as the first step's. What physics that blew up says does not count.
    """
    if np.abs(rewards).max(initial=0.0) <= LARGEST_REWARD and all_finite(obs):
        return None
    before = len(obs) - len(rewards)
    bad_rewards = ~(np.abs(rewards) <= LARGEST_REWARD) & ~unstable
    bad_obs = ~np.isfinite(obs).reshape(*obs.shape[:2], -1).all(axis=2)
    bad_obs[before:] &= ~unstable
    found = [(int(step), 0, int(row), "reward") for step, row in np.argwhere(bad_rewards)[:1]]
    found += [(int(step) - before, 1, int(row), "observation") for step, row in np.argwhere(bad_obs)[:1]]
    if not found:
        return None
    step, _, row, field = min(found)
    return max(step, 0), row, field

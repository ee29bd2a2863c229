"""Finite MDPs as arrays: what the simulator plays and what the theory solves exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

ROUNDING = 1e-9  # how far a row of probabilities may be from summing to 1


@dataclass(frozen=True, eq=False)
class FiniteMDP:
    """(S, A, P, r, ρ0, γ) of Section 2 in float64: S states, A actions. Checked when it is made; arrays are read-only.

    Rewards may be given as the paper's r(s) [S], as r(s, a) [S, A] or as r(s, a, s') [S, A, S]; they are kept as the
    last. A terminal state ends the episode: its rows are replaced, so that it leads to itself and earns nothing.

    Raises ValueError, one sentence, for arrays that do not fit together, rows that are no probabilities, a start in a
    terminal state, and γ = 1 where some state can never reach a terminal one (its return would have no limit).
    """

    transitions: np.ndarray  # [S, A, S] P(s' | s, a)
    rewards: np.ndarray  # [S, A, S] r(s, a, s')
    start: np.ndarray  # [S] ρ0
    gamma: float
    terminal: Any = None  # [S] bool; None: no state is
    name: str = "finite/arrays"
    time_limit: int | None = 100  # steps after which the simulator cuts an episode; the theory knows no limit
    places: Any = None  # [S, 2] where a picture puts the states; None: on a circle

    def __post_init__(self) -> None:
        transitions = np.array(self.transitions, np.float64)
        if transitions.ndim != 3 or transitions.shape[0] != transitions.shape[2] or 0 in transitions.shape:
            raise ValueError(f"transitions: shape {transitions.shape}, must be (S, A, S) with S, A >= 1")
        states, actions = transitions.shape[:2]
        gamma = float(self.gamma)
        if not 0 < gamma <= 1:
            raise ValueError(f"gamma = {self.gamma}: must be above 0 and at most 1")
        if self.time_limit is not None and self.time_limit < 1:
            raise ValueError(f"time_limit = {self.time_limit}: must be at least 1, or None")
        terminal = np.zeros(states, bool) if self.terminal is None else np.array(self.terminal, bool)
        if terminal.shape != (states,) or terminal.all():
            raise ValueError(f"terminal = {self.terminal}: must be {states} flags, not all of them true")
        rewards = _rewards(self.rewards, states, actions)
        over = np.flatnonzero(terminal)
        transitions[over] = 0
        transitions[over, :, over] = 1
        rewards[over] = 0
        check_rows("transitions", transitions)
        start = np.array(self.start, np.float64)
        if start.shape != (states,):
            raise ValueError(f"start: shape {start.shape}, must be ({states},), one probability a state")
        check_rows("start", start)
        if start[over].any():
            state = int(over[np.flatnonzero(start[over])[0]])
            raise ValueError(
                f"start[{state}] = {start[state]:g}: state {state} is terminal, no episode can start there"
            )
        if gamma == 1 and (stuck := never_ends(transitions.sum(1), terminal)) is not None:
            raise ValueError(
                f"gamma = 1: from state {stuck} no terminal state can be reached, so its return has no limit; "
                "give gamma < 1"
            )
        checked = {"transitions": transitions, "rewards": rewards, "start": start, "terminal": terminal}
        for name, array in checked.items():
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "places", _places(self.places, states))
        object.__setattr__(self, "gamma", gamma)

    @property
    def states(self) -> int:
        """S."""
        return len(self.start)

    @property
    def actions(self) -> int:
        """A."""
        return self.transitions.shape[1]

    @property
    def living(self) -> np.ndarray:
        """[S] bool: the states in which an action is taken."""
        return ~self.terminal

    @property
    def expected_rewards(self) -> np.ndarray:
        """r(s, a) [S, A], the next state averaged out."""
        return np.asarray(np.einsum("sat,sat->sa", self.transitions, self.rewards))


def _places(given: Any, states: int) -> np.ndarray:
    """[S, 2], one unit between neighbours."""
    if given is None:
        angle = 2 * math.pi * np.arange(states) / states
        return states / (2 * math.pi) * np.column_stack([np.sin(angle), np.cos(angle)])
    places = np.array(given, np.float64)
    if places.shape != (states, 2) or not np.isfinite(places).all():
        raise ValueError(f"places: shape {places.shape}, must be ({states}, 2) finite numbers")
    return places


def _rewards(given: Any, states: int, actions: int) -> np.ndarray:
    """As r(s, a, s') [S, A, S], its own memory."""
    rewards = np.array(given, np.float64)
    allowed = ((states,), (states, actions), (states, actions, states))
    if rewards.shape not in allowed:
        raise ValueError(f"rewards: shape {rewards.shape}, must be one of {', '.join(map(str, allowed))}")
    if not np.isfinite(rewards).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(rewards))[0])
        raise ValueError(f"rewards{list(where)} = {rewards[where]}: must be finite")
    rewards = rewards.reshape(rewards.shape + (1,) * (3 - rewards.ndim))
    return np.array(np.broadcast_to(rewards, (states, actions, states)))


def check_rows(name: str, rows: np.ndarray) -> None:
    """Raise ValueError, naming the row, unless every row along the last axis is a distribution."""
    if (rows >= 0).all() and np.abs(rows.sum(-1) - 1).max() <= ROUNDING:  # false for a NaN
        return
    table = rows.reshape(-1, rows.shape[-1])
    first = int(np.flatnonzero(~((table >= 0).all(1) & (np.abs(table.sum(1) - 1) <= ROUNDING)))[0])
    where = [int(i) for i in np.unravel_index(first, rows.shape[:-1])] if rows.ndim > 1 else ""
    row = table[first]
    wrong = f"sums to {row.sum():.10g}" if (row >= 0).all() else f"holds {row[~(row >= 0)][0]:g}"
    raise ValueError(f"{name}{where} {wrong}: probabilities must be >= 0 and sum to 1")


def never_ends(moves: np.ndarray, terminal: np.ndarray) -> int | None:
    """The first state from which no terminal one can be reached by moves [S, S] > 0; None if all can."""
    reaches = terminal.copy()
    for _ in range(len(terminal)):
        reaches |= (moves[:, reaches] > 0).any(1)
    return None if reaches.all() else int(np.flatnonzero(~reaches)[0])


def random_mdp(
    states: int,
    actions: int,
    *,
    branching: int | None = None,
    gamma: float = 0.9,
    generator: np.random.Generator,
    name: str = "finite/arrays",
) -> FiniteMDP:
    """A Garnet: each (s, a) leads to `branching` states (all, where None), r(s, a) is normal, ρ0 uniform.

    Transition probabilities are the gaps between uniform cuts of [0, 1] (Archibald, McKinnon and Thomas 1995).
    """
    if states < 1 or actions < 1:
        raise ValueError(f"states = {states}, actions = {actions}: both must be at least 1")
    count = states if branching is None else branching
    if not 1 <= count <= states:
        raise ValueError(f"branching = {branching}: must be between 1 and the {states} states")
    next_states = generator.permuted(np.tile(np.arange(states), (states * actions, 1)), axis=1)[:, :count]
    cuts = np.sort(generator.random((states * actions, count - 1)), axis=1)
    transitions = np.zeros((states * actions, states))
    np.put_along_axis(transitions, next_states, np.diff(cuts, axis=1, prepend=0.0, append=1.0), axis=1)
    return FiniteMDP(
        transitions.reshape(states, actions, states),
        generator.normal(size=(states, actions)),
        np.full(states, 1 / states),
        gamma,
        name=name,
    )


def chain(states: int = 8, *, slip: float = 0.1, gamma: float = 0.95) -> FiniteMDP:
    """A corridor without an end: action 0 steps left, 1 right, either fails with `slip` and goes the other way.

    The paper's r(s): 1 at the right end, 0.1 at the left end, where every episode starts.
    """
    if states < 2:
        raise ValueError(f"states = {states}: a chain has at least 2")
    _check_slip(slip)
    here = np.arange(states)
    left, right = np.maximum(here - 1, 0), np.minimum(here + 1, states - 1)
    transitions = np.zeros((states, 2, states))
    for action, (meant, other) in enumerate(((left, right), (right, left))):
        transitions[here, action, meant] += 1 - slip
        transitions[here, action, other] += slip  # never the same state: a chain has two at least
    rewards = np.zeros(states)
    rewards[0], rewards[-1] = 0.1, 1.0
    line, name = np.column_stack([here, np.zeros(states)]), f"finite/chain-{states}"
    return FiniteMDP(transitions, rewards, np.eye(states)[0], gamma, name=name, places=line)


def gridworld(rows: int = 4, columns: int = 4, *, slip: float = 0.1, gamma: float = 0.95) -> FiniteMDP:
    """From the top left corner to the bottom right one, which is terminal; every step costs 1.

    Actions 0 … 3 go up, right, down, left; with `slip` a random one of the four is taken instead. A step
    into a wall stays in place.
    """
    if rows < 1 or columns < 1 or rows * columns < 2:
        raise ValueError(f"rows = {rows}, columns = {columns}: a gridworld has at least 2 cells")
    _check_slip(slip)
    states = rows * columns
    row, column = np.divmod(np.arange(states), columns)
    moves = np.zeros((states, 4, states))
    for action, (down, right) in enumerate(((-1, 0), (0, 1), (1, 0), (0, -1))):
        to = np.clip(row + down, 0, rows - 1) * columns + np.clip(column + right, 0, columns - 1)
        moves[np.arange(states), action, to] = 1
    transitions = (1 - slip) * moves + slip * moves.mean(1, keepdims=True)
    terminal = np.arange(states) == states - 1
    name, cells = f"finite/gridworld-{rows}x{columns}", np.column_stack([column, -row])
    return FiniteMDP(transitions, -np.ones(states), np.eye(states)[0], gamma, terminal, name, places=cells)


def _check_slip(slip: float) -> None:
    if not (math.isfinite(slip) and 0 <= slip <= 1):
        raise ValueError(f"slip = {slip}: must be between 0 and 1")

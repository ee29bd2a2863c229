"""The seed and the actions of each slot's episode, from which it can be replayed, and its score, to compare with."""

from __future__ import annotations

from typing import Any

import numpy as np

from trpolab.simulators.base import SnapshotUnsupported

LONGEST = 100_000  # steps of an episode that are remembered
_UNKNOWN = -1


class Past:
    """The seeds and actions of W slots since their last reset."""

    def __init__(self, slots: int):
        self._seed = np.full(slots, _UNKNOWN, np.int64)
        self._steps = np.zeros(slots, np.int64)
        self.score = np.zeros(slots)  # rewards since, summed; whoever steps adds them
        self._actions: list[np.ndarray | None] = [None] * slots  # [room, *A], grown by doubling

    def begin(self, slot: int, seed: int) -> None:
        """The slot was reset with this seed."""
        self._seed[slot], self._steps[slot], self.score[slot] = seed, 0, 0.0

    def add(self, slot: int, action: Any) -> None:
        """The slot took this action."""
        if self._seed[slot] == _UNKNOWN:
            return
        done, room = int(self._steps[slot]), self._actions[slot]
        if done >= LONGEST:
            self.forget(slot)
            return
        if room is None:
            room = self._actions[slot] = np.empty((64, *np.shape(action)), np.asarray(action).dtype)
        elif done == len(room):
            room = self._actions[slot] = np.concatenate([room, np.empty_like(room)])
        room[done] = action
        self._steps[slot] = done + 1

    def forget(self, slot: int) -> None:
        """The slot's past is not known: its state was restored, or the episode is too long."""
        self._seed[slot], self._steps[slot], self._actions[slot] = _UNKNOWN, 0, None

    def arrays(self) -> dict[str, np.ndarray]:
        """`seed` [W], `steps` [W], `score` [W] and `actions` [sum of steps, *A], slot by slot.

        Raises SnapshotUnsupported if a slot's past is not known from its beginning.
        """
        if (self._seed == _UNKNOWN).any():
            slot = int(np.argmax(self._seed == _UNKNOWN))
            raise SnapshotUnsupported(
                f"slot {slot}: its episode was not followed from its start, or lasts longer than {LONGEST:,} steps"
            )
        lived = [room[:done] for room, done in zip(self._actions, self._steps, strict=True) if room is not None]
        actions = np.concatenate(lived) if lived else np.zeros((0,))
        by_slot = {"seed": self._seed.copy(), "steps": self._steps.copy(), "score": self.score.copy()}
        return {**by_slot, "actions": actions}

"""Atari games on `ale_py.ALEInterface`: slots are emulators that step in turn, in this process.

Emulators hold the interpreter's lock while they step, so samplers run these simulators in worker processes.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from trpolab.simulators.atari.games import AtariGame, action_table, console, describe, frame_size, open_emulator
from trpolab.simulators.atari.pixels import STACK, quarter, resized
from trpolab.simulators.base import Snapshot, TaskSimulator, Transition, refuse_misfit

NOOP = 0
FRAMES_PER_SECOND = 60  # of the console


class AtariSimulator(TaskSimulator):
    """W games (see `Simulator`). Observations are the last four frames, oldest first: [n, 4, H, W] uint8. There are no
    bodies to draw: ask for `screens`.

    An episode is a whole game. Without sticky actions a game has no noise of its own, and all begin alike whatever the
    seed. The emulator's saved state has no screen, so a snapshot holds the four frames and the step counter with it.
    """

    def __init__(self, game: AtariGame, slots: int):
        super().__init__(describe(game), slots)
        self._game, self._console = game, console(game.name)
        self._actions = action_table(game)
        self._dqn = game.config.pixels == "dqn"
        self._emulators: list[Any] = [None] * slots  # each opened when its slot is first used: it takes a while
        self._screens = np.zeros((2, self._console.height, self._console.width), np.uint8)
        self._stacks = np.zeros((slots, STACK, *frame_size(game)), np.uint8)
        self._steps = np.zeros(slots, np.int64)
        self._start: tuple[Any, np.ndarray] | None = None  # of every game, where it has no noise
        self._palette, self._known = np.zeros((256, 3), np.uint8), np.zeros(256, bool)  # colours seen so far

    def reset(self, slots: np.ndarray | None, seeds: np.ndarray) -> np.ndarray:
        """Start new games. Obs [n, 4, H, W], four times the first frame."""
        self._refuse_seeds(slots, seeds)
        ids = self._ids(slots)
        for slot, seed in zip(ids, seeds, strict=True):
            if self._game.config.sticky > 0:
                self._emulators[slot] = None  # its generator is seeded once, when it is opened
                self._stacks[slot] = self._look(self._emulator(slot, int(seed) % 2**31), 1)
                continue
            emulator = self._emulator(slot)
            if self._start is None:  # not from this slot: its first game may have been a restored one
                self._start = (self._first.cloneState(), self._look(self._first, 1))
            state, frame = self._start
            emulator.restoreState(state)  # a hundredth of the time of a reset, and independent of what was before
            self._stacks[slot] = frame
        self._steps[ids] = 0
        return self._stacks[ids]

    def step(self, slots: np.ndarray | None, actions: np.ndarray) -> Transition:
        """Advance by one decision: actions [n], or [n, 3] where they are factored. Rewards are the game's own."""
        ids = self._ids(slots)
        refuse_misfit(self.action_space, actions, len(ids))
        numbers = self._actions[tuple(np.asarray(actions).T)] if self._actions.ndim > 1 else self._actions[actions]
        reward, over = np.zeros(len(ids)), np.zeros(len(ids), bool)
        stacks, skip = self._stacks, self._game.frame_skip
        for n, (slot, number) in enumerate(zip(ids.tolist(), numbers.tolist(), strict=True)):
            emulator, total, frames = self._emulators[slot], 0, 0
            while frames < skip and not over[n]:
                if self._dqn and frames == skip - 1:
                    emulator.getScreenGrayscale(self._screens[1])
                total += emulator.act(number)
                frames += 1
                over[n] = emulator.game_over(with_truncation=False)
            reward[n] = total
            frame = self._look(emulator, frames)
            stacks[slot, :-1] = stacks[slot, 1:]
            stacks[slot, -1] = frame
        self._steps[ids] += 1
        limit = self.time_limit
        truncated = np.zeros(len(ids), bool) if limit is None else (self._steps[ids] >= limit) & ~over
        return Transition(stacks if slots is None else stacks[ids], reward, over, truncated, np.zeros(len(ids), bool))

    def snapshot(self, slots: np.ndarray | None) -> Snapshot:
        """The emulators' states, byte by byte, the frames and the step counters."""
        self._demand_restore()
        ids = self._ids(slots)
        states = [np.frombuffer(self._emulators[slot].cloneState().serialize(), np.uint8) for slot in ids]
        return Snapshot({"state": np.stack(states), "stack": self._stacks[ids], "steps": self._steps[ids]})

    def restore(self, slots: np.ndarray | None, snapshot: Snapshot, seeds: np.ndarray | None = None) -> np.ndarray:
        """Put saved games into the slots. A game has no noise of its own, so `seeds` change nothing."""
        from ale_py import ALEState

        self._demand_restore()
        ids = self._ids(slots)
        expected = (len(ids), *self._stacks.shape[1:])
        if {*snapshot.parts} != {"state", "stack", "steps"} or snapshot.parts["stack"].shape != expected:
            got = {name: part.shape for name, part in snapshot.parts.items()}
            raise ValueError(f"{self.task}: a snapshot of {len(ids)} slots has frames {expected}, got {got}")
        for slot, state in zip(ids, snapshot.parts["state"], strict=True):
            self._emulator(slot).restoreState(ALEState(state.tobytes()))
        self._stacks[ids] = snapshot.parts["stack"]
        self._steps[ids] = snapshot.parts["steps"]
        return self._stacks[ids]

    @property
    def seconds(self) -> float:
        """Seconds of the console's own time that one decision lasts."""
        return self._game.frame_skip / FRAMES_PER_SECOND

    def screens(self, slots: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """The console's screens, for people: colour numbers [n, H, W] uint8, and the RGB of each, [256, 3] uint8.

        The second array is the simulator's own: colours that no screen has shown so far are black in it, and filled in
        later. After a restore a screen lags by one step; after a reset it is that of the start.
        """
        shown = [self._shown(slot) for slot in self._ids(slots)]
        numbers = np.stack([emulator.getScreen() for emulator in shown])
        for emulator, screen in zip(shown, numbers, strict=True):
            if not self._known[screen].all():
                self._palette[screen] = emulator.getScreenRGB()
                self._known[screen] = True
        return numbers, self._palette

    def _shown(self, slot: int) -> Any:
        """The emulator that shows a slot's screen: at the start `_first`, as a restored one shows an old screen."""
        fresh = self._steps[slot] == 0 and self._game.config.sticky == 0
        return self._first if fresh else self._emulator(slot)

    @cached_property
    def _first(self) -> Any:
        """An emulator that stands at the start, where all games begin alike."""
        return self._opened()

    def _emulator(self, slot: int, seed: int = 0) -> Any:
        """The slot's emulator, opened if it was not."""
        if self._emulators[slot] is None:
            self._emulators[slot] = self._opened(seed)
        return self._emulators[slot]

    def _opened(self, seed: int = 0) -> Any:
        """An emulator in a game that is one frame old.

        The frame with no action is for Q*bert and Tetris: ale-py 0.12 does not save a flag that only the first frame
        after a reset sets right, so a state saved before it, or restored into an emulator before it, goes on otherwise.
        """
        emulator = open_emulator(self._console.rom, self._game.config.sticky, seed)
        emulator.reset_game()
        emulator.act(NOOP)
        return emulator

    def _look(self, emulator: Any, frames: int) -> np.ndarray:
        """The frame that the policy sees, after a decision of so many frames."""
        last, before = self._screens
        emulator.getScreenGrayscale(last)
        if not self._dqn:
            return quarter(last)
        return resized(np.maximum(last, before) if frames == self._game.frame_skip > 1 else last)

"""The Atari games: their settings, the actions of each, and the tasks that they pose. Needs ale-py."""

from __future__ import annotations

import difflib
import importlib.util
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete, MultiDiscrete

from trpolab.extras import explained
from trpolab.settings import ConfigError, Part, faults_of, setting
from trpolab.simulators.atari.pixels import DQN_SIZE, STACK, paper_size
from trpolab.simulators.base import Task, UnknownTask

PREFIX, SUFFIX = "ALE/", "-v5"
PAPER_GAMES = ("BeamRider", "Breakout", "Enduro", "Pong", "Qbert", "Seaquest", "SpaceInvaders")
LONGEST = 108_000  # frames of a game: half an hour, as in Gymnasium
TYPICAL = 1000  # decisions of a game at the start of training, roughly
BLOCK = 8  # slots whose actions are computed at a time, and that a worker process plays
FOR_TWO_PLAYERS = {"combat", "joust", "maze_craze", "warlords"}  # nothing for one player alone
# [left, none, right][up, none, down][no fire, fire]: the console's own numbers of its 18 actions
JOYSTICK = np.array([[[7, 15], [4, 12], [9, 17]], [[2, 10], [0, 1], [5, 13]], [[6, 14], [3, 11], [8, 16]]])
FACTORS = [3, 3, 2]
STICKY = (
    "atari.sticky is above 0, and a saved emulator does not hold the action that it would repeat: one in eight replays "
    "would come out differently"
)


@dataclass(frozen=True)
class Atari(Part):
    """How `ALE/...` tasks are shown and played; other tasks don't read it."""

    pixels: str = setting(
        "paper",
        "what is seen of the last four frames: a quarter of the screen's size (the paper), or 84 x 84 with the maximum "
        "of two frames (Mnih et al. 2015)",
        choices=("paper", "dqn"),
        source="Section 8.2",
        live=False,
    )
    frame_skip: int | None = setting(
        None, "frames that an action lasts (none: 4, and 3 in Space Invaders)", low=1, high=60, live=False
    )
    actions: str = setting(
        "auto",
        "all 18 positions of the joystick, or the game's own minimal set (auto: full with paper pixels, else minimal)",
        choices=("auto", "full", "minimal"),
        live=False,
    )
    factored: bool | None = setting(
        None,
        "the 18 actions as a tuple of 3 x 3 x 2 (Appendix D); none: with paper pixels, where all 18 are there",
        source="App. D",
        live=False,
    )
    clip_rewards: bool = setting(
        False, "learn from the sign of each reward (Mnih et al. 2013); scores are always the game's own"
    )
    sticky: float = setting(
        0.0,
        "probability with which the console repeats its last action, frame by frame",
        low=0,
        high=1,
        open_high=True,
        live=False,
    )


@dataclass(frozen=True)
class AtariGame:
    """A game under its settings; `make` takes it in place of a name."""

    name: str  # "ALE/Pong-v5"
    config: Atari = field(default_factory=Atari)

    @property
    def frame_skip(self) -> int:
        """Frames that an action lasts: with 4, the lasers of Space Invaders would never be seen (Mnih et al. 2013)."""
        if self.config.frame_skip is not None:
            return self.config.frame_skip
        return 3 if self.name == f"{PREFIX}SpaceInvaders{SUFFIX}" else 4

    @property
    def full(self) -> bool:
        """Whether all 18 actions are there."""
        return self.config.actions == "full" or (self.config.actions == "auto" and self.config.pixels == "paper")

    @property
    def factored(self) -> bool:
        """Whether an action is a tuple (left-right, up-down, fire)."""
        if self.config.factored is None:
            return self.full and self.config.pixels == "paper"
        return self.config.factored


@dataclass(frozen=True)
class Console:
    """Facts about a game from its emulator."""

    rom: str  # path
    height: int
    width: int
    minimal: tuple[int, ...]  # actions that do something, by the console's own numbers


def installed() -> bool:
    """Whether ale-py is there."""
    return importlib.util.find_spec("ale_py") is not None


def task_names() -> tuple[str, ...]:
    """The seven games of the paper."""
    return tuple(f"{PREFIX}{name}{SUFFIX}" for name in PAPER_GAMES)


def open_emulator(rom: str, sticky: float, seed: int = 0) -> Any:
    """An emulator with a game loaded, silent, showing every frame."""
    from ale_py import ALEInterface, LoggerMode

    ALEInterface.setLoggerMode(LoggerMode.Error)
    emulator = ALEInterface()
    emulator.setFloat("repeat_action_probability", sticky)  # its own default is 0.25
    emulator.setInt("random_seed", seed)
    emulator.loadROM(rom)
    return emulator


@cache
def console(name: str) -> Console:
    """The game of this name.

    Raises UnknownTask with the nearest names, and ImportError that says what to install where ale-py is missing.
    """
    with explained(name):
        from ale_py import roms
    known = {
        f"{PREFIX}{rom.title().replace('_', '')}{SUFFIX}": rom
        for rom in roms.get_all_rom_ids()
        if rom not in FOR_TWO_PLAYERS
    }
    if name not in known:
        bare = {_bare(task): task for task in known}
        close = [bare[match] for match in difflib.get_close_matches(_bare(name), bare, n=4, cutoff=0.5)]
        told = (
            f"nearest: {', '.join(close)}" if close else f"known: {', '.join(task_names())} and {len(known) - 7} more"
        )
        raise UnknownTask(f"unknown game {name!r}; {told}")
    emulator = open_emulator(str(roms.get_rom_path(known[name])), 0.0)
    height, width = emulator.getScreenDims()
    minimal = tuple(int(action.value) for action in emulator.getMinimalActionSet())
    return Console(str(roms.get_rom_path(known[name])), height, width, minimal)


def _bare(name: str) -> str:
    return name.removeprefix(PREFIX).removesuffix(SUFFIX).lower()


def frame_size(game: AtariGame) -> tuple[int, int]:
    """Height and width of one frame as the policy sees it."""
    about = console(game.name)
    return paper_size(about.height, about.width) if game.config.pixels == "paper" else (DQN_SIZE, DQN_SIZE)


def action_table(game: AtariGame) -> np.ndarray:
    """The console's number of each action: [18] or [n], or [3, 3, 2] where actions are factored."""
    if game.factored:
        return JOYSTICK
    return np.arange(18) if game.full else np.array(console(game.name).minimal)


@cache
def describe(game: AtariGame) -> Task:
    """The task of a game under its settings. Raises UnknownTask, ImportError, ConfigError, ValueError."""
    if wrong := faults_of("atari", game.config):
        raise ConfigError(wrong)
    minimal = console(game.name).minimal
    if game.factored and not game.full:
        raise ValueError(
            f"atari.factored = true: 3 x 3 x 2 needs all 18 actions, and the minimal set of {game.name} has "
            f"{len(minimal)}: use atari.actions = 'full', or atari.factored = false"
        )
    actions: Space = MultiDiscrete(FACTORS) if game.factored else Discrete(action_table(game).size)
    return Task(
        name=game.name,
        observation_space=Box(0, 255, (STACK, *frame_size(game)), np.uint8),
        action_space=actions,
        time_limit=LONGEST // game.frame_skip,
        can_restore=game.config.sticky == 0,
        restore_reason="" if game.config.sticky == 0 else STICKY,
        proven=True,
        typical=TYPICAL,
        defaults=DEFAULTS,
        paper_defaults=PAPER_DEFAULTS,
        block=BLOCK,
        runs_in_processes=True,
        sees_pixels=True,
        clip_rewards=game.config.clip_rewards,
    )


# "auto": an update on pixels is long enough for CUDA to pay, where there is one; sampling stays on the CPU
_NETWORK = {"hidden": (20,), "normalize_observations": False, "device": "auto", "evaluate_deterministic": False}
_PIXELS = {**_NETWORK, "proposal": "uniform"}
_GAE = {"gamma": 0.99, "lam": 0.95, "value.hidden": (20,)}
_VINE = {"vine.trunks": 8, "vine.trunk_length": 500, "vine.states": 100, "vine.rollout_length": 50}
_STEPS = {"steps_per_iteration": 8192, "slots": 32, "delta": 0.01, "fisher_fraction": 0.1}
DEFAULTS: dict[str, Any] = {**_PIXELS, **_GAE, **_VINE, **_STEPS, "atari.clip_rewards": True}
# Table 3: 500 iterations; 100,000 steps by single path, 400,000 by vine with about four branches a state. How long
# trunks and branches were is not stated: 2,000 states, four branches of 45 steps and 40 trunks of 1,000 make 400,000.
_PAPER_STEPS = {"steps_per_iteration": 100_000, "slots": 64, "iterations": 500, "path.horizon": LONGEST // 4}
_PAPER_VINE = {"vine.trunks": 40, "vine.trunk_length": 1000, "vine.states": 2000, "vine.rollout_length": 45}
PAPER_DEFAULTS: dict[str, Any] = {
    **_PIXELS,
    **_PAPER_STEPS,
    **_PAPER_VINE,
    "vine.actions": 4,
    "checkpoint_every": 1,  # an iteration takes minutes
}

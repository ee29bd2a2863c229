"""Atari games by name, `ALE/...`. ale-py is loaded when one of them is used."""

from __future__ import annotations

from trpolab.simulators.atari import games
from trpolab.simulators.atari.games import Atari, AtariGame
from trpolab.simulators.base import Simulator, Task
from trpolab.simulators.registry import SimulatorKind


def takes(source: object) -> bool:
    """Whether it is a game or names one."""
    return isinstance(source, AtariGame) or (isinstance(source, str) and source.startswith(games.PREFIX))


def game_of(source: str | AtariGame) -> AtariGame:
    """The game that was given or named."""
    return AtariGame(source) if isinstance(source, str) else source


def describe(source: str | AtariGame) -> Task:
    """The task of the game. Raises UnknownTask, ImportError, ConfigError, ValueError."""
    return games.describe(game_of(source))


def make(source: str | AtariGame, slots: int, threads: int) -> Simulator:
    """A simulator of the game, in this process; its slots step in turn."""
    describe(source)
    from trpolab.simulators.atari.atari_simulator import AtariSimulator

    return AtariSimulator(game_of(source), slots)


KIND = SimulatorKind(
    name="atari",
    label="Atari",
    doc="games seen as pixels, played in worker processes",
    source="Section 8.2",
    settings=Atari,
    takes=takes,
    names=lambda: games.task_names() if games.installed() else (),
    describe=describe,
    make=make,
    configured=lambda source, settings: AtariGame(game_of(source).name, settings),
)

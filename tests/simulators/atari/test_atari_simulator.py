"""Atari: what a policy sees, what its actions do, and restores that are exact in all of the paper's games."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from tests.simulators.contract import all_slots
from trpolab.selftest.physics import random_actions, trace
from trpolab.settings import ConfigError
from trpolab.simulators import Atari, AtariGame, SnapshotUnsupported, find_task, make
from trpolab.simulators.atari.games import JOYSTICK, task_names
from trpolab.simulators.atari.pixels import quarter, resized
from trpolab.training.config import resolve

GAMES = task_names()


@pytest.mark.reliability("R18")
@pytest.mark.parametrize("game", GAMES)
def test_restores_are_exact(game: str) -> None:
    """From right after a reset and from mid-game, into the same and another emulator, after other actions."""
    simulator, other = make(game, 2), make(game, 1)
    simulator.reset(None, np.array([1, 2]))
    slot, actions = np.array([0]), random_actions(simulator, 40, 1, seed=1)
    for _ in range(2):  # the second time in mid-game
        seen = simulator.snapshot(slot)
        before = simulator.restore(slot, seen).copy()
        expected = trace(simulator, slot, actions)
        trace(simulator, slot, random_actions(simulator, 15, 1, seed=2))
        assert np.array_equal(simulator.restore(slot, seen), before)
        assert trace(simulator, slot, actions) == expected
        other.reset(None, np.array([3]))
        assert np.array_equal(other.restore(None, seen), before)
        assert trace(other, slot, actions) == expected
        trace(simulator, slot, random_actions(simulator, 30, 1, seed=3))


@pytest.mark.reliability("R18")
def test_qbert_restores_from_its_first_moment_into_an_emulator_that_was_just_reset() -> None:
    first, second = make("ALE/Qbert-v5", 1), make("ALE/Qbert-v5", 1)
    for simulator in (first, second):
        simulator.reset(None, np.array([0]))
    saved = first.snapshot(None)
    for seed in range(3):
        actions = random_actions(first, 60, 1, seed)
        second.reset(None, np.array([seed]))
        second.restore(None, saved)
        first.restore(None, saved)
        assert trace(first, all_slots(first), actions) == trace(second, all_slots(second), actions)


def test_many_restores_do_not_grow() -> None:
    simulator = make("ALE/Qbert-v5", 1)
    simulator.reset(None, np.array([0]))
    saved = simulator.snapshot(None)
    actions = random_actions(simulator, 2, 1, seed=4)
    expected = trace(simulator, all_slots(simulator), actions)
    for _ in range(2000):
        simulator.restore(None, saved)
    assert trace(simulator, all_slots(simulator), actions) == expected


def refuses_the_vine_when_sticky() -> None:
    """In the task's description, in the simulator and in the settings; nor may games go on across iterations."""
    sticky = AtariGame("ALE/Pong-v5", Atari(sticky=0.25))
    about = find_task(sticky)
    assert not about.can_restore and "atari.sticky" in about.restore_reason
    simulator = make(sticky, 1)
    simulator.reset(None, np.array([0]))
    with pytest.raises(SnapshotUnsupported, match="ALE/Pong-v5 cannot be restored exactly"):
        simulator.snapshot(None)
    with pytest.raises(ConfigError, match=r"sampler = .vine.: ALE/Pong-v5 can.t be restored exactly .*sticky"):
        resolve(find_task("ALE/Pong-v5"), overrides={"sampler": "vine", "atari.sticky": 0.25})
    with pytest.raises(ConfigError, match=r"episodes that go on .*Pong.*atari.sticky.*path.whole = true"):
        resolve(find_task("ALE/Pong-v5"), overrides={"atari.sticky": 0.25})
    resolve(find_task("ALE/Pong-v5"), "paper", {"atari.sticky": 0.25})


@pytest.mark.reliability("R19")
def test_sticky_actions_refuse_the_vine_and_say_why() -> None:
    refuses_the_vine_when_sticky()


def test_sticky_games_are_decided_by_their_seeds() -> None:
    simulator = make(AtariGame("ALE/Breakout-v5", Atari(sticky=0.5)), 3)
    simulator.reset(None, np.array([7, 7, 8]))
    actions = np.repeat(random_actions(simulator, 40, 1, seed=5), 3, axis=1)
    first, second, third = trace(simulator, all_slots(simulator), actions)
    assert first == second != third


@pytest.mark.parametrize(
    ("settings", "observations", "actions"),
    [
        ({}, (4, 52, 40), "MultiDiscrete([3 3 2])"),
        ({"factored": False}, (4, 52, 40), "Discrete(18)"),
        ({"actions": "minimal"}, (4, 52, 40), "Discrete(6)"),
        ({"pixels": "dqn"}, (4, 84, 84), "Discrete(6)"),
        ({"pixels": "dqn", "actions": "full"}, (4, 84, 84), "Discrete(18)"),
        ({"pixels": "dqn", "actions": "full", "factored": True}, (4, 84, 84), "MultiDiscrete([3 3 2])"),
    ],
)
def test_spaces_follow_the_settings(settings: dict, observations: tuple[int, ...], actions: str) -> None:
    simulator = make(AtariGame("ALE/Pong-v5", Atari(**settings)), 1)
    assert simulator.reset(None, np.array([0])).shape == (1, *observations)
    assert str(simulator.action_space) == actions
    assert find_task(AtariGame("ALE/Pong-v5", Atari(**settings))).observation_space.shape == observations


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"atari.frame_skip": 0}, "atari.frame_skip = 0: must be >= 1"),
        ({"atari.pixels": "big"}, "atari.pixels = 'big': must be one of paper, dqn"),
        ({"atari.factored": True, "atari.actions": "minimal"}, "3 x 3 x 2 needs all 18 actions, and the minimal set"),
        ({"atari.pixels": "dqn", "atari.factored": True}, "use atari.actions = 'full', or atari.factored = false"),
        ({"normalize_observations": True}, "pixels go in as 0 to 1"),
        ({"steps_per_iteration": 10**9}, "GiB"),
        ({"method": "cem"}, "seen as pixels"),
    ],
)
def test_bad_settings_are_told(settings: dict, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        resolve(find_task("ALE/Pong-v5"), overrides=settings)


def test_the_joystick_has_all_18_actions_in_their_places() -> None:
    from ale_py import Action

    across, along, fire = ("LEFT", "", "RIGHT"), ("UP", "", "DOWN"), ("", "FIRE")
    for i, j, k in np.ndindex(3, 3, 2):
        name = f"{along[j]}{across[i]}{fire[k]}" or "NOOP"
        assert JOYSTICK[i, j, k] == getattr(Action, name).value
    assert sorted(JOYSTICK.ravel()) == list(range(18))


def test_frames_last_four_and_in_space_invaders_three() -> None:
    assert AtariGame("ALE/Pong-v5").frame_skip == 4
    assert AtariGame("ALE/SpaceInvaders-v5").frame_skip == 3
    assert AtariGame("ALE/SpaceInvaders-v5", Atari(frame_skip=5)).frame_skip == 5
    assert find_task("ALE/SpaceInvaders-v5").time_limit == 36_000


def test_a_game_equals_the_emulator_driven_by_hand() -> None:
    """Rewards, ends and the newest frame; the start is the frame after a reset and one frame of nothing."""
    from ale_py import ALEInterface, roms

    emulator = ALEInterface()
    emulator.setFloat("repeat_action_probability", 0.0)
    emulator.loadROM(str(roms.get_rom_path("breakout")))
    emulator.reset_game()
    emulator.act(0)
    simulator = make("ALE/Breakout-v5", 1)
    obs = simulator.reset(None, np.array([0]))
    first = means(emulator.getScreenGrayscale())
    assert np.array_equal(obs[0], np.stack([first] * 4))
    frames = [first] * 4
    for action in random_actions(simulator, 250, 1, seed=6)[:, 0]:
        reward = 0
        for _ in range(4):
            reward += emulator.act(int(JOYSTICK[tuple(action)]))
            if emulator.game_over():
                break
        frames.append(means(emulator.getScreenGrayscale()))
        result = simulator.step(None, action[None])
        assert result.reward[0] == reward and result.terminated[0] == emulator.game_over()
        assert np.array_equal(result.obs[0], np.stack(frames[-4:]))
        if result.terminated[0]:
            break
    assert result.terminated[0], "random play of Breakout ends well before that"


def test_screens_are_those_of_the_emulators_in_their_colours() -> None:
    """Of some slots, of all, and after a reset."""
    simulator = make("ALE/Seaquest-v5", 3)
    simulator.reset(None, np.array([0, 0, 0]))
    start = simulator.screens(None)[0].copy()
    for actions in random_actions(simulator, 60, 3, seed=7):
        simulator.step(None, actions)
    numbers, palette = simulator.screens(np.array([0, 2]))
    assert numbers.shape == (2, 210, 160) and palette.shape == (256, 3)
    for slot, screen in zip((0, 2), numbers, strict=True):
        assert np.array_equal(palette[screen], simulator._emulators[slot].getScreenRGB())
    assert not np.array_equal(numbers[0], start[0])
    simulator.reset(np.array([0]), np.array([1]))
    again, _ = simulator.screens(None)
    assert np.array_equal(again[0], start[0]) and np.array_equal(again[2], numbers[1])
    assert simulator.seconds == pytest.approx(1 / 15)
    assert make("ALE/SpaceInvaders-v5", 1).seconds == pytest.approx(1 / 20)


def means(grey: np.ndarray) -> np.ndarray:
    """Block means the plain way."""
    blocks = grey[1:209].reshape(52, 4, 40, 4).astype(float).mean(axis=(1, 3))
    return np.floor(blocks + 0.5).astype(np.uint8)


def test_the_maximum_of_two_frames_shows_what_blinks() -> None:
    from ale_py import ALEInterface, roms

    emulator = ALEInterface()
    emulator.setFloat("repeat_action_probability", 0.0)
    emulator.loadROM(str(roms.get_rom_path("space_invaders")))
    emulator.reset_game()
    emulator.act(0)
    simulator = make(AtariGame("ALE/SpaceInvaders-v5", Atari(pixels="dqn", frame_skip=4)), 1)
    simulator.reset(None, np.array([0]))
    for _ in range(30):
        screens = []
        for _ in range(4):
            emulator.act(1)
            screens.append(emulator.getScreenGrayscale())
        result = simulator.step(None, np.array([1]))
        assert np.array_equal(result.obs[0, -1], resized(np.maximum(screens[-1], screens[-2])))


def test_pixels_keep_their_mean_brightness() -> None:
    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (210, 160), dtype=np.uint8)
    assert quarter(grey).shape == (52, 40) and resized(grey).shape == (84, 84)
    assert np.array_equal(quarter(grey), means(grey))
    assert abs(resized(grey).mean() - grey.mean()) < 0.5
    for value in (0, 1, 254, 255):
        assert (quarter(np.full((210, 160), value, np.uint8)) == value).all()
        assert (resized(np.full((210, 160), value, np.uint8)) == value).all()


def test_without_ale_py_the_error_names_the_command() -> None:
    code = """
import sys
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "ale_py":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Gone())
import trpolab
try:
    trpolab.make("ALE/Pong-v5", 1)
except ImportError as error:
    print(error)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == 'ALE/Pong-v5 needs ale_py, which is not installed: pip install "trpolab[atari]"'


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"frame_skip": 0}, "atari.frame_skip = 0: must be >= 1 and <= 60"),
        ({"pixels": "rgb"}, "atari.pixels = 'rgb': must be one of paper, dqn"),
        ({"sticky": 1.0}, "atari.sticky = 1.0: must be >= 0 and < 1"),
        ({"actions": "all"}, "atari.actions = 'all': must be one of auto, full, minimal"),
    ],
)
def test_make_checks_a_games_settings_as_a_run_does(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        make(AtariGame("ALE/Pong-v5", Atari(**settings)), 1)

"""What environments draw of themselves, and what is said where they draw nothing."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from trpolab.simulators import make
from trpolab.simulators.base import PictureError
from trpolab.simulators.registry import drawn

SEEDS, SLOT = np.array([3]), np.array([0])


class Painter(gymnasium.Env[Any, Any]):
    """Draws how many steps it has made, where it was told to draw."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012 - as Gymnasium has it
    observation_space = Box(-1, 1, (2,), np.float64)
    action_space = Discrete(2)
    answer: Any = None

    def __init__(self, render_mode: str | None = None):
        self.told_when_made, self.render_mode, self.steps = render_mode is not None, render_mode, 0

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.steps = 0
        return np.zeros(2), {}

    def step(self, action: Any) -> Any:
        self.steps += 1
        return np.full(2, self.steps / 100), 1.0, False, False, {}

    def render(self) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        assert self.render_mode == "rgb_array"
        return np.full((4, 6, 3), self.steps, np.uint8) if self.answer is None else self.answer


def painting(answer: Any) -> type[Painter]:
    return type("Painter", (Painter,), {"answer": answer})


@pytest.mark.parametrize("source", [Painter, lambda: Painter(), lambda: gymnasium.wrappers.TimeLimit(Painter(), 9)])
def test_environments_that_can_are_told_to_draw(source: Any) -> None:
    simulator: Any = make(drawn(source), 1)
    simulator.reset(SLOT, SEEDS)
    for _ in range(3):
        simulator.step(SLOT, np.array([1]))
    np.testing.assert_array_equal(simulator.picture(0), np.full((4, 6, 3), 3, np.uint8))
    assert simulator.seconds == pytest.approx(0.1)
    assert simulator._envs[0].unwrapped.told_when_made == (source is Painter)


def test_a_simulator_that_trains_draws_nothing() -> None:
    simulator: Any = make(Painter, 1)
    simulator.reset(SLOT, SEEDS)
    with pytest.raises(PictureError, match="Painter has no render_mode='rgb_array'"):
        simulator.picture(0)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ValueError("no\ndisplay"), "Painter.render raised ValueError: no display"),
        ("a text", "Painter.render returned str 'a text': must be an array [H, W, 3] of uint8"),
        ([np.zeros((4, 4, 3), np.uint8)], "must be an array"),
        (np.zeros((4, 4), np.uint8), "returned an array of uint8, shape [4, 4], numbers 0 to 0: must be"),
        (np.zeros((4, 4, 3)), "returned an array of float64, shape [4, 4, 3]: must be"),
        (np.full((4, 4, 3), 300), "numbers 300 to 300: must be"),
        (np.zeros((0, 4, 3), np.uint8), "must be an array"),
    ],
)
def test_nonsense_is_said_in_a_sentence(answer: Any, said: str) -> None:
    simulator: Any = make(drawn(painting(answer)), 1)
    simulator.reset(SLOT, SEEDS)
    with pytest.raises(PictureError) as error:
        simulator.picture(0)
    assert said in str(error.value) and "\n" not in str(error.value)


def test_an_environment_with_a_mujoco_model_shows_its_bodies() -> None:
    task = "HumanoidStandup-v5"
    simulator = make(drawn(task), 1)
    simulator.reset(SLOT, SEEDS)
    scene = simulator.scene
    assert scene is not None and "torso" in scene.bodies
    env = simulator._envs[0].unwrapped  # type: ignore[attr-defined]
    before = simulator.poses(SLOT)
    assert before.shape == (1, len(scene.bodies), 7)
    np.testing.assert_array_equal(before[0, scene.bodies.index("torso"), :3], env.data.body("torso").xpos)

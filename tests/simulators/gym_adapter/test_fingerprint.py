"""What environments are made of: equal for equal ones, in every process, and other for others."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.mujoco.hopper_v5 import HopperEnv
from gymnasium.wrappers import RescaleAction, TimeLimit, TransformReward

from trpolab.simulators.base import differences
from trpolab.simulators.gym_adapter.fingerprint import fingerprint

MAKE = """
import gymnasium as gym
from gymnasium.wrappers import TransformReward, RescaleAction
import numpy as np
scale = 1000
class Odd:
    def __repr__(self): raise RuntimeError("I am nobody")
odd = dict(names={"a", "b", "c", "d"}, noise=np.random.default_rng(0), odd=Odd())
class Mine(gym.Wrapper, gym.utils.RecordConstructorArgs):
    def __init__(self, env, **given):
        gym.utils.RecordConstructorArgs.__init__(self, _disable_deepcopy=True, **given)
        super().__init__(env)
def make():
    rescaled = RescaleAction(gym.make("Pendulum-v1", g=9.0), np.array([-1.0]), 1.0)
    return Mine(TransformReward(rescaled, lambda r: r / scale), **odd)
"""


def pendulum(**given: Any) -> gymnasium.Env:
    return gymnasium.make("Pendulum-v1", **given)


def shaped(factor: float) -> gymnasium.Env:
    return TransformReward(pendulum(), lambda reward: reward * factor)


def told(env: gymnasium.Env) -> dict[str, str]:
    return fingerprint(env, None)


def test_it_is_the_same_in_another_process() -> None:
    code = (
        f"{MAKE}\nfrom trpolab.simulators.gym_adapter.fingerprint import fingerprint\nprint(fingerprint(make(), make))"
    )
    seen = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in "12"
    }
    (text,) = seen
    assert "0x" not in text and "'callable': 'make'" in text and "PendulumEnv(id='Pendulum-v1', " in text
    assert (
        "Mine(names=('a', 'b', 'c', 'd'), noise=Generator(PCG64), odd=Odd)" in text and "<lambda><scale, 1000>" in text
    )


@pytest.mark.parametrize(
    ("one", "other", "part"),
    [
        (pendulum, partial(pendulum, g=5.0), "environment"),
        (pendulum, partial(pendulum, max_episode_steps=50), "wrappers"),
        (pendulum, lambda: TimeLimit(pendulum(), 50), "wrappers"),
        (partial(shaped, 0.1), partial(shaped, 0.2), "wrappers"),
        (
            lambda: TransformReward(pendulum(), lambda r: r / 10),
            lambda: TransformReward(pendulum(), lambda r: r / 20),
            "wrappers",
        ),
        (
            pendulum,
            lambda: RescaleAction(pendulum(), np.array([-1.0], np.float32), np.array([1.0], np.float32)),
            "action space",
        ),
    ],
)
def test_another_environment_has_another_one(one: Any, other: Any, part: str) -> None:
    assert differences(told(one()), told(one())) == ""
    assert f"{part}: " in differences(told(one()), told(other()))


def test_a_model_is_told_by_what_is_in_it(tmp_path: Path) -> None:
    source = Path(gymnasium.__file__).parent / "envs" / "mujoco" / "assets" / "hopper.xml"
    for folder, text in (
        ("a", source.read_text()),
        ("b", source.read_text()),
        ("c", source.read_text().replace("2.0", "2.5", 1)),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "hopper.xml").write_text(text)
    a, b, c = (told(HopperEnv(xml_file=str(tmp_path / name / "hopper.xml"))) for name in "abc")
    assert differences(a, b) == ""
    assert differences(a, c).startswith("model: ")

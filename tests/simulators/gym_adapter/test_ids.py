"""Ids and names of environments from outside: packages that register themselves are found, others by `module:name`."""

from __future__ import annotations

import sys
from pathlib import Path

import gymnasium
import pytest

import trpolab
from trpolab.simulators import UnknownTask, find_task

ENVIRONMENT = """
import gymnasium, numpy as np
from gymnasium.spaces import Box

class Still(gymnasium.Env):
    observation_space, action_space = Box(-1, 1, (2,)), Box(-1, 1, (1,))

    def __init__(self, level=1):
        if level == 3:
            raise ValueError("there is no level 3")

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        return np.zeros(2, np.float32), 0.0, False, False, {}

def third():
    return Still(3)
"""
REGISTER = "gymnasium.register({id!r}, 'stillness:Still')"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a package `stillness` there, with an entry point in the group that Gymnasium once read, if one is given."""
    registered = dict(gymnasium.registry)

    def put(code: str, entry: str = "") -> None:
        (tmp_path / "stillness.py").write_text(ENVIRONMENT + code)
        about = tmp_path / "stillness-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: stillness\nVersion: 1.0\n")
        if entry:
            (about / "entry_points.txt").write_text(f"[gymnasium.envs]\n{entry}\n")

    monkeypatch.syspath_prepend(tmp_path)
    yield put
    sys.modules.pop("stillness", None)
    gymnasium.registry.clear()
    gymnasium.registry.update(registered)


@pytest.mark.parametrize(
    "code", [REGISTER.format(id="Still-7x7-v0"), f"def register():\n    {REGISTER.format(id='Still-7x7-v0')}"]
)
def test_a_package_with_an_entry_point_is_asked(install, code: str) -> None:
    """Whether it registers when it is imported, or when its function is called."""
    install(
        code if "def" in code else f"{code}\ndef register():\n    raise RuntimeError", "__root__ = stillness:register"
    )
    assert find_task("Still-7x7-v0").name == "Still-7x7-v0"
    assert trpolab.make("Still-7x7-v0", 2).width == 2


def test_one_that_fails_is_passed_over(install) -> None:
    install("raise RuntimeError('broken')", "__root__ = stillness:register")
    with pytest.raises(UnknownTask, match="unknown task 'Still-7x7-v0'"):
        find_task("Still-7x7-v0")


def test_one_without_is_found_by_its_name_and_the_refusal_says_so(install) -> None:
    install(REGISTER.format(id="still/Still-7x7-v0"))
    with pytest.raises(UnknownTask) as caught:
        find_task("still/Still-7x7-v0")
    said = str(caught.value)
    assert "Have you installed the proper package for still?" in said and "\n" not in said  # Gymnasium's own hint
    assert said.endswith("PACKAGE:still/Still-7x7-v0")
    assert find_task("stillness:still/Still-7x7-v0").name == "stillness:still/Still-7x7-v0"


def test_a_class_or_a_function_of_a_module_is_found(install) -> None:
    install("")
    assert find_task("stillness:Still").name == "stillness:Still"
    for name, told in {
        "stillness:third": r"could not be made: ValueError: there is no level 3 \(.*stillness\.py, line \d+\)$",
        "stillness:np": "a task is a name or a callable",
        "stillness:Missing": r"^the module 'stillness' has no 'Missing', and registers no such id",
        "stillness:still": r"has no 'still', and registers no such id; nearest: Still\b",
        "stillness.py:Still": "cannot be imported: .*; of stillness.py give stillness:Still, in its folder$",
        "no_such_package:Still": "No module named 'no_such_package'",
    }.items():
        with pytest.raises(UnknownTask, match=told):
            find_task(name)


@pytest.mark.parametrize("code", ["import no_such_part", "x = (", "raise RuntimeError('no display')"])
def test_a_module_that_cannot_be_imported_is_said(install, code: str) -> None:
    install(code)
    with pytest.raises(UnknownTask, match=r"^'stillness:Still': the module 'stillness' cannot be imported: \w+Error: "):
        find_task("stillness:Still")


def test_a_name_alone_is_told_how_ones_own_is_named() -> None:
    with pytest.raises(UnknownTask, match=r"unknown task 'my_own'.*named by its module, as my_envs:MyEnv$"):
        find_task("my_own")


def test_an_environment_in_python_has_slots_by_a_rule_of_its_own() -> None:
    for settings in ({}, {"preset": "paper"}, {"steps_per_iteration": 100_000}):
        assert trpolab.Session("Pendulum-v1", out=None, **settings).config.slots == 16
    assert trpolab.Session("Pendulum-v1", out=None, slots=3).config.slots == 3


def test_as_many_environments_are_made_as_are_needed() -> None:
    made: list[gymnasium.Env] = []

    def factory() -> gymnasium.Env:
        made.append(gymnasium.make("Pendulum-v1"))
        return made[-1]

    trpolab.train(factory, out=None, iterations=1, steps_per_iteration=64)
    assert len(made) <= 16 + 4

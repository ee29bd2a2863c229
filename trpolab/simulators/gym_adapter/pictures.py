"""What an environment draws of itself: its own `render_mode="rgb_array"`, or the bodies of its MuJoCo model."""

from __future__ import annotations

import contextlib
import inspect
import math
import sys
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from trpolab.simulators.base import PictureError, Scene
from trpolab.simulators.gym_adapter.answers import as_array, in_words
from trpolab.simulators.gym_adapter.environments import Factory

RGB = "rgb_array"
USUAL_RATE = 30.0  # decisions a second, where an environment does not tell
LARGEST = 4096  # pixels to a side


def drawing(factory: Callable[..., gymnasium.Env]) -> Factory:
    """Makes the same environments, told to draw themselves where they can: when they are made, or afterwards."""

    def make() -> gymnasium.Env:
        env = factory()
        if not isinstance(env, gymnasium.Env) or env.render_mode == RGB or RGB not in _modes(env):
            return env
        if _takes_render_mode(factory):
            with contextlib.suppress(Exception):  # then `render` will tell what is missing
                told = factory(render_mode=RGB)
                env.close()
                return told
        env.unwrapped.render_mode = RGB
        return env

    return make


def picture_of(env: gymnasium.Env) -> np.ndarray:
    """[H, W, 3] uint8. Raises PictureError, which says why there is none."""
    called = f"{type(env.unwrapped).__name__}.render"
    if env.render_mode != RGB:
        raise PictureError(f"{type(env.unwrapped).__name__} has no render_mode={RGB!r}")
    try:
        answer = env.render()
    except Exception as error:  # whatever it raises is told, and the player shows something else
        text = " ".join(str(error).split())
        raise PictureError(f"{called} raised {type(error).__name__}: {text[:200]}") from error
    picture = as_array(answer)
    if (
        picture.ndim != 3
        or picture.shape[2] != 3
        or picture.dtype.kind not in "iu"
        or not 0 < min(picture.shape) <= max(picture.shape) <= LARGEST
        or picture.min() < 0
        or picture.max() > 255
    ):
        raise PictureError(f"{called} returned {in_words(answer)}: must be an array [H, W, 3] of uint8")
    return picture.astype(np.uint8)


def seconds_of(env: gymnasium.Env) -> float:
    """Of the task's own time that a decision lasts, by the rate at which the environment wants to be shown."""
    rate = (env.metadata or {}).get("render_fps")
    if isinstance(rate, int | float) and math.isfinite(rate) and rate > 0:
        return 1.0 / rate
    return 1.0 / USUAL_RATE


def scene_of(env: gymnasium.Env) -> Scene | None:
    """The bodies of an environment that steps a MuJoCo model; None for others."""
    inner: Any = env.unwrapped
    if not _steps_a_model(inner):
        return None
    import mujoco

    from trpolab.simulators.mujoco.model import make_scene

    moves = inner.model.njnt and inner.model.jnt_type[0] in (mujoco.mjtJoint.mjJNT_FREE, mujoco.mjtJoint.mjJNT_SLIDE)
    return make_scene(inner.model, "xz", int(inner.model.jnt_bodyid[0]) if moves else None, seconds_of(env))


def poses_of(env: gymnasium.Env) -> np.ndarray:
    """World poses [bodies, 7] of an environment that has a scene; of others [0, 7]."""
    inner: Any = env.unwrapped
    if not _steps_a_model(inner):
        return np.zeros((0, 7))
    return np.concatenate([inner.data.xpos, inner.data.xquat], axis=1)


def _modes(env: gymnasium.Env) -> Any:
    return (env.metadata or {}).get("render_modes") or ()


def _takes_render_mode(factory: Callable[..., Any]) -> bool:
    try:
        return "render_mode" in inspect.signature(factory).parameters
    except (TypeError, ValueError):  # a function of C does not tell
        return False


def _steps_a_model(inner: Any) -> bool:
    """Whether an unwrapped environment holds a MuJoCo model and its data; without the package none can."""
    mujoco: Any = sys.modules.get("mujoco")
    if mujoco is None or not isinstance(getattr(inner, "model", None), mujoco.MjModel):
        return False
    return isinstance(getattr(inner, "data", None), mujoco.MjData)

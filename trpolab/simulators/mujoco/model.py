"""MuJoCo models from Gymnasium's own asset files, and what a player needs to draw them."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

import mujoco
import numpy as np

from trpolab.simulators.base import Scene, geom

# What MuJoCo draws for a geom whose colour was not set: then the material's colour counts.
_UNSET_COLOUR = (0.5, 0.5, 0.5, 1.0)


def silence_log_file() -> None:
    """Keep MuJoCo from writing MUJOCO_LOG.TXT into the working directory. Warning counters still count."""
    log = mujoco.MjLogConfig.get()
    if log.logto_file:
        log.logto_file = False
        mujoco.MjLogConfig.set(log)


def asset(file: str) -> Path:
    """The path of one of Gymnasium's MuJoCo models, without importing `gymnasium.envs.mujoco` (it wants imageio)."""
    package = importlib.util.find_spec("gymnasium")
    assert package is not None and package.origin is not None  # base.py imports it
    return Path(package.origin).parent / "envs" / "mujoco" / "assets" / file


@cache
def load_model(file: str) -> mujoco.MjModel:
    """Compile a model. It is shared: `mujoco.batch.Batch` copies it, and nothing else here writes to it."""
    silence_log_file()
    log = mujoco.MjLogConfig.get()
    to_console, log.logto_console = log.logto_console, False  # of HalfCheetah's deprecated attribute
    mujoco.MjLogConfig.set(log)
    try:
        return mujoco.MjModel.from_xml_path(str(asset(file)))
    finally:
        log.logto_console = to_console
        mujoco.MjLogConfig.set(log)


def make_scene(model: mujoco.MjModel, view: str, follow: int | None, seconds: float) -> Scene:
    """The geometry of a model: bodies by name (the world is the first), visible geoms in their body's frame."""
    bodies = tuple(model.body(index).name or f"body{index}" for index in range(model.nbody))
    geoms = []
    for index in range(model.ngeom):
        rgba, material = model.geom_rgba[index], int(model.geom_matid[index])
        if material >= 0 and rgba.tolist() == list(_UNSET_COLOUR):
            rgba = model.mat_rgba[material]
        kind = mujoco.mjtGeom(model.geom_type[index]).name.removeprefix("mjGEOM_").lower()
        size, place = model.geom_size[index].tolist(), model.geom_pos[index].tolist()
        body, turn = int(model.geom_bodyid[index]), model.geom_quat[index].tolist()
        geoms.append(geom(kind, size, rgba.tolist(), body, place, turn))
    return Scene(bodies=bodies, geoms=tuple(geoms), view=view, follow=follow, seconds=seconds)


def body_poses(model: mujoco.MjModel, data: mujoco.MjData, qpos: np.ndarray) -> np.ndarray:
    """World poses [n, bodies, 7] (position, quaternion with w first) of the states qpos [n, nq]. Writes to `data`."""
    poses = np.empty((len(qpos), model.nbody, 7))
    for pose, position in zip(poses, qpos, strict=True):
        data.qpos[:] = position
        mujoco.mj_kinematics(model, data)
        pose[:, :3], pose[:, 3:] = data.xpos, data.xquat
    return poses

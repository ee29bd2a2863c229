"""Recordings as the browser's player takes them: a plain description, and bytes."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from trpolab.lab.pictures.ghosts import Ghosts
from trpolab.lab.pictures.rollout import AnyRollout, CurveRollout, Rollout, ScreenRollout

MOST_ACTIONS = 6  # components of an action whose tracks are shown


def pack(rollout: AnyRollout, ghosts: Ghosts | None = None) -> tuple[dict[str, Any], list[bytes]]:
    """(what it is, buffers): the description names each buffer by its place in the list.

    Numbers are float32. Screens are the bits in which each differs from the one before, deflated.
    """
    buffers: list[bytes] = []

    def put(array: np.ndarray) -> int:
        buffers.append(np.ascontiguousarray(array, np.float32).tobytes())
        return len(buffers) - 1

    tracks = rollout.tracks
    count = int(np.prod(tracks.actions.shape[1:]))
    actions = tracks.actions.reshape(len(tracks.actions), count)[:, :MOST_ACTIONS]
    about: dict[str, Any] = {
        "steps": len(rollout.rewards),
        "every": rollout.every,
        "secondsPerFrame": rollout.seconds_per_frame,
        "terminated": rollout.terminated,
        "note": rollout.note,
        "rewards": put(rollout.rewards),
        "actions": put(actions) if actions.size else None,
        "actionCount": actions.shape[1],
        "kl": None if tracks.kl is None else put(tracks.kl),
    }
    if isinstance(rollout, Rollout):
        scene = rollout.scene
        about |= {"kind": "bodies", "frames": len(rollout.poses), "poses": put(rollout.poses)}
        about |= {"bodies": len(scene.bodies), "geoms": list(scene.geoms), "follow": scene.follow}
        about |= {"view": scene.view, "flat": scene.flat}
    elif isinstance(rollout, ScreenRollout):
        screens = rollout.screens
        about |= {"kind": "screens", "frames": len(screens), "height": screens.shape[1], "width": screens.shape[2]}
        about |= {"aspect": rollout.aspect, "screens": len(buffers), "palette": len(buffers) + 1}
        differences = np.concatenate([screens[:1], screens[1:] ^ screens[:-1]])
        buffers += [zlib.compress(differences.tobytes(), 6), rollout.palette.tobytes()]
    else:
        assert isinstance(rollout, CurveRollout)
        about |= {"kind": "curves", "frames": len(rollout.values), "names": list(rollout.names)}
        about["values"] = put(rollout.values)
    if ghosts is not None:
        about["ghosts"] = {
            "poses": put(ghosts.poses),
            "count": len(ghosts.q),
            "frames": ghosts.poses.shape[1],
            "q": ghosts.q.tolist(),
            "lengths": ghosts.lengths.tolist(),
        }
    return about, buffers

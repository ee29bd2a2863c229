"""Checkpoints: everything the next iteration depends on, written between iterations, renamed into place whole."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from safetensors import SafetensorError

from trpolab.policies import Learner, Policy, PolicyFileError, make_value, read_policy, save_policy
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.trajectories import Ongoing
from trpolab.settings import as_setting
from trpolab.simulators.base import Snapshot, Task
from trpolab.training.config import Config
from trpolab.training.loop import SCORE_WINDOW, Progress
from trpolab.training.run_folder import RunFolder, RunFolderError, read_lines, read_run, strict_json, write_atomically
from trpolab.training.samplers import Samplers

KEPT = 3  # newest checkpoints that stay
FILES = ("policy.safetensors", "train.safetensors", "state.json")


class CheckpointError(RunFolderError):
    """No checkpoint that could be gone on from; the message says why."""


@dataclass
class Saved:
    """A checkpoint as read: where a resumed run starts."""

    folder: Path
    task: str
    config: Config
    progress: Progress
    segment: int
    episodes: list[tuple[Ongoing, Snapshot]] | None  # per block; None where episodes start anew

    def resume_episodes(self, samplers: Samplers) -> None:
        """Put the simulators back to where the episodes were; a vine has none, its trunks always start anew."""
        if self.episodes is None:
            return
        sampler = samplers.single_path
        simulators = sampler.crew.simulators
        if len(simulators) != len(self.episodes):
            raise CheckpointError(f"the checkpoint holds {len(self.episodes)} blocks of slots, not {len(simulators)}")
        for simulator, (_, snapshot) in zip(simulators, self.episodes, strict=True):
            simulator.restore(None, snapshot)
        sampler.ongoing = [ongoing for ongoing, _ in self.episodes]


def write(folder: RunFolder, task: Task, config: Config, progress: Progress, samplers: Samplers) -> Path:
    """Write `ckpt/<iteration>/`, then drop all but the newest few. Raises OSError, leaving older ones intact."""
    parent = folder.path / "ckpt"
    parent.mkdir(exist_ok=True)
    target = parent / f"{progress.iteration:06d}"
    aside = parent / f".{target.name}.{secrets.token_hex(3)}.tmp"
    aside.mkdir()
    try:
        _write_files(aside, task, config, progress, samplers, folder.segment)
        if target.exists():  # an earlier segment's, of the same iteration
            shutil.rmtree(target)
        os.replace(aside, target)
        _sync(parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    for old in sorted(path for path in parent.iterdir() if path.name.isdigit())[:-KEPT]:
        shutil.rmtree(old)
    return target


def read(folder: str | Path, task: str | None = None) -> Saved:
    """The newest valid checkpoint of a run folder.

    Raises RunFolderError where the folder isn't a run, and CheckpointError where it is another task's or holds no
    checkpoint whose files agree with their manifest.
    """
    about, path = read_run(folder), Path(folder)
    if task is not None and about["task"] != task:
        raise CheckpointError(f"{str(folder)!r} is a run of {about['task']}, not of {task}")
    parent = path / "ckpt"
    found = (
        sorted((entry for entry in parent.iterdir() if entry.name.isdigit()), reverse=True) if parent.is_dir() else []
    )
    reasons = []
    for entry in found:
        try:
            return _read_one(path, entry, about)
        except (CheckpointError, PolicyFileError) as error:
            reasons.append(f"{entry.name}: {error}")
    detail = "; ".join(reasons) or "it was stopped before its first one"
    raise CheckpointError(f"{str(folder)!r} holds no checkpoint to go on from ({detail})")


def _write_files(aside: Path, task: Task, config: Config, progress: Progress, samplers: Samplers, segment: int) -> None:
    learner = progress.learner
    save_policy(aside / "policy.safetensors", learner.policy, {"task": task.name, "iteration": progress.iteration})
    arrays: dict[str, np.ndarray] = {}
    state: dict[str, Any] = {
        "task": task.name,
        "segment": segment,
        "iteration": progress.iteration,
        "sim_steps": progress.sim_steps,
        "nonfinite_in_a_row": progress.nonfinite_in_a_row,
        "recent_returns": list(progress.recent_returns),
        "settings": config.settings(),
        "value": None,
        "blocks": 0,
    }
    if (value := learner.value) is not None:
        arrays["value.theta"] = value.theta.numpy()
        names = ("target_mean", "target_std", "mu", "fits")
        state["value"] = {name: getattr(value, name) for name in names}
    if (ongoing := samplers.ongoing) is not None and task.can_restore:
        snapshots = [simulator.snapshot(None) for simulator in samplers.single_path.crew.simulators]
        if all(part.dtype != object for snapshot in snapshots for part in snapshot.parts.values()):
            state["blocks"] = len(snapshots)
            for block, (going, snapshot) in enumerate(zip(ongoing, snapshots, strict=True)):
                for name in ("obs", "t", "score", "cut_at"):
                    arrays[f"ongoing.{block}.{name}"] = getattr(going, name)
                for name, part in snapshot.parts.items():
                    arrays[f"simulator.{block}.{name}"] = part
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    _write_bytes(aside / "train.safetensors", safetensors.numpy.save(arrays))
    _write_bytes(aside / "state.json", strict_json(state).encode())
    manifest = {name: _fingerprint(aside / name) for name in FILES}
    write_atomically(aside / "MANIFEST.json", strict_json(manifest, indent=1))
    _sync(aside)


def _read_one(folder: Path, entry: Path, about: dict[str, Any]) -> Saved:
    try:
        manifest = json.loads((entry / "MANIFEST.json").read_text())
        wrong = [name for name in FILES if manifest.get(name) != _fingerprint(entry / name)]
        if wrong:
            raise CheckpointError(f"{', '.join(wrong)} differs from the manifest")
        state = json.loads((entry / "state.json").read_text())
        arrays = safetensors.numpy.load((entry / "train.safetensors").read_bytes())
    except (OSError, ValueError, AttributeError, SafetensorError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"cannot be read ({error})") from error
    policy, _ = read_policy(entry / "policy.safetensors")
    config = Config().replace(**{name: as_setting(value) for name, value in state["settings"].items()})
    learner = Learner(policy=policy, value=_value(state, arrays, config, policy), state={})
    progress = Progress(
        learner,
        state["iteration"],
        state["sim_steps"],
        state["nonfinite_in_a_row"],
        deque(state["recent_returns"], maxlen=SCORE_WINDOW),
    )
    episodes = [_block(arrays, block) for block in range(state["blocks"])]
    events = read_lines(folder / "events.jsonl")
    segment = max([state["segment"], *(event.get("segment", 0) for event in events)])
    return Saved(folder, about["task"], config, progress, segment, episodes or None)


def _value(state: dict[str, Any], arrays: dict[str, np.ndarray], config: Config, policy: Policy) -> Any:
    if state["value"] is None:
        return None
    blank = make_value(
        policy.network.sizes[0], config.value, Streams(0).generator(0, Purpose.INITIALISATION)
    )  # only its shape is used
    theta = torch.from_numpy(arrays["value.theta"])
    if theta.shape != blank.theta.shape:
        raise CheckpointError(
            f"the value function has {len(theta)} parameters, its settings ask for {len(blank.theta)}"
        )
    return replace(blank, theta=theta, **state["value"])


def _block(arrays: dict[str, np.ndarray], block: int) -> tuple[Ongoing, Snapshot]:
    def part(prefix: str) -> dict[str, np.ndarray]:
        start = f"{prefix}.{block}."
        return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}

    return Ongoing(**part("ongoing")), Snapshot(part("simulator"))


def _fingerprint(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _write_bytes(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Checkpoints: the state of a run between two iterations, written to a temporary folder and renamed into place.

A checkpoint is `policy.safetensors`, `train.safetensors` (value function, method state, simulators), `state.json`
(counters, settings) and `MANIFEST.json` (size and SHA-256 of the three). Random streams are counter-based, so the
number of the iteration and the seed are all of their state.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
from collections import deque
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from safetensors import SafetensorError

from trpolab.machine import user_path
from trpolab.numerics.device import CPU
from trpolab.policies import Learner, Policy, PolicyFileError, ValueFunction, read_policy, value_network
from trpolab.policies.serialization import policy_content
from trpolab.runs import reader
from trpolab.runs.disk import parse_json, strict_json, sync_folder, sync_together, temporary, write_synced
from trpolab.runs.follower import printable
from trpolab.runs.reader import SCHEMA, RunFolderError, numbered, parent_of, read_events, read_run, refuse_newer
from trpolab.runs.writer import RunFolder
from trpolab.sampling.running_episodes import Block, RunningEpisodes
from trpolab.sampling.trajectories import Ongoing
from trpolab.settings import ConfigError, as_setting
from trpolab.training.config import Config
from trpolab.training.retention import prune, take_away
from trpolab.training.state import SCORE_WINDOW, Progress, TrainState

FILES = ("policy.safetensors", "train.safetensors", "state.json")
LARGEST_FILE = 2 * 2**30  # bytes
MANIFEST = "MANIFEST.json"
COUNTERS = ("iteration", "sim_steps", "batch_steps", "nonfinite_in_a_row")  # of `Progress`
ADDED = "batch_steps"  # older checkpoints do without
BEFORE = {"policy.scale_actions": False}  # settings that older runs did not have, as they were then
SPARE_BYTES = 2**20  # that must be left on the disk beyond a checkpoint's own


class CheckpointError(RunFolderError):
    """There is no checkpoint to resume from; the message says why."""


@dataclass(frozen=True)
class Saved:
    """What a run folder holds for a resumption."""

    folder: Path
    task: str
    config: Config  # that was in use
    first: Config  # that the run began with
    pending: dict[str, Any]  # settings that had been asked for since
    train_state: TrainState | None  # None: it was ended before its first checkpoint, and starts from its seed again
    segment: int  # the last one that wrote to the folder
    environment: dict[str, Any] | None = None  # what its environments were made of; None: not recorded
    passed_over: tuple[str, ...] = ()  # newer checkpoints that are damaged, and how
    parent: dict[str, Any] | None = None  # the run, by its id, and the iteration that it was rewound to
    functions: dict[str, str] = field(default_factory=dict)  # of a person, by the place that they took: their names

    @property
    def iteration(self) -> int:
        """Iterations done."""
        return self.train_state.progress.iteration if self.train_state is not None else 0


def write(folder: RunFolder, task: str, train_state: TrainState, requested: Config) -> Path:
    """Write `ckpt/<iteration>/`, read it back, and only then remove old ones: see `prune` for those that stay.

    `requested` are the settings for the next iteration. Raises OSError, leaving older ones intact and nothing half
    done.
    """
    parent = folder.path / "ckpt"
    target = parent / f"{train_state.progress.iteration:06d}"
    contents = _contents(folder, task, train_state, requested)
    _demand_room(parent, sum(map(len, contents.values())))
    aside = temporary(target)
    try:
        aside.mkdir()
        for name, content in contents.items():
            write_synced(aside / name, content, sync=False)
        sync_together([*(aside / name for name in contents), aside, *folder.line_files])
        _verify(aside)
        if target.exists():  # a damaged one, or one of a segment that was given up
            take_away(target)
        os.rename(aside, target)
        sync_folder(parent)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    prune(parent, train_state.progress.iteration)
    return target


def read(folder: str | Path, task: str | None = None, at: int | None = None) -> Saved:
    """The newest whole checkpoint of a run folder: the last segment's last; with `at`, that of this iteration.

    Raises RunFolderError where the folder isn't a run, and CheckpointError where it is another task's or where none of
    its checkpoints agrees with its manifest.
    """
    about, path = read_run(folder), user_path(folder)
    if task is not None and about["task"] != task:
        raise CheckpointError(f"{str(folder)!r} is a run of {about['task']}, not of {task}")
    first, parent, environment = recorded_config(about, about["settings"]), parent_of(about), about.get("environment")
    known = environment if isinstance(environment, dict) else None
    functions = reader.functions_of_run(about)
    start = Saved(path, about["task"], first, first, {}, None, last_segment(path), known, (), parent, functions)
    found: list[Saved] = []
    damaged: list[tuple[int, str]] = []
    for entry in numbered(path / "ckpt"):
        try:
            found.append(_read_one(entry, about, start))
        except (CheckpointError, PolicyFileError) as error:
            damaged.append((int(entry.name), f"{entry.name}: {error}"))
    if damaged and not found:
        reasons = "; ".join(reason for _, reason in damaged)
        raise CheckpointError(f"{str(folder)!r} holds no checkpoint to go on from ({reasons})")
    last = max(found, key=lambda saved: (saved.segment, saved.iteration), default=start)
    if at is not None:
        return _rewound(at, [start, *(saved for saved in found if saved.iteration <= last.iteration)], about["id"])
    if parent is not None and parent["iteration"] and not found:
        raise CheckpointError(
            f"{str(folder)!r} was ended before anything was written to it; rewind {parent['run']} again, to iteration "
            f"{parent['iteration']}"
        )
    newer = tuple(reason for number, reason in damaged if number > last.iteration)
    return replace(last, segment=max(start.segment, last.segment), passed_over=newer)


def kept(folder: Path) -> list[int]:
    """The iterations that a run can go back to, by the names of its checkpoints; 0 is its start."""
    return [0, *(int(entry.name) for entry in numbered(folder / "ckpt"))]


def newest(folder: Path) -> str | None:
    """The name of the newest checkpoint that agrees with its manifest, e.g. "ckpt/000012"; None where there is none."""
    for entry in reversed(numbered(folder / "ckpt")):
        try:
            _verify(entry)
        except CheckpointError:
            continue
        return f"ckpt/{entry.name}"
    return None


def last_segment(folder: Path) -> int:
    """The highest segment that the events tell of: each begins with one."""
    segments = [event.get("segment") for event in read_events(folder)]
    return max((segment for segment in segments if isinstance(segment, int)), default=0)


def _contents(folder: RunFolder, task: str, train_state: TrainState, requested: Config) -> dict[str, bytes]:
    """Every file of a checkpoint, the manifest last."""
    progress, episodes = train_state.progress, train_state.episodes
    learner, settings, about = progress.learner, train_state.config.settings(), read_run(folder.path)
    arrays: dict[str, np.ndarray] = {f"state.{name}": np.asarray(array) for name, array in learner.state.items()}
    state: dict[str, Any] = {
        "schema": SCHEMA,
        "run": about["id"],
        "settings_sha256": about.get("settings_sha256"),
        "task": task,
        "segment": folder.segment,
        **{name: getattr(progress, name) for name in COUNTERS},
        "recent_returns": list(progress.recent_returns),
        "score": progress.score,
        "settings": settings,
        "pending": {name: value for name, value in requested.settings().items() if value != settings[name]},
        "value": None,
        "blocks": len(episodes.blocks),
        "episodes_cut": episodes.cut,
        "device": train_state.device,
    }
    if (value := learner.value) is not None:
        arrays["value.theta"] = value.theta.detach().cpu().numpy()
        state["value"] = {name: getattr(value, name) for name in ("target_mean", "target_std", "mu", "fits")}
    for number, block in enumerate(episodes.blocks):
        arrays |= {f"ongoing.{number}.{name}": part for name, part in vars(block.ongoing).items()}
        arrays |= {f"simulator.{number}.{name}": part for name, part in block.simulator.items()}
    contents = {
        "policy.safetensors": policy_content(learner.policy, {"task": task, "iteration": progress.iteration}),
        "train.safetensors": safetensors.numpy.save({name: np.ascontiguousarray(a) for name, a in arrays.items()}),
        "state.json": strict_json(state).encode(),
    }
    manifest = {name: _fingerprint(content) for name, content in contents.items()}
    return {**contents, MANIFEST: strict_json(manifest, indent=1).encode()}


def _demand_room(parent: Path, size: int) -> None:
    """Raise OSError before anything is written if the disk has no room for it."""
    if shutil.disk_usage(parent).free < size + SPARE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(parent))


def _verify(entry: Path) -> None:
    """Raise CheckpointError unless sizes and SHA-256 of the files are those of the manifest."""
    try:
        manifest = parse_json((entry / MANIFEST).read_bytes())
        if not isinstance(manifest, dict) or set(manifest) != set(FILES):
            raise CheckpointError(f"{MANIFEST} does not list {', '.join(FILES)}")
        for name in FILES:
            if (size := (entry / name).stat().st_size) > LARGEST_FILE:
                raise CheckpointError(f"{name} has {size} bytes; a checkpoint's files have at most {LARGEST_FILE}")
        wrong = [name for name in FILES if manifest[name] != _fingerprint((entry / name).read_bytes())]
    except (OSError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"cannot be read ({error})") from error
    if wrong:
        raise CheckpointError(f"{', '.join(wrong)} differs from the manifest")


def _rewound(at: int, found: list[Saved], run: str) -> Saved:
    """The checkpoint of an iteration, for a new run. Raises CheckpointError telling which iterations there are."""
    at, known = as_setting(at), {saved.iteration: saved for saved in found}
    if at not in known or type(at) is not int:
        folder, places = found[0].folder, ", ".join(map(str, sorted(known)))
        said = f"at = {at!r}: {str(folder)!r} can go back to iterations {places}; there is no checkpoint of others"
        policy = folder / "policies" / f"{at:06d}.safetensors" if type(at) is int else folder
        if policy.is_file():
            said += f", and of {at} the policy only: trpolab.load_policy({str(policy)!r})"
        raise CheckpointError(said)
    return replace(known[at], pending={}, parent={"run": run, "iteration": at})


def _read_one(entry: Path, about: dict[str, Any], start: Saved) -> Saved:
    """What a checkpoint holds, after its manifest was verified. `start` is the run before its first one."""
    _verify(entry)
    try:
        state = parse_json((entry / "state.json").read_bytes())
        refuse_newer(state, entry)
        if state["run"] != about["id"] or state["settings_sha256"] != about.get("settings_sha256"):
            raise CheckpointError(f"belongs to another run, {state['run']}")
        if state["iteration"] != int(entry.name):
            raise CheckpointError(f"is of iteration {state['iteration']}")
        arrays = safetensors.numpy.load((entry / "train.safetensors").read_bytes())
        config, policy = recorded_config(about, state["settings"]), read_policy(entry / "policy.safetensors")[0]
        learner = Learner(policy, _value(state, arrays, config, policy), _named(arrays, "state"))
        counters = {name: state[name] for name in COUNTERS if name in state or name != ADDED}
        progress = Progress(learner, **counters, recent_returns=deque(state["recent_returns"], maxlen=SCORE_WINDOW))
        blocks = tuple(_block(arrays, number) for number in range(state["blocks"]))
        episodes = RunningEpisodes(blocks, state["episodes_cut"])
        train_state = TrainState(config, progress, episodes, printable(state.get("device", CPU)))
        pending = {name: as_setting(value) for name, value in state["pending"].items()}
        return replace(start, config=config, pending=pending, train_state=train_state, segment=state["segment"])
    except (KeyError, TypeError, AttributeError, ValueError, SafetensorError) as error:
        if isinstance(error, CheckpointError | PolicyFileError):
            raise
        raise CheckpointError(f"does not hold what a checkpoint holds ({type(error).__name__}: {error})") from error


def recorded_config(about: dict[str, Any], settings: dict[str, Any]) -> Config:
    """The config that a run recorded. Raises CheckpointError if this version can't read it."""
    try:
        return Config().replace(**{name: as_setting(value) for name, value in (BEFORE | settings).items()})
    except ConfigError as error:
        versions, modules = about.get("versions"), reader.modules_of_run(about)
        version = versions.get("trpolab") if isinstance(versions, dict) else "?"
        where = f"{str(about.get('id'))!r} was written by trpolab {version}"
        where += f" with {', '.join(modules)}" if modules else ""
        if missing := [name for name in modules if name not in sys.modules]:
            typed = " ".join(f"--import {name}" for name in missing)
            raise CheckpointError(f"{where}: import {', '.join(missing)} first (in the terminal: {typed})") from error
        raise CheckpointError(f"{where}; its settings can't be read here: {'; '.join(error.problems)}") from error


def _value(state: dict[str, Any], arrays: dict[str, np.ndarray], config: Config, policy: Policy) -> Any:
    if state["value"] is None:
        return None
    network = value_network(policy.network.inputs, config.value)
    theta = torch.from_numpy(arrays["value.theta"])
    if theta.shape != (network.size,):
        raise CheckpointError(f"the value function has {len(theta)} parameters, its settings ask for {network.size}")
    if not theta.isfinite().all():
        raise CheckpointError("the value function's parameters are not finite")
    if not all(isinstance(number, int | float) for number in state["value"].values()):
        raise CheckpointError(f"the value function's statistics are {state['value']}, not numbers")
    return ValueFunction(network, theta, **state["value"])


def _block(arrays: dict[str, np.ndarray], number: int) -> Block:
    return Block(Ongoing(**_named(arrays, f"ongoing.{number}")), _named(arrays, f"simulator.{number}"))


def _named(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    """The arrays called `<prefix>.<name>`, by name."""
    start = f"{prefix}."
    return {name.removeprefix(start): array for name, array in arrays.items() if name.startswith(start)}


def _fingerprint(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

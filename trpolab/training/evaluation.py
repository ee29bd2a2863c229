"""`trpolab.evaluate`: scores of whatever holds a policy."""

from __future__ import annotations

import os
import warnings
from typing import Any

from trpolab.machine import user_path
from trpolab.policies import Policy
from trpolab.runs.reader import load_policy, read_run
from trpolab.sampling.evaluate import ALIKE, Evaluation, play_episodes
from trpolab.settings import PlainError
from trpolab.simulators import Source, configured
from trpolab.training.checkpoint import recorded_config


def evaluate(
    learned: Any,
    task: Source | None = None,
    episodes: int = 100,
    seed: int = 0,
    deterministic: bool = False,
    threads: int = 1,
) -> Evaluation:
    """Run whole episodes under a frozen policy (its normaliser included) and report their raw returns.

    `learned` is a policy, a session or a lab, whose policy is taken, or the path of a run folder or a policy file. The
    task is by default that of the session or the run. The rest is as `play_episodes` has it. Warns where all episodes
    are one and the same. Raises as it does, PlainError where there is no policy or no task, and as `load_policy` does.
    """
    policy, own = getattr(learned, "policy", learned), getattr(getattr(learned, "session", learned), "source", None)
    if isinstance(learned, str | os.PathLike):
        path = user_path(learned)
        policy = load_policy(path)
        if task is None and path.is_dir():
            about = read_run(path)
            own = configured(about["task"], recorded_config(about, about["settings"]))
    if not isinstance(policy, Policy):
        raise PlainError(f"{type(learned).__name__} holds no policy: give a policy, a session, or a run folder")
    if task is None and own is None:
        raise PlainError("task: give the task that the policy is to play")
    found = play_episodes(policy, own if task is None else task, episodes, seed, deterministic, threads)
    if found.alike:
        warnings.warn(ALIKE, stacklevel=2)
    return found

"""A vine whose trunks, and branches if asked for, are samples by themselves, as single path has them.

A step of a trunk or a branch is a state and an action of π_old, which GAE judges. The first actions of branches stay
what they are: judged by the differences of their Q̂. All are samples of one action, weighted by π_θ/q as in Eq. 14.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from trpolab.policies import Learner
from trpolab.policies.frames import Frames
from trpolab.sampling.batch import Batch, Estimator
from trpolab.sampling.config import Vine
from trpolab.sampling.observations import join_observations
from trpolab.sampling.returns import advantages_and_values, standardized
from trpolab.sampling.sampler import Collected, Returns
from trpolab.sampling.trajectories import Trajectories, join


def with_steps(
    batch: Batch, trunks: Trajectories, steps: Trajectories | None, learner: Learner, config: Vine, returns: Returns
) -> Collected:
    """The samples of a vine's `batch` (N states, K actions), of its trunks, and of its branches' `steps`, if any.

    `steps` has a piece a branch, `path` the trunk that it left, `t` counted from the trunk's s_0. Their first steps are
    samples of the batch already. The constraint, the value function and the normaliser see the states of trunks and
    branches. Raises ValueError where the learner has no value function.
    """
    if learner.value is None:
        raise ValueError(f"vine.learn_from = {config.learn_from!r} needs a value function; the learner has none")
    played, first = (trunks, np.zeros(0, np.int64)) if steps is None else (join([trunks, steps]), steps.start[:-1])
    features = learner.policy.features(played.obs)
    given = (played, features, learner.policy, learner.value, returns.gamma, config.lam, returns.own)
    advantages, values = advantages_and_values(*given)
    later = np.delete(np.arange(len(played)), first + len(trunks))
    old, actions = torch.from_numpy(played.old[later]), torch.from_numpy(played.actions[later])
    log_q = learner.policy.distribution.log_prob(old, actions).numpy()
    n, k = batch.log_q.shape
    rows = np.repeat(np.arange(n), k)
    differences = against_others(batch.q_values, config, learner.policy.distribution.action_count)
    t, discount = played.t[later], returns.gamma if returns.state_weighting == "discounted" else 1.0
    roots = Frames.of(batch.obs)[rows] if isinstance(played.obs, Frames) else batch.obs[rows]
    q = standardized(np.concatenate([differences.ravel(), advantages[later]]))
    samples = replace(
        batch,
        obs=join_observations([roots, played.obs[later]]),
        actions=np.concatenate(
            [batch.actions.reshape(n * k, 1, *batch.actions.shape[2:]), played.actions[later, None]]
        ),
        log_q=np.concatenate([batch.log_q.reshape(-1, 1), log_q[:, None]]),
        q_values=q[:, None],
        weights=np.concatenate([batch.weights[rows], discount ** t.astype(np.float64)]),
        path=np.concatenate([batch.path[rows], np.repeat(played.path, np.diff(played.start))[later]]),
        t=np.concatenate([batch.t[rows], t]),
        old=np.concatenate([batch.old[rows], played.old[later]]),
        constraint_obs=played.obs,
        constraint_old=played.old,
        estimator=Estimator.IMPORTANCE,
    )
    clipped = trunks.clipped / max(1, trunks.actions.size)
    return Collected(samples, played.obs, features, advantages + values, values, clipped)


def against_others(q: np.ndarray, config: Vine, count: int | None) -> np.ndarray:
    """Each Q̂ [N, K] less the mean of those of its state that were drawn without it: a baseline that adds no bias.

    An antithetic pair is drawn together. Where the K actions of `count` differ from one another, that mean depends on
    the action a little, which the factor 1 - 1/count undoes.
    """
    k = q.shape[1]
    together = q + np.roll(q, k // 2, axis=1) if config.paired else q
    others = (q.sum(axis=1, keepdims=True) - together) / (k - (2 if config.paired else 1))
    factor = 1 - 1 / count if config.proposal in ("uniform", "all") and count is not None else 1.0
    return (q - others) * factor

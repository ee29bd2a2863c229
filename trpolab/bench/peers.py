"""Whole iterations against those of other libraries: sb3-contrib and Tianshou, which the extra `bench` installs."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import torch
from torch import nn

from trpolab.bench.table import Report, Table, timed, verdict
from trpolab.extras import explained
from trpolab.machine import usable_cores
from trpolab.training.session import TORCH_THREADS, Session

TASK = "Hopper-v5"
BATCHES = (2_048, 8_192)
WARM_UP, ITERATIONS = 2, 5
ENVIRONMENTS = 8  # side by side
CG_ITERATIONS, PASSES, LAM = 10, 10, 0.95
MUST = 5.0

# Runs an iteration at a time, and tells what the values, as fitted before it, explained of its returns' variance.
Contender = Generator[float, None, None]


def peers(report: Report) -> Table:
    """Whole TRPO iterations on Hopper-v5 against sb3-contrib's and Tianshou's TRPO.

    Medians of 5 iterations after 2 from the start of training, all in turn in one process; simulators and processes may
    use every core, torch one thread. Alike: networks (64-64 tanh, one for the policy and one for the values), 10 CG
    iterations with the Fisher matrix of the whole batch, γ, λ, normalised observations. Values: the peers fit them in
    10 passes of Adam, in batches of 128 (sb3-contrib) or whole (Tianshou), trpolab in its two damped Gauss-Newton
    steps. Explained: the share of the seventh batch's variance of returns that the values explain, fitted to the six
    before. Several environments stand in this process one after the other, or each in a process of its own.
    """
    with explained("trpolab bench peers"):
        import sb3_contrib  # noqa: F401
        import tianshou  # noqa: F401
    rows = []
    for size in BATCHES:
        names, found, quality = race(size, report)
        for name, seconds, share in zip(names[1:], found[1:], quality[1:], strict=True):
            ratio = float(np.median(seconds / found[0]))
            measured = f"{np.median(found[0]):.2f} | {np.median(seconds):.2f} | {ratio:.1f} | {MUST:g}"
            rows.append(f"{name} | {size:,} | {measured} | {verdict(ratio >= MUST)} | {quality[0]:.2f} | {share:.2f}")
    head = "peer | batch | trpolab, s | peer, s | ratio | must reach | reached | trpolab explained | peer explained"
    return Table(head, rows)


def race(size: int, report: Report) -> tuple[list[str], np.ndarray, list[float]]:
    """Everyone in turn, trpolab first: names, seconds [contenders, iterations], and what the values explained last."""
    contenders: dict[str, Contender] = {"trpolab": trpolab(size)}
    for number, processes, how in ((1, False, ""), (ENVIRONMENTS, False, "s"), (ENVIRONMENTS, True, "s in processes")):
        contenders[f"sb3-contrib, {number} environment{how}"] = sb3_contrib_trpo(size, number, processes)
        contenders[f"Tianshou, {number} environment{how}"] = tianshou_trpo(size, number, processes)
    seconds, quality, threads = [], [], torch.get_num_threads()
    for index in range(WARM_UP + ITERATIONS):
        took = []
        for contender in contenders.values():
            torch.set_num_threads(TORCH_THREADS)
            took.append(timed(next, contender))
        torch.set_num_threads(threads)
        seconds.append([one for one, _ in took])
        quality = [share for _, share in took]
        report(f"{size:,}, round {index + 1}: " + ", ".join(f"{one:.2f} s" for one in seconds[-1]))
    for contender in contenders.values():
        contender.close()
    return list(contenders), np.array(seconds[WARM_UP:]).T, quality


def trpolab(size: int) -> Contender:
    """Our own run."""
    settings: dict[str, Any] = {
        "steps_per_iteration": size,
        "lam": LAM,
        "cg_iterations": CG_ITERATIONS,
        "fisher_fraction": 1.0,
    }
    for iteration in Session(TASK, out=None, seed=0, threads=usable_cores(), **settings).iterate():
        yield iteration.metrics["explained_variance"] or 0.0


def sb3_contrib_trpo(size: int, environments: int, processes: bool) -> Contender:
    """sb3-contrib's TRPO with what rl-zoo has for Hopper, but for the numbers that are alike for all."""
    chosen: dict[str, Any] = {"n_steps": size // environments, "gae_lambda": LAM, "cg_max_steps": CG_ITERATIONS}
    model = sb3_contrib_model(environments, processes, n_critic_updates=PASSES, **chosen)
    try:
        while True:
            model.learn(size, reset_num_timesteps=False)
            yield share_explained(model.rollout_buffer.returns, model.rollout_buffer.values)
    finally:
        model.get_env().close()


def sb3_contrib_model(environments: int, processes: bool, seed: int = 0, **chosen: Any) -> Any:
    """sb3-contrib's TRPO on so many environments, normalised, with the settings that are chosen."""
    from sb3_contrib import TRPO
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecNormalize

    kind = SubprocVecEnv if processes else DummyVecEnv
    made = VecNormalize(make_vec_env(TASK, environments, seed=seed, vec_env_cls=kind))
    return TRPO("MlpPolicy", made, seed=seed, device="cpu", **chosen)


def tianshou_trpo(size: int, environments: int, processes: bool) -> Contender:
    """Tianshou's TRPO as in its own MuJoCo example, but for the numbers that are alike for all."""
    from tianshou.algorithm import TRPO
    from tianshou.algorithm.algorithm_base import policy_within_training_step
    from tianshou.algorithm.modelfree.reinforce import ProbabilisticActorPolicy
    from tianshou.algorithm.optim import AdamOptimizerFactory
    from tianshou.data import Collector, VectorReplayBuffer
    from tianshou.env import DummyVectorEnv, ShmemVectorEnv, VectorEnvNormObs
    from tianshou.utils.net.common import Net
    from tianshou.utils.net.continuous import ContinuousActorProbabilistic, ContinuousCritic

    class Noting(TRPO):
        """Keeps what the values explained."""

        def _update_with_batch(self, batch: Any, batch_size: int | None, repeat: int) -> Any:
            self.share = share_explained(batch.returns.numpy(), batch.v_s.numpy())
            return super()._update_with_batch(batch, batch_size, repeat)

    kind = ShmemVectorEnv if processes else DummyVectorEnv
    envs = VectorEnvNormObs(kind([partial(gymnasium.make, TASK)] * environments))
    actions, observations = envs.action_space[0], envs.observation_space[0].shape
    policy_net, value_net = (Net(state_shape=observations, hidden_sizes=(64, 64), activation=nn.Tanh) for _ in range(2))
    actor = ContinuousActorProbabilistic(preprocess_net=policy_net, action_shape=actions.shape, unbounded=True)
    policy = ProbabilisticActorPolicy(
        actor=actor,
        dist_fn=lambda given: torch.distributions.Independent(torch.distributions.Normal(*given), 1),
        action_space=actions,
    )
    critic, optimiser = ContinuousCritic(preprocess_net=value_net), AdamOptimizerFactory(lr=1e-3)
    chosen = {"optim_critic_iters": PASSES, "gae_lambda": LAM, "return_scaling": True, "max_batchsize": size}
    algorithm = Noting(policy=policy, critic=critic, optim=optimiser, **chosen)
    collector = Collector(algorithm, envs, VectorReplayBuffer(size, environments))
    collector.reset()
    try:
        while True:
            with policy_within_training_step(policy):
                collector.collect(n_step=size)
                algorithm.update(collector.buffer, batch_size=None, repeat=1)
            collector.reset_buffer(keep_statistics=True)
            yield algorithm.share
    finally:
        envs.close()


def share_explained(returns: np.ndarray, values: np.ndarray) -> float:
    """1 - Var(return - V) / Var(return)."""
    return 1 - float(np.var(returns - values)) / float(np.var(returns))

"""Reward-weighted regression: fit the policy to the actions it took, the better ones counting more.

Peters and Schaal (2007) derive it as expectation-maximisation with a transformed reward. It stands in the legend of the
paper's Figure 4 and nowhere in its text, so the transformation, exp(Q̂/T), is our choice.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from trpolab.numerics import backtrack, conjugate_gradient
from trpolab.numerics.threads import SERIAL, ThreadTeam
from trpolab.policies import Learner
from trpolab.sampling.batch import Batch
from trpolab.updates.diagnostics import Outcome
from trpolab.updates.fisher import damped, gauss_newton_product
from trpolab.updates.gradient_step import Start, Step, start
from trpolab.updates.methods.trpo import CG_TOLERANCE, without_direction
from trpolab.updates.surrogate import log_weights

if TYPE_CHECKING:
    from trpolab.training.config import Config


def reward_weighted_step(
    learner: Learner, batch: Batch, config: Config, generator: np.random.Generator, workers: ThreadTeam = SERIAL
) -> Step:
    """θ' = argmax Σ_nk w_nk log π_θ(a_nk|s_n), climbed from θ_old by Fisher scoring with a line search.

    For a linear Gaussian policy that is weighted least squares, and the weighted residual variance for σ. Nothing holds
    the new policy near the old one but the weights; the KL that it costs is reported.
    """
    begun = start(learner, batch, config, workers)
    if isinstance(begun, tuple):
        return begun
    problem, trust = begun.problem, config.trust
    regression = Regression(begun, regression_weights(begun, config.rwr.temperature))
    product = damped(
        gauss_newton_product(problem.policy, problem.features, problem.chunk, workers, regression.weights.sum(1)),
        trust.damping,
    )
    theta = problem.theta
    for step in range(config.rwr.steps):
        slope = regression.slope(theta)
        cg = conjugate_gradient(product, slope, iterations=trust.cg_iterations, tolerance=CG_TOLERANCE)
        if (problems := without_direction(cg)) is not None:
            return begun.refuse(*problems)
        search = backtrack(
            regression.log_likelihood, lambda _: 0.0, theta, cg.x.to(theta.dtype), bound=math.inf, max_tries=20
        )
        if step == 0:
            begun = begun.noting(cg=cg, search=search)
        if not search.accepted:
            break
        theta = search.x
    if theta is problem.theta:
        return begun.refuse(Outcome.REJECTED_LINE_SEARCH, "no step raised the weighted likelihood of the actions")
    return begun.take(theta, "the policy was fitted to its weighted actions")


def regression_weights(begun: Start, temperature: float) -> Tensor:
    """w_nk [N, K] ∝ weight_n · π_old/q · exp(Q̂_nk / (T · std Q̂)), summing to 1.

    With several actions a state, Q̂ counts from the state's own mean: states are not to be compared with each other.
    """
    samples = begun.problem.samples
    q = samples.q_values.double()
    if q.shape[1] > 1:
        q = q - q.mean(1, keepdim=True)
    log_ratio = log_weights(begun.problem.policy.distribution, begun.problem.old, samples).double()
    spread = float((q - q.mean()).square().mean().sqrt()) or 1.0  # all alike: all count alike
    log_w = (q / (temperature * spread)) + log_ratio + samples.weights.double().log().unsqueeze(1)
    return log_w.flatten().softmax(0).view_as(q).to(samples.q_values.dtype)


class Regression:
    """The weighted log-likelihood of the batch's actions as a function of θ."""

    def __init__(self, begun: Start, weights: Tensor):
        self.problem, self.weights = begun.problem, weights  # [N, K]

    def log_likelihood(self, theta: Tensor) -> float:
        """Σ_nk w_nk log π_θ(a_nk|s_n)."""
        log_prob = self.problem.policy.distribution.log_prob(self._parameters(theta), self.problem.samples.actions)
        return float((log_prob.view_as(self.weights).double() * self.weights).sum())

    def slope(self, theta: Tensor) -> Tensor:
        """Its gradient [D] float64."""
        score = self.problem.policy.distribution.score(self._parameters(theta), self.problem.samples.actions)
        cotangent = (score.view(*self.weights.shape, -1) * self.weights.unsqueeze(2)).sum(1)
        return self.problem.pull_back(theta, self.problem.features, cotangent)

    def _parameters(self, theta: Tensor) -> Tensor:
        """u for each action [N·K, U]."""
        return self.problem.policy.evaluate(self.problem.features, theta).repeat_interleave(self.weights.shape[1], 0)

"""Reward-weighted regression: fit the policy to the actions it took, with larger weights for better ones.

Peters and Schaal (2007) derive it as expectation-maximisation with a transformed reward. It stands in the legend of the
paper's Figure 4 and nowhere in its text, so the transformation, exp(Q̂/T), is our choice.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from trpolab.numerics import backtrack
from trpolab.policies import Learner
from trpolab.sampling.batch import Batch
from trpolab.settings import Part, setting
from trpolab.updates.diagnostics import Outcome, Refusal
from trpolab.updates.fisher import damped, gauss_newton_product
from trpolab.updates.gradient_step import pose, solve, take
from trpolab.updates.method import Context, MethodKind, Step
from trpolab.updates.problem import Problem
from trpolab.updates.surrogate import log_weights


@dataclass(frozen=True)
class RewardWeighted(Part):
    """Reward-weighted regression (Peters and Schaal, 2007): the likelihood of the actions, weighted by exp(Q̂/T)."""

    temperature: float = setting(
        1.0, "T, in standard deviations of Q̂: small trusts the best actions alone", symbol="T", low=0, open_low=True,
        scale="log", shown=(0.1, 10),
    )  # fmt: skip
    steps: int = setting(3, "most Fisher-scoring steps of the regression", low=1, shown=(1, 20))


def reward_weighted_step(learner: Learner, batch: Batch, settings: RewardWeighted, context: Context) -> Step:
    """θ' = argmax Σ_nk w_nk log π_θ(a_nk|s_n), climbed from θ_old by Fisher scoring with a line search.

    For a linear Gaussian policy that is weighted least squares, and the weighted residual variance for σ. Nothing but
    the weights keeps the new policy near the old one; the KL between them is reported.
    """
    problem = pose(learner, batch, context)
    regression = Regression(problem, regression_weights(problem, settings.temperature))
    shares = regression.weights.sum(1)
    rows = problem.chunk, problem.workers, problem.kept
    product = gauss_newton_product(problem.policy, problem.features, *rows, shares)
    theta = problem.theta
    for _ in range(settings.steps):
        cg = solve(damped(product, context.trust.damping), regression.slope(theta), context)
        step = cg.x.to(theta.dtype)
        search = backtrack(regression.log_likelihood, lambda _: 0.0, theta, step, bound=math.inf, max_tries=20)
        context.note(search=search)
        if not search.accepted:
            break
        theta = search.x
    if theta is problem.theta:
        raise Refusal(Outcome.REJECTED_LINE_SEARCH, "no step raised the weighted likelihood of the actions")
    return take(learner, problem, theta, context, message="the policy was fitted to its weighted actions")


def regression_weights(problem: Problem, temperature: float) -> Tensor:
    """w_nk [N, K] ∝ weight_n · π_old/q · exp(Q̂_nk / (T · std Q̂)), summing to 1.

    With several actions a state, the state's mean of Q̂ is subtracted first: states are not compared with each other.
    """
    samples = problem.samples
    q = samples.q_values.double()
    if q.shape[1] > 1:
        q = q - q.mean(1, keepdim=True)
    log_ratio = log_weights(problem.policy.distribution, problem.old, samples).double()
    spread = float((q - q.mean()).square().mean().sqrt()) or 1.0  # equal Q̂: equal weights
    log_w = (q / (temperature * spread)) + log_ratio + samples.weights.double().log().unsqueeze(1)
    return log_w.flatten().softmax(0).view_as(q).to(samples.q_values.dtype)


class Regression:
    """The weighted log-likelihood of the batch's actions as a function of θ."""

    def __init__(self, problem: Problem, weights: Tensor):
        self.problem, self.weights = problem, weights  # [N, K]

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
        return self.problem.parameters(self.problem.features, theta).repeat_interleave(self.weights.shape[1], 0)


METHOD = MethodKind(
    name="rwr",
    label="reward-weighted",
    doc="fit the policy to its actions, weighted by exp(Q̂/T)",
    source="Figure 4; Peters and Schaal, 2007",
    settings=RewardWeighted,
    step=reward_weighted_step,
    reads=("cg_iterations", "damping"),
)

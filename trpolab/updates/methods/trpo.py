"""Trust Region Policy Optimization: the update of Section 6, as Appendix C computes it."""

from __future__ import annotations

from trpolab.policies import Learner
from trpolab.sampling.batch import Batch
from trpolab.updates.config import BOUND, PRODUCTS, SEARCH
from trpolab.updates.gradient_step import damped_fisher, full_step, line_search, pose, solve, take
from trpolab.updates.method import Context, MethodKind, Step
from trpolab.updates.own_parts import own_theta


def trpo_step(learner: Learner, batch: Batch, settings: None, context: Context, fisher: str | None = None) -> Step:
    """One update: maximise L(θ) subject to mean KL(old‖θ) <= δ, to first order in L and second order in the KL.

    The gradient, the surrogate and the KL test use the full batch, the Fisher products a share of its states. β comes
    from the *damped* sᵀAs: with damping the quadratic model of the KL stays below δ. Numerical trouble is a Refusal;
    ValueError only if the batch was collected by another policy. `fisher` takes the place of `trust.fisher`, if given.
    """
    problem = pose(learner, batch, context)  # Eq. 14: L(θ), and KL(old‖θ) at the sampled states
    g = problem.gradient()  # g = ∇L(θ_old)
    A = damped_fisher(problem, context, fisher)  # v ↦ (A + damping·I) v, A the Fisher matrix (App. C.1)
    if context.own.trpo_step is not None:  # a person's own, for all that follows
        theta = own_theta(context.own, "trpo_step", problem, context.trust.delta, first=(g, A))
        return take(learner, problem, theta, context, message="a step of this run's own trpo_step")
    cg = solve(A, g, context)  # cg.x = s ≈ A⁻¹g by conjugate gradient
    step = full_step(cg, context)  # βs with β = √(2δ / sᵀAs), the longest step that the model of the KL allows
    theta, fraction = line_search(problem, step, problem.mean_kl, context)  # shrink until KL <= δ and L gains
    return take(learner, problem, theta, context, fraction)


METHOD = MethodKind(
    name="trpo",
    label="TRPO",
    doc="maximise L subject to mean KL(old‖new) <= δ",
    source="Eq. 14, App. C",
    step=trpo_step,
    reads=(*BOUND, *SEARCH, *PRODUCTS, "trust.fisher"),
)

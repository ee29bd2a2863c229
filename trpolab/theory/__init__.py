"""Sections 2-4 and Appendices A and B exactly, on finite MDPs: float64, by linear solves, nothing sampled.

Policies are arrays [S, A] of probabilities. Every bound is a function that returns both of its sides.
"""

from trpolab.simulators.finite_mdp import FiniteMDP, chain, gridworld, random_mdp
from trpolab.simulators.finite_simulator import finite_mdp
from trpolab.theory.bounds import (
    Bound,
    coupling_bound,
    kl_bound,
    mean_kl_bound,
    mean_tv_bound,
    mispaired_bound,
    mixture,
    mixture_bound,
    penalty_constant,
    pinsker_bound,
    theorem_1,
    worst_fall,
)
from trpolab.theory.coupling import (
    CouplingArgument,
    coupling_argument,
    disagreement,
    maximal_coupling,
    shared_uniform_coupling,
)
from trpolab.theory.divergences import kl_by_state, max_kl, max_tv, mean_kl, tv_by_state
from trpolab.theory.perturbation import Expansion, perturbation
from trpolab.theory.policy_iteration import (
    conservative_step,
    conservative_step_size,
    greedy,
    policy_iteration,
    policy_iteration_step,
)
from trpolab.theory.steps import Improvement, Step, improve
from trpolab.theory.surrogate import (
    FirstOrder,
    Identity,
    expected_advantages,
    first_order_match,
    identity,
    local_model,
    policy_gradient,
)
from trpolab.theory.trust_region import algorithm_1_step, max_kl_step, mean_kl_step, trpo_step
from trpolab.theory.values import Values, eta, evaluate, random_policy, softmax, tabulate, uniform_policy

"""The local model L of η (Eq. 3), its first-order match (Eq. 4), and the identity behind it (Eq. 1, 2)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trpolab.simulators.finite_mdp import FiniteMDP
from trpolab.theory.values import Values, checked, evaluate, state_moves

MOST_STEPS = 1_000_000  # of a sum over time
NEGLIGIBLE = 1e-14  # share of the discounted time that a sum over time may leave out


@dataclass(frozen=True)
class Identity:
    """Both sides of Eq. 1 and Eq. 2; all three numbers are equal."""

    eta: float  # η(π̃)
    by_time: float  # Eq. 1: η(π) + E_π̃ Σ_t γ^t A_π(s_t, a_t), summed step by step
    by_states: float  # Eq. 2: η(π) + Σ_s ρ_π̃(s) Σ_a π̃(a|s) A_π(s, a)


@dataclass(frozen=True, eq=False)
class FirstOrder:
    """Both sides of Eq. 4 at θ0: equal values, equal gradients."""

    eta: float  # η(π_θ0)
    surrogate: float  # L_π(π_θ0)
    eta_gradient: np.ndarray  # [D] ∇η by differentiating through the solve
    surrogate_gradient: np.ndarray  # [D] ∇L, with ρ and A held fixed


def expected_advantages(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Ā(s) = Σ_a π̃(a|s) A_π(s, a) [S]; 0 in terminal states."""
    return ahead_of(mdp, evaluate(mdp, old), new)


def ahead_of(mdp: FiniteMDP, values: Values, new: np.ndarray) -> np.ndarray:
    """Ā(s) [S] from the values of π."""
    return np.asarray((checked(mdp, new, "new policy") * values.advantages).sum(1) * mdp.living)


def local_model(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray) -> float:
    """L_π(π̃) = η(π) + Σ_s ρ_π(s) Σ_a π̃(a|s) A_π(s, a): Eq. 3, with the states of π."""
    values = evaluate(mdp, old)
    return values.eta + float(values.visits @ ahead_of(mdp, values, new))


def identity(mdp: FiniteMDP, old: np.ndarray, new: np.ndarray) -> Identity:
    """Eq. 1 and Eq. 2 for two policies [S, A].

    Eq. 1 is summed over time until the rest has a weight of 1e-14. Raises ValueError if that takes a million steps.
    """
    values = evaluate(mdp, old)
    ahead, base = ahead_of(mdp, values, new), values.eta
    reached = evaluate(mdp, new)
    total, state, moves = base, mdp.start, state_moves(mdp, checked(mdp, new))
    discount, all_time = 1.0, reached.visits.sum()
    left = all_time
    for _ in range(MOST_STEPS):
        total += discount * float(state @ ahead)
        left -= discount * float(state.sum())
        state, discount = state @ moves, discount * mdp.gamma
        if left <= NEGLIGIBLE * all_time or discount < NEGLIGIBLE**2:
            break
    else:
        raise ValueError(f"gamma = {mdp.gamma:g}: the sum of Eq. 1 has not converged after {MOST_STEPS:,} steps")
    return Identity(reached.eta, total, base + float(reached.visits @ ahead))


def first_order_match(
    mdp: FiniteMDP, theta: np.ndarray, policy: Callable[[Tensor], Tensor] | None = None
) -> FirstOrder:
    """Eq. 4 at θ0 = theta [D]: values and gradients of η and of L_π.

    `policy` maps θ [D] to probabilities [S, A] by operations that torch can differentiate; without it θ holds one logit
    for each state and action, row by row.
    """
    shape = (mdp.states, mdp.actions)
    if policy is None and np.size(theta) != math.prod(shape):
        raise ValueError(f"theta: {np.size(theta)} numbers, must be {math.prod(shape)}, one for each state and action")
    table = policy or (lambda t: torch.softmax(t.reshape(shape), dim=1))
    at = torch.tensor(np.asarray(theta).ravel(), dtype=torch.float64, requires_grad=True)
    values = evaluate(mdp, table(at).detach().numpy())
    weighted = torch.from_numpy(values.visits[:, None] * values.advantages)

    surrogate = values.eta + (table(at) * weighted).sum()
    value = _differentiable_eta(mdp, table(at))
    (surrogate_gradient,) = torch.autograd.grad(surrogate, at)
    (eta_gradient,) = torch.autograd.grad(value, at)
    return FirstOrder(
        float(value.detach()), float(surrogate.detach()), eta_gradient.numpy(), surrogate_gradient.numpy()
    )


def policy_gradient(mdp: FiniteMDP, policy: np.ndarray) -> np.ndarray:
    """∇η = ∇L in the logits of a soft-max [S, A]: ρ(s) π(a|s) A(s, a)."""
    values = evaluate(mdp, policy)
    return np.asarray(values.visits[:, None] * checked(mdp, policy) * values.advantages)


def _differentiable_eta(mdp: FiniteMDP, pi: Tensor) -> Tensor:
    """η = ρ0ᵀ (I - γ P_π)⁻¹ r_π in torch."""
    living = torch.from_numpy(mdp.living.astype(np.float64))
    moves = torch.einsum("sa,sat->st", pi, torch.from_numpy(np.array(mdp.transitions))) * living * living[:, None]
    rewards = (pi * torch.from_numpy(mdp.expected_rewards)).sum(1)
    system = torch.eye(mdp.states, dtype=torch.float64) - mdp.gamma * moves
    return torch.from_numpy(np.array(mdp.start)) @ torch.linalg.solve(system, rewards)

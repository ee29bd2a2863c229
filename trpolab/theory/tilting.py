"""For each state, the policies that give the most expected advantage for their KL(π‖π̃): a curve through π.

maximise_π̃ Σ_a π̃(a) A(a) subject to KL(π‖π̃) <= d has the solution π̃(a) ∝ π(a) / (1 - t A(a)) with 0 <= t < 1/max A, A
centred under π. The curve runs from π (t = 0) towards the best action (t -> 1/max A). Along it the constraint's
multiplier μ = dA/dd falls from infinity to 0. The parameter is y > 0 with t = (1 - e^-y)/max A, which keeps all digits
at both ends. Probabilities may be as small as 1e-300, so 1/π and e^y are only ever used as logarithms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trpolab.numerics.roots import increasing_roots
from trpolab.simulators.finite_mdp import FiniteMDP
from trpolab.theory.divergences import kl_terms
from trpolab.theory.values import Values, checked

Rising = Callable[["Tilt"], tuple[np.ndarray, np.ndarray]]  # a log that rises along the curves, and its slope
FLAT = 1e-13  # relative: a state whose best advantage is smaller has nothing to gain
LONGEST = 600.0  # y past where the best action has half of the probability: that of the others is near 1e-260 there
LEAST = float(np.finfo(np.float64).tiny)  # of a new probability: at 0 the KL would be infinite
quietly = np.errstate(divide="ignore", over="ignore", under="ignore", invalid="ignore")  # limits are infinities


@dataclass(frozen=True, eq=False)
class Tilt:
    """Points on the curves of S states."""

    log_y: np.ndarray  # [S] where on the curve
    policy: np.ndarray  # [S, A] π̃
    log_kl: np.ndarray  # [S] log KL(π‖π̃)
    log_multiplier: np.ndarray  # [S] log μ
    kl_slope: np.ndarray  # [S] d log KL / d log y
    multiplier_slope: np.ndarray  # [S] d log μ / d log y


@dataclass(frozen=True, eq=False)
class Curves:
    """The curves of those states in which something can be gained (S' of them)."""

    p: np.ndarray  # [S', A] π, all positive
    a: np.ndarray  # [S', A] advantages, centred under p
    rows: np.ndarray  # [S'] which states
    weights: np.ndarray  # [S'] ρ_π there
    whole: np.ndarray  # [S, A] π

    @classmethod
    def of(cls, mdp: FiniteMDP, policy: np.ndarray, values: Values) -> Curves:
        """Of a policy with exact advantages. Raises ValueError for a policy that never takes some action."""
        pi = checked(mdp, policy)
        if not (pi[mdp.living] > 0).all():
            state, action = (int(i) for i in np.argwhere((pi <= 0) & mdp.living[:, None])[0])
            raise ValueError(
                f"policy[{state}, {action}] = 0: a step measured by KL(old‖new) needs all probabilities above 0"
            )
        a = values.advantages - (pi * values.advantages).sum(1, keepdims=True)
        scale = float(np.abs(values.q).max())
        rows = np.flatnonzero((a.max(1) > FLAT * scale) & mdp.living)
        return cls(pi[rows], a[rows], rows, values.visits[rows], pi)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def spread(self) -> np.ndarray:
        """[S'] σ, the standard deviation of A under π: for small steps KL = ½t²σ² and μ = 1/t."""
        return np.asarray(np.sqrt((self.p * self.a**2).sum(1)))

    @cached_property
    def top(self) -> np.ndarray:
        """[S'] max A."""
        return np.asarray(self.a.max(1))

    @cached_property
    def log_p(self) -> np.ndarray:
        """[S', A] log π."""
        return np.log(self.p)

    @cached_property
    def last(self) -> np.ndarray:
        """[S'] log y at the end of a curve: beyond it no digits are left."""
        best = np.where(self.a == self.top[:, None], self.p, 0.0).sum(1)
        return np.log(LONGEST - np.log(best))

    @quietly
    def at(self, log_y: np.ndarray) -> Tilt:
        """The points at log y [S']."""
        p, a, top = self.p, self.a, self.top[:, None]
        log_y = np.minimum(log_y, self.last)
        y = np.exp(log_y)[:, None]
        share, left = -np.expm1(-y), np.exp(-y)  # t · max A, and the rest of it to 1
        t, z = share / top, share * (a / top)  # z = t A
        rest = ((top - a) + a * left) / top  # 1 - t A = 1/w, without subtracting numbers close to each other
        log_rest = np.where(a == top, -y, np.log(rest))
        w, scaled = 1 / rest, np.exp(-log_rest - y)  # scaled: e^-y w, at most 1
        grown = (p * w * z**2).sum(1, keepdims=True)  # Z - 1, with Z = Σ p w and Σ p z = 0; p may be denormal
        far = ~np.isfinite(grown)
        log_z = np.where(far, np.logaddexp.reduce(self.log_p - log_rest, axis=1, keepdims=True), np.log1p(grown))
        log_ratio = -log_rest - log_z  # log π̃/π
        change = np.where(far, np.expm1(log_ratio), (z * w - grown) / (1 + grown))
        new = np.where(np.abs(change) < 0.5, p * (1 + change), np.exp(self.log_p + log_ratio))
        kl = kl_terms(p, new, change, log_ratio).sum(1)
        log_z_by_t = (new * a * z * (scaled + left)).sum(1)  # times e^-y: Σ p A w² / Z, as Σ p A = 0
        kl_by_t = log_z_by_t - (p * z**2 * scaled).sum(1) / t[:, 0]
        stretch = y[:, 0] / self.top  # dt / d log y, times e^y
        return Tilt(
            log_y=log_y,
            policy=np.maximum(new, LEAST),
            log_kl=np.log(kl),
            log_multiplier=-(np.log(t) + log_z)[:, 0],
            kl_slope=stretch * kl_by_t / kl,
            multiplier_slope=-((y * left / share)[:, 0] + stretch * log_z_by_t),
        )

    @quietly
    def at_kl(self, log_kl: float, near: Tilt | None = None) -> Tilt:
        """The points with this log KL(π‖π̃) in every state; `near` is where to start looking.

        A state whose curve ends before that (its best action is almost certain) gets the end of its curve.
        """
        small_step = 0.5 * (np.log(2) + log_kl) - np.log(self.spread / self.top)
        return self._solved(lambda tilt: (tilt.log_kl, tilt.kl_slope), log_kl, small_step, near)

    @quietly
    def at_multiplier(self, log_multiplier: float, near: Tilt | None = None) -> Tilt:
        """The points where the gain per unit of KL has this log in every state; `near` is where to start looking."""
        small_step = np.log(self.top) - log_multiplier
        return self._solved(
            lambda tilt: (-tilt.log_multiplier, -tilt.multiplier_slope), -log_multiplier, small_step, near
        )

    def filled(self, tilt: Tilt) -> np.ndarray:
        """The whole new policy [S, A]: states without a curve keep π."""
        new = np.array(self.whole)
        new[self.rows] = tilt.policy
        return new

    def _solved(self, rising: Rising, goal: float, start: np.ndarray, near: Tilt | None) -> Tilt:
        """The points where what rises along the curves reaches the goal; the end of a curve that never does."""
        if near is not None:
            value, slope = rising(near)
            start = near.log_y + (goal - value) / slope

        def miss(log_y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            value, slope = rising(self.at(log_y))
            return np.where((log_y >= self.last) & (value < goal), 0.0, value - goal), slope

        return self.at(increasing_roots(miss, np.minimum(start, self.last - 1)).x)

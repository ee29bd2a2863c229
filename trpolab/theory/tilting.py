"""For each state, the policies that give the most expected advantage for their KL(π‖π̃): a curve through π.

maximise_π̃ Σ_a π̃(a) A(a) subject to KL(π‖π̃) <= d has the solution π̃(a) ∝ π(a) / (1 - t A(a)) with 0 <= t < 1/max A, A
centred under π. The curve runs from π (t = 0) towards the best action (t -> 1/max A). Along it the constraint's
multiplier μ = dA/dd falls from infinity to 0. The parameter is y > 0 with t = (1 - e^-y)/max A, which keeps all digits
at both ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trpolab.numerics.roots import increasing_roots
from trpolab.simulators.finite_mdp import FiniteMDP
from trpolab.theory.divergences import without_log
from trpolab.theory.values import Values, checked

Rising = Callable[["Tilt"], tuple[np.ndarray, np.ndarray]]  # a log that rises along the curves, and its slope
FLAT = 1e-13  # relative: a state whose best advantage is smaller has nothing to gain
LAST = math.log(600.0)  # the end of a curve: the other actions' probabilities are near 1e-260, and no digits are left


@dataclass(frozen=True, eq=False)
class Tilt:
    """Points on the curves of S states."""

    log_y: np.ndarray  # [S] where on the curve
    policy: np.ndarray  # [S, A] π̃
    kl: np.ndarray  # [S] KL(π‖π̃)
    multiplier: np.ndarray  # [S] μ
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

    @property
    def spread(self) -> np.ndarray:
        """[S'] σ, the standard deviation of A under π: for small steps KL = ½t²σ² and μ = 1/t."""
        return np.asarray(np.sqrt((self.p * self.a**2).sum(1)))

    @property
    def top(self) -> np.ndarray:
        """[S'] max A."""
        return np.asarray(self.a.max(1))

    def at(self, log_y: np.ndarray) -> Tilt:
        """The points at log y [S']."""
        p, a, top = self.p, self.a, self.top[:, None]
        y = np.exp(np.minimum(log_y, LAST))[:, None]
        share = -np.expm1(-y)  # t · max A
        t = share / top
        z = t * a
        rest = ((top - a) + a * np.exp(-y)) / top  # 1 - t A, without subtracting numbers close to each other
        w = 1 / rest
        grown = (p * z**2 * w).sum(1)  # Z - 1, with Z = Σ p w and Σ p z = 0
        total = 1 + grown
        t, share = t[:, 0], share[:, 0]
        new = p * w / total[:, None]
        log_ratio = -np.log(rest) - np.log(total)[:, None]  # log π̃/π
        kl = (p * without_log((z * w - grown[:, None]) / total[:, None], log_ratio)).sum(1)
        log_z_by_t = (new * a * z * (w + 1)).sum(1)  # Σ p A w² / Z, as Σ p A = 0
        kl_by_t = log_z_by_t - grown / t
        stretch = (y * np.exp(-y))[:, 0] / share  # d log t / d log y
        return Tilt(
            log_y=np.minimum(log_y, LAST),
            policy=new,
            kl=kl,
            multiplier=1 / (t * total),
            kl_slope=stretch * t * kl_by_t / kl,
            multiplier_slope=-stretch * (1 + t * log_z_by_t),
        )

    def at_kl(self, kl: float, near: Tilt | None = None) -> Tilt:
        """The points with KL(π‖π̃) = kl in every state; `near` is where to start looking.

        A state whose curve ends before that (its best action is almost certain) gets the end of its curve.
        """
        small_step = np.log(np.sqrt(2 * kl) / self.spread * self.top)
        return self._solved(lambda tilt: (np.log(tilt.kl), tilt.kl_slope), np.log(kl), small_step, near)

    def at_multiplier(self, multiplier: float, near: Tilt | None = None) -> Tilt:
        """The points where the gain per unit of KL is `multiplier` in every state; `near` is where to start looking."""
        small_step = np.log(self.top / multiplier)
        return self._solved(
            lambda tilt: (-np.log(tilt.multiplier), -tilt.multiplier_slope), -np.log(multiplier), small_step, near
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
            return np.where((log_y >= LAST) & (value < goal), 0.0, value - goal), slope

        return self.at(increasing_roots(miss, np.minimum(start, LAST - 1)).x)

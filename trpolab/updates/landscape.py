"""L and the KL around θ_old: along the step βs of an update, and in the plane of s and g. For drawing alone."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from trpolab.policies import Policy
from trpolab.policies.rows import random_rows
from trpolab.sampling.batch import Batch
from trpolab.updates.config import TrustRegion
from trpolab.updates.diagnostics import Diagnostics
from trpolab.updates.fisher import Product, damped
from trpolab.updates.problem import Problem

FRACTIONS = np.arange(16) / 10  # of the full step
APART = 0.005  # fractions closer to a trial's are left out
SIDE = 9  # points of the plane along each axis
MARGIN = 0.1  # of the plane's width, around what it must hold
FREE = 1.6  # times the size of the model's ellipse that is shown if the KL's own, without damping, is larger
FARTHEST = 3.0  # other points that lie farther away, in full steps or half ellipses, do not widen the plane
PARALLEL = 1e-3  # share of g across s below which both point the same way
EVALUATIONS = len(FRACTIONS) + SIDE**2 + 20  # about as many: trials of the line search, other points and products too
LEAST_ROWS = 128  # fewer would tell nothing
MOST_SECONDS = 10.0  # of a processor that so few may take
SLOW = 5e-3  # seconds that are enough to tell how fast a policy is
TINY = 1e-300  # no curvature at all

Model = tuple[float, float, float]
Evaluate = Callable[[Tensor], tuple[float, float]]  # the gain and the KL a vector away from θ_old


@dataclass(frozen=True)
class Point:
    """A place in the plane, and what is found there."""

    x: float  # along s, in full steps
    y: float  # across
    gain: float  # L(θ) - L(θ_old)
    kl: float  # the KL that is bounded


@dataclass(frozen=True, eq=False)
class Plane:
    """θ_old + xβs + ye with e the part of g across s, as long as the model's ellipse is high; X · Y points."""

    x: np.ndarray  # [X]
    y: np.ndarray  # [Y]
    gain: np.ndarray  # [Y, X]
    kl: np.ndarray  # [Y, X]
    model: Model  # (a, b, c): the mean KL is about ½(ax² + 2bxy + cy²), damping included
    slope: tuple[float, float]  # (p, q): the gain is about px + qy


@dataclass(frozen=True, eq=False)
class Landscape:
    """What surrounds θ_old, on `states` of `of` states."""

    states: int
    of: int
    fractions: np.ndarray  # [F] of the full step, trials of the line search included
    gain: np.ndarray  # [F]
    kl: np.ndarray  # [F]
    slope: float  # gᵀβs: the gain at fraction 1 if L were linear
    curvature: float  # β²sᵀAs, damping included: the model of the mean KL is half of it at fraction 1
    plane: Plane | None  # None where g and s point the same way
    others: dict[str, Point]  # where other steps lead, projected on the plane; gain and KL are those of the whole step


def landscape(
    policy: Policy,
    batch: Batch,
    found: Diagnostics,
    trust: TrustRegion,
    *,
    bounded: str = "kl_mean",
    others: Mapping[str, Tensor] | None = None,
    rows: int | None = None,
    seed: int = 0,
) -> Landscape:
    """L and the KL of an update of `policy`, which collected the batch, around the step that was found.

    `bounded` is the KL that δ bounds, kl_mean or kl_max; `others` are steps [D] of other methods. Of more than `rows`
    states a random subset of `seed` is taken; the slope of L stays that of all. Without a subset the numbers are those
    of the update. Runs in the caller's thread. Raises ValueError if the update tried no step.
    """
    if found.full_step is None or found.gradient is None:
        raise ValueError(f"this update tried no step: {found.message}")
    sample = batch if rows is None else _thinned(batch, rows, np.random.default_rng(seed))
    problem = Problem(policy, sample)
    theta, g = problem.theta, found.gradient
    missed = g - problem.gradient()  # of the slope, for want of the states left out
    start = problem.evaluate(theta).surrogate

    def at(move: Tensor) -> tuple[float, float]:
        reached = problem.evaluate(theta + move.to(theta.dtype))
        more = float(missed @ move.double()) if sample is not batch else 0.0
        return reached.surrogate - start + more, getattr(reached, bounded)

    step = found.full_step
    trials = [trial.fraction for trial in found.search.trials] if found.search else []
    fractions = np.unique([*(f for f in FRACTIONS if not any(0 < abs(f - trial) < APART for trial in trials)), *trials])
    gain, kl = np.array([at(fraction * step) for fraction in fractions.tolist()]).T
    product = damped(problem.fisher(), trust.damping)
    plane, places = _plane(at, step, g, product, trust, others or {})
    full = step.double()
    sizes = len(sample.obs), len(batch.obs)
    return Landscape(*sizes, fractions, gain, kl, float(g @ full), float(full @ product(full)), plane, places)


def _plane(
    at: Evaluate, step: Tensor, g: Tensor, product: Product, trust: TrustRegion, others: Mapping[str, Tensor]
) -> tuple[Plane | None, dict[str, Point]]:
    """The plane of the full step and g, and where in it other steps lead; `at` evaluates θ_old + a vector."""
    s = step.double()
    across = g - s * (float(g @ s) / float(s @ s))
    if not float(across.norm()) > PARALLEL * float(g.norm()):
        return None, {}
    along, curved = product(s), product(across)
    model = float(s @ along), float(across @ along), float(across @ curved)
    unit = _extents(model, trust.delta)[1]
    across, model = unit * across, (model[0], unit * model[1], unit**2 * model[2])
    places = {}
    for name, other in others.items():
        x, y = (float(axis @ other.double()) / float(axis @ axis) for axis in (s, across))
        places[name] = Point(x, y, *at(other))
    undamped = model[0] - trust.damping * float(s @ s), model[1], model[2] - trust.damping * float(across @ across)
    wide, high = (
        min(max(half, min(real, FREE * half)), FARTHEST)
        for half, real in zip(_extents(model, trust.delta), _extents(undamped, trust.delta), strict=True)
    )
    near = [place for place in places.values() if abs(place.x) <= FARTHEST and abs(place.y) <= FARTHEST]
    xs, ys = _axis([-wide, wide, 1.0, *(place.x for place in near)]), _axis([-high, high, *(place.y for place in near)])
    rise = across.to(step.dtype)
    values = np.array([[at(x * step + y * rise) for x in xs.tolist()] for y in ys.tolist()])
    return Plane(xs, ys, values[..., 0], values[..., 1], model, (float(g @ s), float(g @ across))), places


def _extents(model: Model, delta: float) -> tuple[float, float]:
    """How far the ellipse ½(ax² + 2bxy + cy²) = δ reaches in x and in y."""
    a, b, c = model
    determinant = max(a * c - b * b, 1e-12 * a * c, TINY)
    return math.sqrt(2 * delta * max(c, 0) / determinant), math.sqrt(2 * delta * max(a, 0) / determinant)


def _axis(places: list[float]) -> np.ndarray:
    """Points that hold all places, with a margin."""
    low, high = min(places), max(places)
    margin = MARGIN * (high - low)
    return np.linspace(low - margin, high + margin, SIDE)


def affordable_rows(policy: Policy, batch: Batch, seconds: float) -> int:
    """How many states `landscape` can take within so many seconds of a processor, found by a trial; 0: too few."""
    took, count = 0.0, 1
    for most in (16, 16, 512):  # the first call is slower
        problem = Problem(policy, _thinned(batch, most, np.random.default_rng(0)))
        count, began = max(len(problem.features), len(problem.constraint_features)), time.thread_time()
        problem.evaluate(problem.theta)
        took = time.thread_time() - began
        if took > SLOW:
            break
    each = EVALUATIONS * max(took, 1e-6) / count
    rows = int(seconds / each)
    if rows < LEAST_ROWS:
        return LEAST_ROWS if each * LEAST_ROWS <= MOST_SECONDS else 0
    return 2 ** (rows.bit_length() - 1)  # from picture to picture the same, as a rule


def _thinned(batch: Batch, rows: int, generator: np.random.Generator) -> Batch:
    """At most `rows` of the states, and of the constraint's, drawn at random; the batch itself if it has no more."""
    n, m = len(batch.obs), len(batch.constraint_obs)
    if max(n, m) <= rows:
        return batch
    kept = random_rows(n, min(rows / n, 1.0), generator)
    fields = ("obs", "actions", "log_q", "q_values", "weights", "path", "t", "old")
    taken = {name: getattr(batch, name)[kept] for name in fields}
    if batch.constraint_obs is batch.obs:
        constraint, old = taken["obs"], taken["old"]
    else:
        chosen = random_rows(m, min(rows / m, 1.0), generator)
        constraint, old = batch.constraint_obs[chosen], batch.constraint_old[chosen]
    return dataclasses.replace(batch, **taken, constraint_obs=constraint, constraint_old=old, paths=None)

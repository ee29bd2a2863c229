"""L and the KL around θ_old: along the step βs of an update, and in the plane of s and g. For drawing alone."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from trpolab.policies import Policy
from trpolab.policies.rows import random_rows
from trpolab.sampling.batch import Batch
from trpolab.updates.config import TrustRegion
from trpolab.updates.diagnostics import Diagnostics
from trpolab.updates.fisher import damped
from trpolab.updates.problem import Problem

FRACTIONS = np.linspace(0, 1.5, 16)  # of the full step
SIDE = 9  # points of the plane along each axis
MARGIN = 0.1  # of the plane's width, around what it must hold
FARTHEST = 3.0  # other points that lie farther away, in full steps or half ellipses, do not widen the plane
PARALLEL = 1e-3  # share of g across s below which both point the same way
EVALUATIONS = len(FRACTIONS) + SIDE**2 + 20  # about as many: trials of the line search, other points and products too

Model = tuple[float, float, float]


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
    of the update. Runs in the caller's thread. Raises ValueError if the update found no step βs.
    """
    if found.cg is None or found.beta is None or found.gradient is None:
        raise ValueError(f"this update found no step: {found.message}")
    sample = batch if rows is None else _thinned(batch, rows, np.random.default_rng(seed))
    problem = Problem(policy, sample)
    theta, g = problem.theta, found.gradient.cpu()
    missed = g - problem.gradient()  # of the slope, for want of the states left out
    start = problem.evaluate(theta).surrogate

    def at(move: Tensor) -> tuple[float, float]:
        reached = problem.evaluate(theta + move.to(theta.dtype))
        more = float(missed @ move.double()) if sample is not batch else 0.0
        return reached.surrogate - start + more, getattr(reached, bounded)

    step = (found.beta * found.cg.x.cpu()).to(theta.dtype)
    trials = [trial.fraction for trial in found.search.trials] if found.search else []
    fractions = np.unique([*FRACTIONS, *trials])
    gain, kl = np.array([at(fraction * step) for fraction in fractions.tolist()]).T
    s = step.double()
    across = g - s * (float(g @ s) / float(s @ s))
    product = damped(problem.fisher(), trust.damping)
    curved = product(s)
    plane, places = None, {}
    if float(across.norm()) > PARALLEL * float(g.norm()):
        model = float(s @ curved), float(across @ curved), float(across @ product(across))
        unit = _extents(model, trust.delta)[1]
        across, model = unit * across, (model[0], unit * model[1], unit**2 * model[2])
        for name, other in (others or {}).items():
            x, y = (float(axis @ other.double()) / float(axis @ axis) for axis in (s, across))
            places[name] = Point(x, y, *at(other))
        xs, ys = _axes(model, trust.delta, list(places.values()))
        rise = across.to(theta.dtype)
        values = np.array([[at(x * step + y * rise) for x in xs.tolist()] for y in ys.tolist()])
        plane = Plane(xs, ys, values[..., 0], values[..., 1], model, (float(g @ s), float(g @ across)))
    sizes = len(sample.obs), len(batch.obs)
    return Landscape(*sizes, fractions, gain, kl, float(g @ s), float(s @ curved), plane, places)


def _extents(model: Model, delta: float) -> tuple[float, float]:
    """How far the ellipse ½(ax² + 2bxy + cy²) = δ reaches in x and in y."""
    a, b, c = model
    determinant = max(a * c - b * b, 1e-12 * a * c)
    return math.sqrt(2 * delta * c / determinant), math.sqrt(2 * delta * a / determinant)


def _axes(model: Model, delta: float, others: list[Point]) -> tuple[np.ndarray, np.ndarray]:
    """x [X] and y [Y] that hold the ellipse, the full step, and the other points unless they are far away."""
    near = [point for point in others if abs(point.x) <= FARTHEST and abs(point.y) <= FARTHEST]
    wide = min(max(_extents(model, delta)[0], 1.0), FARTHEST)
    axes = []
    for half, places in ((wide, [point.x for point in near]), (1.0, [point.y for point in near])):
        low, high = min([-half, *places]), max([half, *places])
        margin = MARGIN * (high - low)
        axes.append(np.linspace(low - margin, high + margin, SIDE))
    return axes[0], axes[1]


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

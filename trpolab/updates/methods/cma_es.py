"""Covariance matrix adaptation (Hansen and Ostermeier, 1996; Section 8.1) with the `cma` package as the engine.

The engine keeps its state in an object; here the state is arrays, and an engine is built from them for each call.
`step` asks it for the same candidates again, from the same stream, and then tells it their returns.
"""

from __future__ import annotations

import importlib.util
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from trpolab.extras import explained, install_line
from trpolab.numerics.threads import few_threads
from trpolab.policies import Learner
from trpolab.sampling.population import Population
from trpolab.settings import Part, setting
from trpolab.updates.method import Context, MethodKind, PlannedRun, Step
from trpolab.updates.population_search import SAMPLERS, move_to, refuse_useless, start_mean

MEAN, SIGMA, PATH_C, PATH_SIGMA, ITERATION = (
    f"cma_es.{name}" for name in ("mean", "sigma", "path_c", "path_sigma", "iteration")
)
FULL, SCALES = "cma_es.covariance", "cma_es.scales"  # one of them: C [D, D], or the separable one's scales [D]
FULL_UP_TO = 500  # parameters up to which `auto` learns the full matrix: each iteration decomposes it
MATRICES = 5  # of D² float64 that the full covariance keeps at once: C, its eigenvectors, their copies in the state
MOST_BYTES = 2**29  # that they may take


@dataclass(frozen=True)
class Covariance(Part):
    """Covariance matrix adaptation (Hansen and Ostermeier, 1996) by the `cma` package."""

    population: int | None = setting(None, "candidates an iteration (none: 4 + 3 ln D)", symbol="λ", low=5, high=10_000)
    sigma: float = setting(
        1.0, "standard deviation of every parameter at the start", symbol="σ", low=0, open_low=True, scale="log",
        shown=(0.01, 10),
    )  # fmt: skip
    covariance: str = setting(
        "auto",
        "full: D² numbers; separable: variances alone; auto: full up to 500 parameters",
        choices=("auto", "full", "separable"),
    )
    episodes: int = setting(1, "episodes that judge a candidate", low=1, shown=(1, 10))


def cma_es_candidates(learner: Learner, settings: Covariance, context: Context) -> np.ndarray:
    """P draws [P, D] from the search distribution."""
    return np.array(_engine(learner, settings, context.generator).ask())


def cma_es_step(learner: Learner, population: Population, settings: Covariance, context: Context) -> Step:
    """One generation; the policy stands at the mean. `generator` must be the stream that drew the candidates.

    A candidate whose physics blew up counts as the worst. Raises ValueError for another state's or stream's population.
    """
    refuse_useless(population)
    engine = _engine(learner, settings, context.generator)
    asked = engine.ask()
    if not np.allclose(np.array(asked), population.candidates):  # several BLAS threads round differently
        raise ValueError("the population was not drawn from this state by this stream")
    returns = np.where(np.isfinite(population.returns), population.returns, np.nanmin(population.returns))
    engine.tell(asked, (-returns).tolist())  # it minimises
    separable = bool(engine.opts["CMA_diagonal"])
    mean, sigma = np.array(engine.mean), float(engine.sigma)
    state = {
        MEAN: mean,
        SIGMA: np.array([sigma]),
        PATH_C: np.array(engine.pc),
        PATH_SIGMA: np.array(engine.adapt_sigma.ps),
        ITERATION: np.array([engine.countiter]),
    }
    if separable:
        state[SCALES] = np.broadcast_to(engine.sigma_vec.scaling, mean.shape).copy()
        variances = np.square(state[SCALES])
    else:
        state[FULL] = np.array(engine.sm.C)
        variances = np.diag(state[FULL])
    spread = sigma * float(np.sqrt(variances.mean()))
    kind = "separable" if separable else "full"
    return move_to(learner, mean, state, spread, f"generation {engine.countiter}, {kind} covariance, σ = {sigma:.3g}")


def is_full(size: int, covariance: str) -> bool:
    """Whether D = `size` parameters get the full matrix under this setting."""
    return covariance == "full" or (covariance == "auto" and size <= FULL_UP_TO)


def covariance_problem(size: int, covariance: str) -> str | None:
    """Why this covariance can't be had for D = `size` parameters, with the memory it would need; None if it can."""
    needed = MATRICES * 8 * size**2
    if not is_full(size, covariance) or needed <= MOST_BYTES:
        return None
    return (
        f"cma_es.covariance = 'full': {size:,} parameters would need {needed / 1e9:.1f} GB ({MATRICES} matrices of "
        f"{8 * size**2 / 1e6:,.0f} MB), and decompose one every iteration; use 'separable' or 'auto'"
    )


def default_population(size: int) -> int:
    """λ = 4 + 3 ln D, Hansen's choice."""
    return 4 + int(3 * math.log(size))


def _engine(learner: Learner, settings: Covariance, generator: np.random.Generator) -> Any:
    """The engine made from the state, or a fresh one around the policy; it draws from `generator` alone."""
    with explained("method = 'cma_es'"):
        import cma

    state = learner.state
    mean = state[MEAN] if MEAN in state else start_mean(learner)
    full = FULL in state if MEAN in state else is_full(len(mean), settings.covariance)
    options = {
        "CMA_diagonal": not full,
        "popsize": settings.population or default_population(len(mean)),
        "randn": lambda *shape: generator.standard_normal(shape),
        "seed": np.nan,  # anything else would seed NumPy's global generator
        # Hansen's own step-size rule at every size; the other one would keep candidates for the next generation
        "AdaptSigma": cma.sigma_adaptation.CMAAdaptSigmaCSA,
        "conditioncov_alleviate": False,  # it would change coordinates that are not in the state
        "verbose": -9,
        "verb_log": 0,
        "verb_disp": 0,
    }
    engine = cma.CMAEvolutionStrategy(mean, settings.sigma, options)
    if MEAN in state:
        engine.sigma, engine.countiter = float(state[SIGMA][0]), int(state[ITERATION][0])
        engine.timer = cma.utilities.utils.ElapsedWCTime()  # which the first generation would have made
        engine.mean_old, engine.pc = mean.copy(), state[PATH_C].copy()
        engine.adapt_sigma.ps = state[PATH_SIGMA].copy()
        if full:
            engine.sm.C = state[FULL].copy()
            with few_threads():  # several threads may flip an eigenvector's sign
                engine.sm.update_now(-1)  # decompose it
        else:
            engine.sigma_vec = cma.transformations.DiagonalDecoding(state[SCALES])
    return engine


def problems(settings: Covariance, plan: PlannedRun) -> list[str]:
    """The package must be installed, and the covariance fit into memory."""
    found = []
    if importlib.util.find_spec("cma") is None:
        found.append(f"method = 'cma_es' needs cma, which is not installed: {install_line('cma')}")
    if (problem := covariance_problem(plan.parameters, settings.covariance)) is not None:
        found.append(problem)
    return found


METHOD = MethodKind(
    name="cma_es",
    label="CMA-ES",
    doc="covariance matrix adaptation over θ",
    source="Section 8.1; Hansen and Ostermeier, 1996",
    settings=Covariance,
    step=cma_es_step,
    propose=cma_es_candidates,
    population=lambda settings, size: settings.population or default_population(size),
    samplers=SAMPLERS,
    problems=problems,
)

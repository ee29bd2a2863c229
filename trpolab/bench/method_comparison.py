"""The comparison of Section 8.1 with small budgets: all methods on cart-pole and swimmer, some on hopper and walker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trpolab.bench.curves import Curve, Store
from trpolab.bench.learning import SEEDS
from trpolab.bench.table import Table, machine, verdict
from trpolab.sampling.evaluate import evaluate
from trpolab.training.session import Session
from trpolab.updates import METHODS, factors_of_three

BEST = 5000.0  # the largest return on paper/CartPole: 500 steps of at most 10
SHARE = 0.95  # share of it that counts as solved
FILE = Path("notebooks") / "results" / "methods.json"  # runs of `claims`; those there are not run again
SWEEP_SEED = 100  # of the natural gradient's step sizes; no other run has it
POINTS = 40  # kept of a curve

Report = Callable[[str], None]


@dataclass(frozen=True)
class Contest:
    """A task, the simulator steps that every method gets, and the settings that all share."""

    task: str
    steps: int
    methods: tuple[str, ...]  # "vine" is TRPO on the vine
    settings: dict[str, Any]
    episodes: int  # of the evaluation at the end


COMPARED = ("trpo", "vine", *(name for name in METHODS if name != "trpo"))
CONTESTS = (
    Contest("paper/CartPole", 100_000, COMPARED, {}, 20),
    # REPS needs more candidates than the policy has parameters, here 394: more episodes than the budget allows
    Contest("paper/Swimmer", 100_000, tuple(name for name in COMPARED if name != "reps"),
            {"hidden": (30,), "cem.std": 0.1, "cma_es.sigma": 0.1}, 5),
    Contest("paper/Hopper", 100_000, ("trpo", "vine", "natural_gradient", "cem"),
            {"hidden": (50,), "cem.std": 0.1}, 5),
    Contest("paper/Walker", 100_000, ("trpo", "vine", "natural_gradient"), {"hidden": (50,)}, 5),
)  # fmt: skip


def methods(report: Report) -> Table:
    """CEM and CMA-ES on the paper's cart-pole, within the steps that TRPO gets."""
    contest, rows = CONTESTS[0], []
    for method in ("trpo", "cem", "cma_es"):
        found = [run(contest, method, seed, report)[0] for seed in range(SEEDS)]
        solved = sum(curve.final >= SHARE * BEST for curve in found)
        rows.append((method, f"{contest.steps:,}", f"{min(curve.final for curve in found):,.0f}",
                     f"{np.mean([curve.final for curve in found]):,.0f}", f"{SHARE * BEST:,.0f}",
                     f"{solved} of {SEEDS}", verdict(solved == SEEDS)))  # fmt: skip
    return Table(
        "methods",
        "paper/CartPole, six parameters: return after the same number of simulator steps",
        ("method", "steps", "worst seed", "mean", "must reach", "seeds", "reached"),
        tuple(rows),
        (
            f"Mean raw return of {contest.episodes} evaluation episodes with sampled actions; {BEST:,.0f} is the most.",
            machine(),
        ),
    )


def claims(report: Report, file: Path = FILE) -> Table:
    """The claims of Section 8.1's text, run with small budgets. Runs already in the file are not run again."""
    store = Store(file, "trpolab bench claims")
    for contest in CONTESTS:
        for method in contest.methods:
            given = _natural_step(contest, store, report) if method == "natural_gradient" else {}
            for seed in range(SEEDS):
                if store.get(contest.task, method, seed) is None:
                    store.add(run(contest, method, seed, report, given)[0])
    rows = [(*row, verdict(agrees)) for row, agrees in _verdicts(store)]
    return Table(
        "claims",
        f"The claims of Section 8.1, small: {SEEDS} seeds each",
        ("the paper says", "task", "seen: mean return, ± its standard error", "agrees"),
        tuple(rows),
        (
            "; ".join(f"{c.task} {c.steps:,} steps" for c in CONTESTS)
            + "; every method gets the same steps, branches and candidates included. The mean of 20 (5) evaluation "
            "episodes with sampled actions. The natural gradient's step is the best of a sweep in factors of three.",
            machine(),
        ),
    )


def run(
    contest: Contest, method: str, seed: int, report: Report, given: dict[str, Any] | None = None
) -> tuple[Curve, Session]:
    """One method on one task with one seed, until the steps are spent."""
    name = {"method": "trpo", "sampler": "vine"} if method == "vine" else {"method": method}
    settings = {**contest.settings, **name, **(given or {})}
    session = Session(contest.task, out=None, seed=seed, iterations=10**6, checkpoint_every=10**6, **settings)
    began, loop = time.perf_counter(), session.iterate()
    for done in loop:
        if done.metrics["sim_steps"] + done.metrics["batch_steps"] > contest.steps:
            break
    loop.close()
    seconds = time.perf_counter() - began
    final = evaluate(session.policy, contest.task, contest.episodes, seed)
    rows = [row for row in session.history if row["return_mean"] is not None]
    spent = dict(zip((row["iteration"] for row in session.history), _cumulative(session.history), strict=True))
    rows = [rows[k] for k in np.unique(np.linspace(0, len(rows) - 1, min(POINTS, len(rows))).astype(int))]
    curve = Curve(
        contest.task,
        method,
        seed,
        steps=tuple(int(row["sim_steps"]) for row in rows),
        seconds=tuple(round(spent[row["iteration"]], 3) for row in rows),
        returns=tuple(round(float(row["return_mean"]), 1) for row in rows),
        final=round(final.mean, 1),
        length=round(float(final.lengths.mean()), 1),
        parameters=session.policy.size,
        given=given or {},
    )
    report(f"{contest.task} {method} seed {seed}: {final.mean:,.0f} after {seconds:.0f} s")
    return curve, session


def _cumulative(history: Sequence[dict[str, Any]]) -> Iterable[float]:
    return np.cumsum([row["seconds_total"] for row in history]).tolist()


def _natural_step(contest: Contest, store: Store, report: Report) -> dict[str, Any]:
    """The step size with the best final return, by one seed each, as the paper chose it."""
    best, chosen = -np.inf, 1.0
    for step in factors_of_three(1.0, 1):
        name = f"natural_gradient 1/λ = {step:.3g}"
        curve = store.get(contest.task, name, SWEEP_SEED)
        if curve is None:
            found, _ = run(contest, "natural_gradient", SWEEP_SEED, report, {"natural_gradient.step": step})
            curve = store.add(found.renamed(name))
        if curve.final > best:
            best, chosen = curve.final, step
    return {"natural_gradient.step": chosen}


def _verdicts(store: Store) -> list[tuple[tuple[str, str, str], bool]]:
    """(claim, task, what was seen) and whether it agrees."""
    easy, swimmer, hopper, walker = (contest.task for contest in CONTESTS)

    def final(task: str, method: str) -> np.ndarray:
        return np.array([curve.final for curve in store.of(task, method)])

    def seen(task: str, *names: str) -> str:
        return ", ".join(
            f"{name} {final(task, name).mean():,.0f} ± {final(task, name).std(ddof=1) / np.sqrt(SEEDS):,.0f}"
            for name in names
        )

    def area(task: str, method: str) -> float:
        """Mean training return over the budget: how fast it learned."""
        return float(np.mean([np.interp(_GRID * 1e5, c.steps, c.returns).mean() for c in store.of(task, method)]))

    def speed(task: str, method: str) -> float:
        """Reward a step without the 1 for standing: about the forward speed in m/s."""
        return float(np.mean([curve.final / curve.length - 1 for curve in store.of(task, method)]))

    def forward(claim: str, task: str) -> tuple[tuple[str, str, str], bool]:
        """Whether both samplers move forward by half a metre a second."""
        found = [speed(task, name) for name in ("trpo", "vine")]
        return (claim, task, f"{seen(task, 'trpo', 'vine')}; {found[0]:.2f} and {found[1]:.2f} m/s"), min(found) > 0.5

    def no_gait(task: str) -> tuple[tuple[str, str, str], bool]:
        """Whether the natural gradient hardly moves."""
        found = speed(task, natural)
        return (
            ("natural gradient finds no gait that moves forward", task, f"{seen(task, natural)}; {found:.2f} m/s"),
            found < 0.2,
        )

    def best_of(task: str) -> bool:
        others = [name for name in store.methods(task) if name not in ("trpo", "vine")]
        return min(final(task, name).mean() for name in ("trpo", "vine")) >= max(
            final(task, name).mean() for name in others
        ) * (1 - 0.01)

    natural = "natural_gradient"
    return [
        (("single path and vine solve it", easy, seen(easy, "trpo", "vine")),
         bool(min(final(easy, "trpo").min(), final(easy, "vine").min()) >= SHARE * BEST)),
        (("single path and vine give the best solutions", swimmer, seen(swimmer, *store.methods(swimmer))),
         best_of(swimmer)),
        (("natural gradient does well on the easier two", easy, seen(easy, natural)),
         bool(final(easy, natural).mean() >= SHARE * BEST)),
        (("", swimmer, seen(swimmer, natural, "trpo")),
         bool(final(swimmer, natural).mean() >= 0.8 * final(swimmer, "trpo").mean())),
        forward("single path and vine hop forward", hopper),
        forward("single path and vine walk forward", walker),
        no_gait(hopper),
        no_gait(walker),
        (("CEM and CMA do well with few parameters", easy, seen(easy, "cem", "cma_es")),
         bool(min(final(easy, "cem").mean(), final(easy, "cma_es").mean()) >= SHARE * BEST)),
        (("CEM and CMA do poorly with many", swimmer, seen(swimmer, "cem", "cma_es", "trpo")),
         bool(max(final(swimmer, "cem").mean(), final(swimmer, "cma_es").mean())
              < 0.5 * final(swimmer, "trpo").mean())),
        (("CEM does poorly", hopper, seen(hopper, "cem", "trpo")),
         bool(final(hopper, "cem").mean() < 0.5 * final(hopper, "trpo").mean())),
        (("max KL learns somewhat more slowly, to a similar end", easy,
          f"{seen(easy, 'max_kl', 'trpo')}; mean return on the way {area(easy, 'max_kl'):,.0f} and "
          f"{area(easy, 'trpo'):,.0f}"),
         area(easy, "max_kl") < area(easy, "trpo")
         and bool(final(easy, "max_kl").mean() >= 0.9 * final(easy, "trpo").mean())),
        (("empirical FIM improves at a similar rate", easy,
          f"{seen(easy, 'empirical_fim', 'trpo')}; mean return on the way {area(easy, 'empirical_fim'):,.0f} and "
          f"{area(easy, 'trpo'):,.0f}"),
         0.8 < area(easy, "empirical_fim") / area(easy, "trpo") < 1.25),
    ]  # fmt: skip


_GRID = np.linspace(0.0, 1.0, 50)

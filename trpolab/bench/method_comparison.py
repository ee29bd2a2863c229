"""The comparison of Section 8.1 with small budgets: all methods on cart-pole and swimmer, some on hopper and walker."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trpolab.bench.curves import Curve, Store, curve_of
from trpolab.bench.learning import SEEDS
from trpolab.bench.table import Report, Table, timed, verdict
from trpolab.sampling.evaluate import play_episodes
from trpolab.sampling.sampler import SAMPLERS
from trpolab.training.session import Session
from trpolab.updates import METHODS, factors_of_three

BEST = 5000.0  # the largest return on paper/CartPole: 500 steps of at most 10
SOLVED = 0.95 * BEST
FILE = Path("notebooks") / "results" / "methods.json"  # runs of `claims`; those there are not run again
SWEEP_SEED = 100  # of the natural gradient's step sizes; no other run has it
POINTS = 40  # kept of a curve


@dataclass(frozen=True)
class Contest:
    """A task, the simulator steps that every method gets, and the settings that all share."""

    task: str
    steps: int
    methods: tuple[str, ...]  # "vine" is TRPO on the vine
    settings: dict[str, Any]
    episodes: int  # of the evaluation at the end


NATURAL = "natural_gradient"
OURS = ("trpo", "vine")  # single path and vine
SEARCHES = ("cem", "cma_es")
COMPARED = (*OURS, *(name for name in METHODS if name != "trpo"))
CONTESTS = (
    Contest("paper/CartPole", 100_000, COMPARED, {}, 20),
    # REPS needs more candidates than the policy has parameters, here 394: more episodes than the budget allows
    Contest("paper/Swimmer", 100_000, tuple(name for name in COMPARED if name != "reps"),
            {"hidden": (30,), "cem.std": 0.1, "cma_es.sigma": 0.1}, 5),
    Contest("paper/Hopper", 100_000, (*OURS, NATURAL, "cem"),
            {"hidden": (50,), "cem.std": 0.1}, 5),
    Contest("paper/Walker", 100_000, (*OURS, NATURAL), {"hidden": (50,)}, 5),
)  # fmt: skip


def methods(report: Report) -> Table:
    """paper/CartPole, six parameters: return after the same number of simulator steps.

    Mean raw return of 20 evaluation episodes with sampled actions; 5,000 is the most.
    """
    contest, rows = CONTESTS[0], []
    for method in ("trpo", "cem", "cma_es"):
        scores = [run(contest, method, seed, report)[0].final for seed in range(SEEDS)]
        solved = sum(score >= SOLVED for score in scores)
        measured = f"{method} | {contest.steps:,} | {min(scores):,.0f} | {np.mean(scores):,.0f}"
        rows.append(f"{measured} | {SOLVED:,.0f} | {solved} of {SEEDS} | {verdict(solved == SEEDS)}")
    return Table("method | steps | worst seed | mean | must reach | seeds | reached", rows)


def claims(report: Report, file: Path = FILE) -> Table:
    """The claims of Section 8.1, small: 5 seeds each.

    paper/CartPole 100,000 steps; paper/Swimmer 100,000 steps; paper/Hopper 100,000 steps; paper/Walker 100,000 steps;
    every method gets the same steps, branches and candidates included. The mean of 20 (5) evaluation episodes with
    sampled actions. The natural gradient's step is the best of a sweep in factors of three.
    """
    store = Store(file, "trpolab bench claims")  # runs that are in the file are not run again
    for contest in CONTESTS:
        for method in contest.methods:
            given = _natural_step(contest, store, report) if method == NATURAL else {}
            for seed in range(SEEDS):
                if store.get(contest.task, method, seed) is None:
                    store.add(run(contest, method, seed, report, given)[0])
    return Table("the paper says | task | seen: mean return, ± its standard error | agrees", list(_judged(store)))


def run(
    contest: Contest, method: str, seed: int, report: Report, given: dict[str, Any] | None = None
) -> tuple[Curve, Session]:
    """One method on one task with one seed, until the steps are spent."""
    name: dict[str, Any] = {"sampler": method} if method in SAMPLERS else {"method": method}
    settings = {**contest.settings, **name, **(given or {}), "seed": seed, "steps": contest.steps}
    session = Session(contest.task, out=None, **settings)
    seconds, _ = timed(session.run)
    final = play_episodes(session.policy, contest.task, contest.episodes, seed)
    report(f"{contest.task} {method} seed {seed}: {final.mean:,.0f} after {seconds:.0f} s")
    return curve_of(session, method, final, given or {}, POINTS), session


def _natural_step(contest: Contest, store: Store, report: Report) -> dict[str, Any]:
    """The step size with the best final return, by one seed each, as the paper chose it."""
    finals = {}
    for step in factors_of_three(1.0, 1):
        name = f"natural_gradient 1/λ = {step:.3g}"
        curve = store.get(contest.task, name, SWEEP_SEED)
        if curve is None:
            found, _ = run(contest, NATURAL, SWEEP_SEED, report, {"natural_gradient.step": step})
            curve = store.add(dataclasses.replace(found, method=name))
        finals[step] = curve.final
    return {"natural_gradient.step": max(finals, key=finals.__getitem__)}


def _judged(store: Store) -> Iterator[str]:
    """A row for each claim: what was claimed of which task, what was seen, and whether it agrees."""
    easy, swimmer, hopper, walker = (contest.task for contest in CONTESTS)

    def final(task: str, method: str) -> np.ndarray:
        return np.array([curve.final for curve in store.of(task, method)])

    def mean(task: str, method: str) -> float:
        return float(final(task, method).mean())

    def area(method: str) -> float:
        """Mean training return over the budget: how fast it learned."""
        grid = np.linspace(0.0, 1e5, 50)
        return float(np.mean([np.interp(grid, c.steps, c.returns).mean() for c in store.of(easy, method)]))

    def speed(task: str, method: str) -> float:
        """Reward a step without the 1 for standing: about the forward speed in m/s."""
        return float(np.mean([curve.final / curve.length - 1 for curve in store.of(task, method)]))

    def row(claim: str, task: str, names: Sequence[str], agrees: bool, more: str = "") -> str:
        scores = {name: final(task, name) for name in names}
        seen = [f"{name} {x.mean():,.0f} ± {x.std(ddof=1) / np.sqrt(SEEDS):,.0f}" for name, x in scores.items()]
        return f"{claim} | {task} | {', '.join(seen)}{more} | {verdict(agrees)}"

    worst = min(min(final(easy, name)) for name in OURS)
    yield row("single path and vine solve it", easy, OURS, worst >= SOLVED)
    everyone = store.methods(swimmer)
    others = max(mean(swimmer, name) for name in everyone if name not in OURS)
    best = min(mean(swimmer, name) for name in OURS) >= 0.99 * others
    yield row("single path and vine give the best solutions", swimmer, everyone, best)
    yield row("natural gradient does well on the easier two", easy, [NATURAL], mean(easy, NATURAL) >= SOLVED)
    yield row("", swimmer, [NATURAL, "trpo"], mean(swimmer, NATURAL) >= 0.8 * mean(swimmer, "trpo"))
    for gait, task in (("hop", hopper), ("walk", walker)):
        single, vine = (speed(task, name) for name in OURS)
        shown = f"; {single:.2f} and {vine:.2f} m/s"
        yield row(f"single path and vine {gait} forward", task, OURS, min(single, vine) > 0.5, shown)
    for task in (hopper, walker):
        found, claim = speed(task, NATURAL), "natural gradient finds no gait that moves forward"
        yield row(claim, task, [NATURAL], found < 0.2, f"; {found:.2f} m/s")
    few, many = min(mean(easy, name) for name in SEARCHES), max(mean(swimmer, name) for name in SEARCHES)
    yield row("CEM and CMA do well with few parameters", easy, SEARCHES, few >= SOLVED)
    yield row("CEM and CMA do poorly with many", swimmer, [*SEARCHES, "trpo"], many < 0.5 * mean(swimmer, "trpo"))
    yield row("CEM does poorly", hopper, ["cem", "trpo"], mean(hopper, "cem") < 0.5 * mean(hopper, "trpo"))
    pace = {name: area(name) for name in ("trpo", "max_kl", "empirical_fim")}
    slower = pace["max_kl"] < pace["trpo"] and mean(easy, "max_kl") >= 0.9 * mean(easy, "trpo")
    similar = 0.8 < pace["empirical_fim"] / pace["trpo"] < 1.25
    for claim, name, agrees in (
        ("max KL learns somewhat more slowly, to a similar end", "max_kl", slower),
        ("empirical FIM improves at a similar rate", "empirical_fim", similar),
    ):
        shown = f"; mean return on the way {pace[name]:,.0f} and {pace['trpo']:,.0f}"
        yield row(claim, easy, [name, "trpo"], agrees, shown)

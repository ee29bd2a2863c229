"""`trpolab reproduce figure4`: the comparison of Section 8.1, at the paper's scale or at a part of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trpolab.experiments.results import Curve, markdown
from trpolab.experiments.statistics import estimate
from trpolab.experiments.trial import TrialResult, TrialSpec
from trpolab.sampling.sampler import SAMPLERS
from trpolab.updates import factors_of_three

TASKS = ("paper/CartPole", "paper/Swimmer", "paper/Hopper", "paper/Walker")
EASY, SWIMMER, HOPPER, WALKER = TASKS
SCALES = ("small", "medium", "paper")
SEEDS = 5
# The natural gradient's steps are swept around those that TRPO takes with δ = 0.01.
CENTRES = {EASY: 0.01, SWIMMER: 0.1, HOPPER: 0.02, WALKER: 0.02}
BEST = 5000.0  # the largest return on paper/CartPole: 500 steps of at most 10
SOLVED = 0.95 * BEST
FORWARD = 0.5  # m/s
SWEEP_SEED = 100  # of the natural gradient's step sizes; no other run has it
NATURAL = "natural_gradient"
OURS = ("trpo", "vine")  # single path and vine
SEARCHES = ("cem", "cma_es")
METHODS = (*OURS, NATURAL, "empirical_fim", *SEARCHES, "rwr")
NAMES = {"trpo": "single path", "vine": "vine", NATURAL: "natural gradient", "empirical_fim": "empirical FIM",
         "max_kl": "max KL", "cem": "CEM", "cma_es": "CMA", "rwr": "RWR"}  # fmt: skip
ONLY_EASY = ("max_kl",)  # which the paper ran there alone


@dataclass(frozen=True)
class Contest:
    """What the methods get on one task: the same simulator steps, or as many iterations as the paper gave them."""

    budget: Mapping[str, int]
    path: Mapping[str, Any]  # of single path, natural gradient, empirical FIM, max KL and RWR
    vine: Mapping[str, Any]
    search: Mapping[str, Any] = field(default_factory=dict)  # of CEM and CMA-ES
    episodes: int = 10  # of the evaluation at the end
    shared: Mapping[str, Any] = field(default_factory=dict)


def vine(trunks: int, length: int, states: int, rollout: int) -> dict[str, Any]:
    """The settings of a vine of this size, with the paper's four actions in each state."""
    sizes = {"trunks": trunks, "trunk_length": length, "states": states, "actions": 4, "rollout_length": rollout}
    return {f"vine.{name}": value for name, value in sizes.items()}


def searches(population: int, std: float) -> dict[str, Any]:
    """The settings of both searches over θ: candidates an iteration (0: their own), and where they begin."""
    found: dict[str, Any] = {"cem.std": std, "cma_es.sigma": std}
    return found | ({"cem.population": population, "cma_es.population": population} if population else {})


# Damping: Fisher products on a tenth of so few states leave most directions undetermined.
LESS = {"damping": 1e-3}
BODIES: dict[str, Any] = {"search": searches(0, 0.1), "shared": LESS}
CONTESTS: dict[str, dict[str, Contest]] = {
    "small": {
        EASY: Contest({"steps": 500_000}, {"steps_per_iteration": 5000}, vine(4, 500, 20, 100), shared=LESS),
        SWIMMER: Contest({"steps": 300_000}, {"steps_per_iteration": 5000}, vine(3, 1000, 30, 50), **BODIES),
        HOPPER: Contest({"steps": 200_000}, {"steps_per_iteration": 5000}, vine(4, 250, 30, 50), **BODIES),
        WALKER: Contest({"steps": 200_000}, {"steps_per_iteration": 5000}, vine(4, 250, 30, 50), **BODIES),
    },
    "medium": {
        EASY: Contest({"steps": 1_500_000}, {"steps_per_iteration": 10_000}, vine(4, 500, 50, 100), shared=LESS),
        SWIMMER: Contest({"steps": 1_000_000}, {"steps_per_iteration": 10_000}, vine(3, 1000, 30, 50), **BODIES),
        HOPPER: Contest({"steps": 1_500_000}, {"steps_per_iteration": 5000}, vine(4, 500, 30, 50), **BODIES),
        WALKER: Contest({"steps": 1_500_000}, {"steps_per_iteration": 5000}, vine(4, 500, 30, 50), **BODIES),
    },
    "paper": {
        EASY: Contest({"iterations": 50}, {}, vine(4, 500, 50, 100)),
        SWIMMER: Contest({"iterations": 200}, {}, {}, searches(50, 0.1)),
        HOPPER: Contest({"iterations": 200}, {}, {}, searches(1000, 0.1)),
        WALKER: Contest({"iterations": 200}, {}, {}, searches(1000, 0.1)),
    },
}
STEPS = {"small": 1, "medium": 2, "paper": 4}  # of the natural gradient that are tried to either side


def trials_of(scale: str, seeds: int) -> tuple[list[TrialSpec], list[TrialSpec]]:
    """The sweep of the natural gradient's steps, and all others; of the natural gradient with the middle step."""
    contests = CONTESTS[scale]
    swept = [trial for task in TASKS for trial in _swept(task, contests[task], STEPS[scale])]
    others = [
        _trial(task, contests[task], method, seed, _step(CENTRES[task]) if method == NATURAL else {})
        for seed in range(seeds)
        for task in TASKS
        for method in (*METHODS, *(ONLY_EASY if task == EASY else ()))
    ]
    return swept, others


def chosen(others: Sequence[TrialSpec], scale: str, swept: Sequence[TrialResult]) -> list[TrialSpec]:
    """All trials, those of the natural gradient with the step that scored best on their task, as the paper chose it."""
    best: dict[str, float] = {}
    for task in TASKS:
        mine = [one for one in swept if one.trial.task == task and not math.isnan(one.score)]
        steps = {one.score: one.trial.settings["natural_gradient.step"] for one in mine}
        best[task] = steps[max(steps)] if steps else CENTRES[task]
    return [
        _trial(one.task, CONTESTS[scale][one.task], NATURAL, one.seed, _step(best[one.task]))
        if one.label == NATURAL
        else one
        for one in others
    ]


def scaled(scale: str, seeds: int) -> list[str]:
    """What is run, and what of Table 2 is scaled, in lines."""
    from trpolab.simulators import find_task

    lines = [f"Figure 4, scale {scale}: {seeds} seeds; every method with preset paper"]
    for task, contest in CONTESTS[scale].items():
        paper, given = find_task(task).paper_defaults, {**contest.path, **contest.vine, **contest.shared}
        budget = ", ".join(f"{count:,} {name}" for name, count in contest.budget.items())
        other = [f"{name} {value} (paper: {paper.get(name, 'not stated')})" for name, value in given.items()
                 if paper.get(name) != value]  # fmt: skip
        lines.append(f"  {task}: {budget} a run; {', '.join(other) or 'all as in Table 2'}")
    return lines


def tables(curves: Sequence[Curve]) -> list[str]:
    """The claims of Section 8.1."""
    return [markdown(CLAIMS_HEAD, claims(curves))]


CLAIMS_HEAD = ("the paper says", "task", "seen: mean return with its 95 % interval", "agrees")


def claims(curves: Sequence[Curve]) -> list[list[str]]:
    """Section 8.1 claim by claim: what the paper says, of which task, what was seen, and whether it agrees."""
    return list(_judged(_Seen(curves)))


@dataclass(frozen=True)
class _Seen:
    """The runs of a comparison. A run that crashed has no score, and counts as none."""

    curves: Sequence[Curve]

    def of(self, task: str, method: str) -> list[Curve]:
        return [one for one in self.curves if (one.task, one.method) == (task, method)]

    def final(self, task: str, method: str) -> np.ndarray:
        return np.array([one.final for one in self.of(task, method)])

    def mean(self, task: str, method: str) -> float:
        """The mean score; NaN, which agrees with nothing, where none finished."""
        return _mean(self.final(task, method))

    def worst(self, task: str, method: str) -> float:
        """The worst score; NaN where a run crashed, or none is there."""
        scores = self.final(task, method)
        return float(scores.min()) if len(scores) else math.nan

    def speed(self, task: str, method: str) -> float:
        """Reward a step without the 1 for standing: about the forward speed in m/s."""
        return _mean(np.array([one.final / one.length - 1 for one in self.of(task, method)]))

    def pace(self, task: str, method: str) -> float:
        """Mean training return over the budget: how fast it learned."""
        end = max((one.steps[-1] for one in self.curves if one.task == task and one.steps), default=0)
        mine = [one for one in self.of(task, method) if one.steps]
        return _mean(np.array([np.interp(np.linspace(0, end, 50), one.steps, one.returns).mean() for one in mine]))

    def row(self, claim: str, task: str, names: Sequence[str], agrees: bool, more: str = "") -> list[str]:
        there = [name for name in names if self.of(task, name)]
        seen = ", ".join(f"{name} {estimate(self.final(task, name)).in_words}" for name in there)
        return [claim, task, seen.replace("mean ", "") + more, "yes" if agrees else "no"]


def _judged(seen: _Seen) -> Iterator[list[str]]:
    """A row for each claim. A comparison with what is not there agrees with nothing."""
    solve = all(seen.worst(EASY, name) >= SOLVED for name in OURS)
    yield seen.row("single path and vine solve it", EASY, OURS, solve)
    everyone = [name for name in dict.fromkeys(one.method for one in seen.curves if one.task == SWIMMER)
                if "1/λ" not in name]  # fmt: skip
    others = [score for name in everyone if name not in OURS and not math.isnan(score := seen.mean(SWIMMER, name))]
    best = all(_reaches(seen.mean(SWIMMER, name), 0.99, max(others, default=math.nan)) for name in OURS)
    yield seen.row("single path and vine give the best solutions", SWIMMER, everyone, best)
    natural = seen.mean(EASY, NATURAL) >= SOLVED
    yield seen.row("natural gradient does well on the easier two", EASY, [NATURAL], natural)
    natural = _reaches(seen.mean(SWIMMER, NATURAL), 0.8, seen.mean(SWIMMER, "trpo"))
    yield seen.row("", SWIMMER, [NATURAL, "trpo"], natural)
    for gait, task in (("hop", HOPPER), ("walk", WALKER)):
        speeds = [seen.speed(task, name) for name in OURS]
        shown = f"; {speeds[0]:.2f} and {speeds[1]:.2f} m/s"
        forward = all(speed > FORWARD for speed in speeds)
        yield seen.row(f"single path and vine {gait} forward", task, OURS, forward, shown)
    for task in (HOPPER, WALKER):
        found, claim = seen.speed(task, NATURAL), "natural gradient finds no gait that moves forward"
        yield seen.row(claim, task, [NATURAL], found < 0.2, f"; {found:.2f} m/s")
    few = all(seen.mean(EASY, name) >= SOLVED for name in SEARCHES)
    yield seen.row("CEM and CMA do well with few parameters", EASY, SEARCHES, few)
    for task in (SWIMMER, HOPPER, WALKER):
        there = [name for name in SEARCHES if seen.of(task, name)]
        if there:
            ours = seen.mean(task, "trpo")  # where it has learned nothing, nobody does poorly beside it
            poor = ours > 0 and all(seen.mean(task, name) < 0.5 * ours for name in there)
            claim = (
                f"{' and '.join(NAMES[name] for name in there)} {'do' if len(there) > 1 else 'does'} poorly with many"
            )
            yield seen.row(claim, task, [*there, "trpo"], poor)
    pace = {name: seen.pace(EASY, name) for name in ("trpo", "max_kl", "empirical_fim")}
    slower = pace["max_kl"] < pace["trpo"] and seen.mean(EASY, "max_kl") >= 0.9 * seen.mean(EASY, "trpo")
    similar = 0.8 < pace["empirical_fim"] / pace["trpo"] < 1.25
    for claim, name, agrees in (
        ("max KL learns somewhat more slowly, to a similar end", "max_kl", slower),
        ("empirical FIM improves at a similar rate", "empirical_fim", similar),
    ):
        shown = f"; mean return on the way {pace[name]:,.0f} and {pace['trpo']:,.0f}"
        yield seen.row(claim, EASY, [name, "trpo"], agrees, shown)


def _mean(scores: np.ndarray) -> float:
    """The mean of the finite ones; NaN without any."""
    there = scores[np.isfinite(scores)]
    return float(there.mean()) if len(there) else math.nan


def _reaches(score: float, share: float, other: float) -> bool:
    """Whether a score is at most so much worse than another one, which may be below 0."""
    return score >= other - (1 - share) * abs(other)


def _swept(task: str, contest: Contest, each_side: int) -> Iterator[TrialSpec]:
    for step in factors_of_three(CENTRES[task], each_side):
        yield _trial(task, contest, NATURAL, SWEEP_SEED, _step(step), f"{NATURAL} 1/λ = {step:.3g}")


def _trial(task: str, contest: Contest, method: str, seed: int, more: Mapping[str, Any], label: str = "") -> TrialSpec:
    """One run, with those settings of the contest that the method reads."""
    given: dict[str, Any] = {"preset": "paper", **contest.budget, **contest.shared, **more}
    if method in SAMPLERS:
        given |= {"sampler": method, "proposal": "policy", **contest.vine}
    else:
        given |= {"method": method}
        own = {name: value for name, value in contest.search.items() if name.startswith(f"{method}.")}
        given |= own if method in SEARCHES else contest.path
    return TrialSpec(task, label or method, seed, given, contest.episodes)


def _step(step: float) -> dict[str, float]:
    return {"natural_gradient.step": step}

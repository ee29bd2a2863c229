"""Settings of the samplers."""

from __future__ import annotations

from dataclasses import dataclass

from trpolab.settings import Part, setting


@dataclass(frozen=True)
class SinglePath(Part):
    """Section 5.1: trajectories from s_0, every visited state with the action taken there."""

    steps_per_iteration: int = setting(
        2048, "simulator steps of one iteration", low=1, shown=(256, 65536), scale="log", source="Table 2", flat=True
    )
    advantage: str = setting(
        "gae",
        "Q̂ as discounted sums (the paper), the same minus their mean, or GAE(λ) with a value function",
        choices=("monte_carlo", "centred", "gae"),
        source="Section 5.1",
        flat=True,
    )
    lam: float = setting(
        0.98,
        "GAE's λ: 0 trusts the value function, 1 the returns",
        symbol="λ",
        low=0,
        high=1,
        shown=(0.8, 1),
        flat=True,
        needs=("advantage", ("gae",), "only GAE uses λ"),
    )
    standardize: bool = setting(True, "advantages to mean 0 and standard deviation 1 over the batch")
    whole: bool = setting(False, "whole trajectories from s_0 (the paper); off: a step budget, episodes go on")
    horizon: int = setting(1000, "longest trajectory in steps", low=1, shown=(50, 1000), source="Table 2")


@dataclass(frozen=True)
class Vine(Part):
    """Section 5.2: trunks, a rollout set of their states, and branches from each."""

    trunks: int = setting(4, "number of trunk trajectories", low=1, shown=(1, 64), source="Table 2")
    trunk_length: int = setting(500, "length of a trunk in steps", low=1, shown=(50, 1000), source="Table 2")
    states: int = setting(60, "N, size of the rollout set", symbol="N", low=1, shown=(5, 1000), scale="log")
    actions: int = setting(
        4,
        "K, actions tried in each state",
        symbol="K",
        low=1,
        shown=(1, 16),
        source="Table 2",
        needs=("proposal", ("policy", "widened", "uniform"), "every action is tried once"),
    )
    rollout_length: int = setting(50, "steps of a branch", low=1, high=100_000, shown=(5, 200), source="Table 2")
    adaptive_length: bool = setting(
        False, "branches end where chance outweighs the first action, told by a second future of every fourth state"
    )
    common_random_numbers: bool = setting(True, "the K branches of a state share their noise", source="Section 5.2")
    choose: str = setting(
        "uniform",
        "rollout set: N visited states at random, one of each Nth of trunks, or likelier where an advantage is large",
        choices=("uniform", "stratified", "advantage"),
        source="Section 5.2",
    )
    antithetic: bool = setting(
        False,
        "first actions in pairs that are drawn with opposite noise; K = 4, 6, ...",
        needs=("proposal", ("policy", "widened"), "other proposals draw no action twice"),
    )
    tail_value: bool = setting(True, "a value estimate, fitted on the trunks, ends each branch")
    learn_from: str = setting(
        "first",
        "samples: the first actions of branches (the paper); besides them, by GAE, the trunks' steps; or all steps",
        choices=("first", "trunks", "all"),
    )
    lam: float = setting(
        0.98,
        "GAE's λ for steps that are samples by themselves",
        symbol="λ",
        low=0,
        high=1,
        shown=(0.8, 1),
        needs=("vine.learn_from", ("trunks", "all"), "first actions are judged by their branches alone"),
    )
    proposal: str = setting(
        "policy",
        "q, the distribution of a branch's first action; uniform and all: for discrete actions",
        symbol="q",
        choices=("policy", "widened", "uniform", "all"),
        source="Section 5.2",
        flat=True,
    )
    widening: float = setting(
        2.0,
        "proposal `widened`: factor on the standard deviation",
        low=1,
        high=100,
        shown=(1, 4),
        needs=("proposal", ("widened",), "only the widened q uses it"),
    )
    estimator: str = setting(
        "self-normalized",
        "surrogate of a state: self-normalised (Eq. 16) or plain importance weights (Eq. 14)",
        choices=("self-normalized", "importance"),
        source="Section 5.2",
        needs=("vine.learn_from", ("first",), "samples of single steps have plain importance weights"),
    )

    @property
    def paired(self) -> bool:
        """Whether first actions are drawn in antithetic pairs, k and k + K/2."""
        return self.antithetic and self.proposal in ("policy", "widened")

    @property
    def pilots(self) -> range:
        """The states of the rollout set whose branches have a second future."""
        return range(0, self.states if self.adaptive_length else 0, 4)

"""`trpolab reproduce table1`: seven Atari games by single path and vine, beside the rows that the paper prints."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from trpolab.experiments.results import Curve, markdown
from trpolab.experiments.statistics import estimate, in_digits
from trpolab.experiments.trial import TrialResult, TrialSpec

GAMES = ("BeamRider", "Breakout", "Enduro", "Pong", "Qbert", "Seaquest", "SpaceInvaders")
PUBLISHED = {  # Table 1, each row in the order of the games
    "random": (354, 1.2, 0, -20.4, 157, 110, 179),
    "human": (7456, 31.0, 368, -3.0, 18900, 28010, 3690),
    "deep Q-learning": (4092, 168.0, 470, 20.0, 1952, 1705, 581),
    "UCC-I": (5702, 380, 741, 21, 20025, 2995, 692),
    "TRPO, single path": (1425.2, 10.8, 534.6, 20.9, 1973.5, 1908.6, 568.4),
    "TRPO, vine": (859.5, 34.2, 430.8, 20.9, 7732.5, 788.4, 450.2),
}
SCALES = ("small", "paper")
SEEDS = 1  # the paper ran each once
NAMES = {"single path": "single path", "vine": "vine"}
# An iteration has 10,000 decisions, and the rest of the games under way, instead of 100,000: many small steps learn
# more than a few large ones. The mean of the discounted sums is subtracted, as it is mostly noise with so few games.
# Damping is small but not zero, as Fisher products of a tenth of so few states leave most directions undetermined.
PATH: dict[str, Any] = {
    "preset": "paper", "steps_per_iteration": 10_000, "path.horizon": 10_000, "advantage": "centred", "damping": 0.001,
    "slots": 16,
}  # fmt: skip
# 72,000 decisions instead of 400,000. Branches are short: in these games the effect of an action shows soon, and later
# rewards are noise. Fisher products use half of the 8,000 trunk states.
VINE: dict[str, Any] = {
    "preset": "paper", "sampler": "vine", "proposal": "uniform", "vine.trunks": 8, "vine.trunk_length": 1000,
    "vine.states": 800, "vine.actions": 4, "vine.rollout_length": 20, "damping": 0.001, "fisher_fraction": 0.5,
}  # fmt: skip
SETTINGS: dict[str, dict[str, dict[str, Any]]] = {
    "small": {"single path": {**PATH, "steps": 4_000_000}, "vine": {**VINE, "steps": 8_000_000}},
    "paper": {"single path": {"preset": "paper", "iterations": 500},
              "vine": {"preset": "paper", "sampler": "vine", "proposal": "uniform", "iterations": 500}},
}  # fmt: skip


def trials_of(scale: str, seeds: int) -> tuple[list[TrialSpec], list[TrialSpec]]:
    """Nothing that is tried out first; each game by each sampler."""
    return [], [
        TrialSpec(f"ALE/{game}-v5", sampler, seed, given, episodes=30)
        for seed in range(seeds)
        for game in GAMES
        for sampler, given in SETTINGS[scale].items()
    ]


def chosen(others: Sequence[TrialSpec], scale: str, found: Sequence[TrialResult]) -> Sequence[TrialSpec]:
    """All as they are."""
    return others


def scaled(scale: str, seeds: int) -> list[str]:
    """What is run, and what of Table 3 is scaled, in lines."""
    paper = "500 iterations of 100,000 decisions by single path, of 400,000 by the vine"
    lines = [f"Table 1, scale {scale}: seven games, {seeds} seeds (the paper: {paper})"]
    for sampler, given in SETTINGS[scale].items():
        told = ", ".join(f"{name} {value}" for name, value in given.items() if name != "sampler")
        lines.append(f"  {sampler}: {told}")
    return lines


def tables(curves: Sequence[Curve]) -> list[str]:
    """Our scores below the published ones, and in how many games each sampler is better than random play."""
    rows: list[list[str]] = [[name, *map(in_digits, scores)] for name, scores in PUBLISHED.items()]
    lines = []
    for sampler in NAMES:
        mine = [one for one in curves if one.method == sampler]
        scores = [[one.final for one in mine if one.task == f"ALE/{game}-v5"] for game in GAMES]
        means = [float(estimate(of).value) if of else math.nan for of in scores]
        better = sum(mean > random for mean, random in zip(means, PUBLISHED["random"], strict=True))
        rows.append([f"trpolab, {sampler}", *map(in_digits, means)])
        lines.append(f"{sampler}: better than random play in {better} of {len(GAMES)} games")
    return [markdown(("", *GAMES), rows), "\n".join(lines)]

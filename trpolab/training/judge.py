"""What an iteration measured, judged: what goes wrong without an error is said in a sentence with advice."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from trpolab.policies import Distribution

Row = Mapping[str, Any]
# Iterations in a row after which it is told.
PATIENCE = {"σ": 1, "clipping": 1, "entropy": 1, "KL": 5, "return": 10, "episodes": 10, "explained variance": 20}
CLIPPED = 0.5  # share of the action components
STANDS_STILL = 1e-6  # KL, as a share of δ
NATS_OF_UNIT_NORMAL = 0.5 * (1 + math.log(2 * math.pi))
LEAST_LOG_STD = -4.5  # mean log σ of continuous actions,
LEAST_SHARE = 0.01  # and share of a uniform choice's entropy, below which a policy hardly explores


class Judge:
    """Sees the metrics of one iteration after the other; what does not apply, null, speaks for nothing."""

    def __init__(self, distribution: Distribution, longest: int, rows: Iterable[Row] = ()):
        """`longest`: simulator steps within which no episode needs to end; `rows` were seen before."""
        self._distribution, self._longest = distribution, longest
        self._streaks = Counter[str]()
        self._return: float | None = None  # of the last iteration in which episodes ended
        self._first = math.nan  # the same, if it has been so since the start
        self._best = -math.inf
        for row in rows:
            self.see(row)

    def see(self, row: Row) -> dict[str, str]:
        """What is wrong now, by kind, each with advice."""
        found: dict[str, Callable[[Row], str] | None] = {
            "σ": _of_sigma if (_number(row, "log_std_clamped") or 0) > 0 else None,
            "clipping": _of_clipping if (_number(row, "clipped_fraction") or 0) > CLIPPED else None,
            "entropy": _of_entropy if self._explores_no_more(row) else None,
            "KL": _of_kl if _stands_still(row) else None,
            "return": self._of_return if self._is_constant(row) else None,
            "episodes": _of_episodes if self._ends_nothing(row) else None,
            "explained variance": _of_values if (_number(row, "explained_variance") or 0) < 0 else None,
        }
        for kind, says in found.items():
            self._streaks[kind] = self._streaks[kind] + 1 if says is not None else 0
        return {
            kind: says(row)
            for kind, says in found.items()
            if says is not None and self._streaks[kind] >= PATIENCE[kind]
        }

    def _ends_nothing(self, row: Row) -> bool:
        none = _number(row, "episodes") == 0 and _number(row, "evaluation_mean") is None
        return none and (_number(row, "sim_steps") or 0) > self._longest

    def _explores_no_more(self, row: Row) -> bool:
        if (entropy := _number(row, "entropy")) is None:
            return False
        if (count := self._distribution.action_count) is not None:
            return count > 1 and entropy < LEAST_SHARE * math.log(count)
        return entropy / math.prod(self._distribution.action_shape) - NATS_OF_UNIT_NORMAL < LEAST_LOG_STD

    def _is_constant(self, row: Row) -> bool:
        """Whether all episodes return what those before did, since the start or after better ones; none: as before."""
        if (value := _number(row, "return_mean")) is None:
            return self._streaks["return"] > 0
        if value != self._return:
            self._streaks["return"] = 0
        if self._return is None:
            self._first = value
        elif value != self._first:
            self._first = math.nan  # it was not the same since the start
        self._return, self._best = value, max(self._best, value)
        return _number(row, "return_std") == 0 and (value == self._first or value < self._best)

    def _of_return(self, row: Row) -> str:
        if self._return == self._first:
            return (
                f"every episode since the start returned {self._return:g}, whatever the policy did: there is nothing "
                "to learn from until one returns more; look at the task's reward, or make a first success easier"
            )
        return (
            f"every episode of the last iterations returned {self._return:g}, and better ones were seen: the policy is "
            "stuck; a smaller δ, a larger steps_per_iteration or another seed may help"
        )


def _stands_still(row: Row) -> bool:
    """Whether an update that is to move the policy by a KL of about δ did not move it."""
    delta, kl = _number(row, "delta"), _number(row, "kl_mean")
    refused = str(row.get("outcome")).startswith(("rejected", "skipped"))
    return delta is not None and (refused or (kl is not None and kl <= STANDS_STILL * delta))


def _number(row: Row, name: str) -> float | None:
    """A metric, if there is one."""
    value = row.get(name)
    return value if isinstance(value, int | float) else None


def _of_sigma(row: Row) -> str:
    return (
        f"{row['log_std_clamped']} log σ stand on a bound: the policy has all but stopped exploring there, or does "
        "little else; a smaller δ or another policy.log_std may help"
    )


def _of_clipping(row: Row) -> str:
    return (
        f"{row['clipped_fraction']:.0%} of the actions' components lie beyond the task's bounds and are clipped there: "
        "what the policy chooses makes little difference; use policy.scale_actions = true, or a smaller policy.log_std"
    )


def _of_entropy(row: Row) -> str:
    return (
        f"the entropy has fallen to {row['entropy']:.3g} nats: the policy hardly explores any more; unless the task is "
        "solved, start again with a smaller δ or a larger steps_per_iteration"
    )


def _of_kl(row: Row) -> str:
    return (
        f"the policy has not moved for {PATIENCE['KL']} iterations (the last one: {row.get('message')}); a larger "
        "steps_per_iteration or more damping may help, or a look at the task's reward"
    )


def _of_episodes(row: Row) -> str:
    return (
        f"no episode ended in {PATIENCE['episodes']} iterations, so there is no return to show: a larger "
        "steps_per_iteration (vine.trunk_length) or a time limit of the task (gymnasium.wrappers.TimeLimit) lets them "
        "end, and evaluate_every = 10 plays whole ones"
    )


def _of_values(row: Row) -> str:
    return (
        f"for {PATIENCE['explained variance']} iterations the value function predicted returns worse than their mean "
        f"does (explained variance {row['explained_variance']:.2f}): more value.fit_steps, a larger "
        "steps_per_iteration or a smaller gamma may help"
    )

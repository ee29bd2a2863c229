"""What an iteration measured, judged."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from trpolab.policies import Categorical, DiagonalGaussian
from trpolab.training.judge import Judge
from trpolab.training.session import Session

GOOD: dict[str, Any] = {
    "iteration": 1, "sim_steps": 2048, "episodes": 3, "return_mean": 10.0, "return_std": 1.0, "delta": 0.02,
    "kl_mean": 0.015, "entropy": 0.6, "explained_variance": 0.4, "clipped_fraction": 0.1, "log_std_clamped": 0,
    "outcome": "accepted", "message": "the full step was taken",
}  # fmt: skip
BAD = {
    "clipping": (1, {"clipped_fraction": 0.51}),
    "σ": (1, {"log_std_clamped": 2}),
    "entropy": (1, {"entropy": 0.001}),
    "KL": (5, {"kl_mean": 0.0}),
    "return": (10, {"return_std": 0.0}),
    "episodes": (10, {"episodes": 0, "return_mean": None, "return_std": None}),
    "explained variance": (20, {"explained_variance": -0.1}),
}
NULL = dict.fromkeys(["return_mean", "return_std", "delta", "kl_mean", "entropy", "explained_variance",
                      "clipped_fraction", "log_std_clamped"])  # fmt: skip


def judge(longest: int = 0) -> Judge:
    return Judge(Categorical(2), longest)


@pytest.mark.parametrize("kind", BAD)
def test_each_kind_is_said_after_its_time_with_advice_and_no_longer_than_it_lasts(kind: str) -> None:
    patience, change = BAD[kind]
    one, row = judge(), GOOD | change
    for _ in range(patience - 1):
        assert one.see(row) == {}
    said = one.see(row)
    assert list(said) == [kind] and len(said[kind]) > 60 and (";" in said[kind] or ":" in said[kind])
    assert list(one.see(row)) == [kind]
    assert one.see(GOOD | {"return_mean": 11.0}) == {}, "it went away"
    assert one.see(row) == {} or patience == 1
    assert Judge(Categorical(2), 0, [row] * (patience - 1)).see(row).keys() == {kind}, "rows of before count"


def test_good_iterations_and_metrics_that_do_not_apply_say_nothing() -> None:
    one, other = judge(), judge()
    for iteration in range(40):
        assert one.see(GOOD | {"return_mean": float(iteration)}) == {}
        assert other.see(GOOD | NULL) == {}
    search = GOOD | NULL | {"return_mean": 3.0, "return_std": 1.0, "outcome": "accepted"}  # as CEM's
    for _ in range(40):
        assert other.see(search) == {}


def test_rejected_steps_stand_still() -> None:
    one, row = judge(), GOOD | {"kl_mean": None, "outcome": "rejected_line_search", "message": "none of 10 passed"}
    assert [one.see(row) for _ in range(5)][-1].keys() == {"KL"}
    assert "none of 10 passed" in one.see(row)["KL"]
    one, row = judge(), row | {"delta": None}
    assert [one.see(row) for _ in range(9)][-1] == {}, "a method that bounds no KL"


def test_a_continuous_policy_has_collapsed_when_its_sigma_has() -> None:
    one = Judge(DiagonalGaussian(3), 0)
    at = 1.4189385 * 3
    assert one.see(GOOD | {"entropy": at - 3 * 4.4}) == {}
    assert one.see(GOOD | {"entropy": at - 3 * 4.6}).keys() == {"entropy"}


def test_a_solved_task_is_not_called_constant_and_a_stuck_one_is() -> None:
    one, other = judge(), judge()
    for one_return in (20.0, 60.0, 200.0):
        one.see(GOOD | {"return_mean": one_return})
        other.see(GOOD | {"return_mean": one_return})
    for _ in range(9):
        one.see(GOOD | {"return_mean": 500.0, "return_std": 0.0})
        other.see(GOOD | {"return_mean": 20.0, "return_std": 0.0})
    assert one.see(GOOD | {"return_mean": 500.0, "return_std": 0.0}) == {}
    stuck = other.see(GOOD | {"return_mean": 20.0, "return_std": 0.0})
    assert "better ones were seen" in stuck["return"]


def test_no_episode_is_missed_before_a_time_limit_can_have_ended_one() -> None:
    one, row = judge(longest=50_000), GOOD | BAD["episodes"][1]
    found = [bool(one.see(row | {"sim_steps": 2048 * k})) for k in range(1, 41)]
    assert found.index(True) == 33


def test_a_run_that_is_evaluated_has_returns_to_show() -> None:
    one, row = judge(), GOOD | BAD["episodes"][1]
    assert not any(one.see(row | ({"evaluation_mean": 5.0} if k % 10 == 0 else {})) for k in range(1, 41))
    assert "vine.trunk_length" in [one.see(row) for _ in range(10)][-1]["episodes"]


class Bandit(gymnasium.Env):
    """One step, and always the same reward."""

    observation_space, action_space = Box(-1.0, 1.0, (1,)), Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        return np.zeros(1, np.float32), 5.0, True, False, {}


def test_a_bandit_that_always_pays_the_same_is_told_once_as_such(tmp_path: Any) -> None:
    settings = {"steps_per_iteration": 64, "slots": 4, "threads": 1}
    session = Session(Bandit, out=tmp_path, iterations=12, checkpoint_every=1, **settings).run()
    told = {event["about"]: event["message"] for event in session.events if event["event"] == "warning"}
    assert told["return"].startswith("every episode since the start returned 5") and "KL" in told
    assert session.warnings == told
    assert len([event for event in session.events if event["event"] == "warning"]) == len(told) == 2
    again = Session(Bandit, resume=session.path, iterations=14).run()
    assert not [event for event in again.events if event["event"] == "warning"], "once a run"
    assert again.warnings.keys() == told.keys()

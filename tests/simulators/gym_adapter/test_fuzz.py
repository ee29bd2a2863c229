"""Odd environments: each trains as it says, or is refused in a sentence; what it was given and answered is compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

import trpolab
from tests.simulators.gym_adapter.odd import Case, Record, make_case
from trpolab.sampling.sampler import first_steps
from trpolab.settings import PlainError

SLOTS, STEPS = 4, 16  # steps of a slot in an iteration
TINY: dict[str, Any] = {
    "out": None,
    "slots": SLOTS,
    "steps_per_iteration": SLOTS * STEPS,
    "iterations": 2,
    "hidden": (6,),
    "value.hidden": (6,),
    "threads": 1,
}


@pytest.mark.parametrize("number", range(60))
def test_odd_environments_train_or_are_refused(number: int, tmp_path: Path) -> None:
    play(make_case(number), tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(60, 300))
def test_more_odd_environments_train_or_are_refused(number: int, tmp_path: Path) -> None:
    play(make_case(number), tmp_path)


def play(case: Case, folder: Path) -> None:
    factory = case.make_factory()
    if case.refusal:
        with pytest.raises(PlainError) as refused:
            trpolab.train(factory, **TINY)
        assert re.search(case.refusal, str(refused.value)), (str(case), str(refused.value))
        assert "\n" not in str(refused.value)
    else:
        session = trpolab.Session(factory, **TINY)
        batches = [iteration.batch for iteration in session.iterate()]
        if case.nonfinite:
            assert {line["outcome"] for line in session.history} == {"skipped_nonfinite"}, str(case)
            assert case.nonfinite in session.history[-1]["message"]
        else:
            first = -(-first_steps(session.task) // SLOTS) if session.config.policy.normalize_observations else 0
            compare(case, batches, case.records[-SLOTS:], first)
            act(case, session.policy, factory, folder)
    assert [misfit for record in case.records for misfit in record.misfits] == [], str(case)
    if case.factory != "new":
        assert not factory().unwrapped.closed, str(case)


def compare(case: Case, batches: list[Any], records: list[Record], first: int) -> None:
    """Batches hold what the slots' environments said, and nothing else; their first steps came before the batches."""
    assert [len(record.rewards) for record in records] == [first + STEPS * len(batches)] * SLOTS, str(case)
    for number, batch in enumerate(batches):
        window = slice(first + STEPS * number, first + STEPS * (number + 1))
        ended = []
        for slot, record in enumerate(records):
            rows = np.flatnonzero(batch.path == slot)
            seen = np.array(record.obs[window])
            kept = batch.obs[rows].astype(np.float32)
            np.testing.assert_array_equal(kept, seen.astype(np.float32), str(case))
            np.testing.assert_array_equal(batch.t[rows], record.ages[window], str(case))
            if not np.issubdtype(batch.actions.dtype, np.floating):
                start = np.asarray(case.spaces()[1].start, int)
                given = np.array(record.actions[window]).astype(int) - start
                np.testing.assert_array_equal(batch.actions[rows, 0], given, str(case))
            ended += episodes(record, window)
        found = sorted(zip(batch.episodes.lengths.tolist(), batch.episodes.returns.tolist(), strict=True))
        assert [length for length, _ in found] == [length for length, _ in sorted(ended)], str(case)
        np.testing.assert_allclose(
            [score for _, score in found], [score for _, score in sorted(ended)], err_msg=str(case)
        )


def episodes(record: Record, window: slice) -> list[tuple[int, float]]:
    """(length, return) of the episodes that ended in these steps."""
    ends = [step for step in range(window.start, window.stop) if record.over[step]]
    return [(record.ages[end] + 1, sum(record.rewards[end - record.ages[end] : end + 1])) for end in ends]


def act(case: Case, policy: trpolab.policies.Policy, factory: Any, folder: Path) -> None:
    """The policy in a loop of the user's own, before and after it was saved."""
    policy.save(folder / "policy")
    again, env = trpolab.load_policy(folder / "policy"), factory()
    obs, _ = env.reset(seed=0)
    for _ in range(3):
        action = policy(obs, deterministic=True)
        np.testing.assert_array_equal(action, again(obs, deterministic=True), str(case))
        assert again.action_space == env.action_space and action.dtype == again(obs).dtype == env.action_space.dtype
        obs, *_ = env.step(policy(obs))


def test_the_generator_makes_every_kind() -> None:
    cases = [make_case(number) for number in range(300)]
    assert 90 < sum(bool(case.refusal) for case in cases) < 150
    kinds = {type(case.spaces()[0]) for case in cases}
    assert {Box, Discrete} < kinds and len(kinds) > 6

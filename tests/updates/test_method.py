"""A method's entry, what `step` does around it, and a method from outside."""

from __future__ import annotations

import ast
import inspect
import io
import tokenize
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from tests import reference
from trpolab import updates
from trpolab.policies import Learner, Policy
from trpolab.sampling.batch import Batch
from trpolab.settings import setting
from trpolab.updates import (
    METHODS,
    Context,
    MethodKind,
    Outcome,
    PlannedRun,
    Problem,
    Refusal,
    damped_fisher,
    pose,
    solve,
    take,
)
from trpolab.updates.config import TrustRegion
from trpolab.updates.methods.trpo import trpo_step


@dataclass(frozen=True)
class Fixed:
    """A step of fixed length."""

    length: float = setting(0.1, "‖θ' - θ‖", low=0, open_low=True)


def fixed_step(learner, batch, settings, context):
    """θ' = θ + length · s/‖s‖ along the natural direction s; the steps so far are counted in the state."""
    problem = pose(learner, batch, context)
    s = solve(damped_fisher(problem, context), problem.gradient(), context).x
    if settings.length > 10:
        raise Refusal(Outcome.REJECTED_LINE_SEARCH, "too far")
    theta = problem.theta + (settings.length * s / s.norm()).to(problem.theta.dtype)
    count = learner.state.get("fixed.count", np.zeros(1)) + 1
    return take(learner, problem, theta, context, state={"fixed.count": count})


FIXED = MethodKind(
    name="fixed",
    label="a step of fixed length",
    settings=Fixed,
    step=fixed_step,
    reads=("cg_iterations", "damping", "fisher_fraction"),
)


@pytest.fixture
def policy() -> Policy:
    return reference.small_policy()


@pytest.fixture
def batch(policy: Policy) -> Batch:
    return reference.small_batch(policy, states=40)


def context(**changes) -> Context:
    return replace(Context(TrustRegion(), 0.99, np.random.default_rng(0)), **changes)


def code_lines(function) -> int:
    """Lines with code on them: no blanks, comments or docstring."""
    source = inspect.getsource(function)
    (docstring, *_) = ast.parse(source).body[0].body
    told = set(range(docstring.lineno, docstring.end_lineno + 1))
    aside = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    spans = [range(one.start[0], one.end[0] + 1) for one in tokens if one.type not in aside]
    return len({line for span in spans for line in span} - told)


def test_the_trpo_step_is_read_on_one_screen() -> None:
    assert code_lines(code_lines) == 8  # counted by hand
    assert 5 <= code_lines(trpo_step) <= 20


def test_a_method_from_outside_steps_and_keeps_its_state(policy: Policy, batch: Batch) -> None:
    first, found = updates.step(Learner(policy), batch, FIXED, Fixed(0.2), context())
    assert found.outcome is Outcome.ACCEPTED and found.message == "the full step was taken"
    assert float((first.policy.theta - policy.theta).norm()) == pytest.approx(0.2)
    assert found.cg is not None and found.gradient_norm == pytest.approx(
        float(Problem(policy, batch).gradient().norm())
    )
    again, _ = updates.step(first.replace(policy=policy), batch, FIXED, Fixed(0.2), context())
    assert again.state["fixed.count"] == 2
    other, _ = updates.step(
        first.replace(policy=policy),
        batch,
        METHODS["policy_gradient"],
        METHODS["policy_gradient"].settings(),
        context(),
    )
    assert other.state == {}


def test_a_refusal_leaves_theta_and_tells_what_was_measured_before(policy: Policy, batch: Batch) -> None:
    learner = Learner(policy)
    after, found = updates.step(learner, batch, FIXED, Fixed(11.0), context())
    assert after is learner
    assert (found.outcome, found.message) == (Outcome.REJECTED_LINE_SEARCH, "too far")
    assert found.cg is not None and found.kl_mean is None


def test_what_a_refusal_remembers_is_kept(policy: Policy, batch: Batch) -> None:
    def refuses(learner, batch, settings, context):
        raise Refusal(Outcome.REJECTED_LINE_SEARCH, "no", {"fixed.count": np.ones(1)})

    after, _ = updates.step(Learner(policy), batch, replace(FIXED, step=refuses), Fixed(), context())
    assert after.policy is policy and after.state["fixed.count"] == 1


def test_state_under_another_name_is_refused(policy: Policy, batch: Batch) -> None:
    def careless(learner, batch, settings, context):
        after, found = fixed_step(learner, batch, settings, context)
        return after.replace(state={"count": 1}), found

    with pytest.raises(ValueError, match=r"'fixed' keeps 'count' in the state: a name begins with 'fixed\.'"):
        updates.step(Learner(policy), batch, replace(FIXED, step=careless), Fixed(), context())


def test_notes_of_one_update_do_not_reach_the_next(policy: Policy, batch: Batch) -> None:
    given = context()
    given.note(beta=3.0)
    given.note(beta=4.0)
    assert given.notes == {"beta": 3.0}, "the first is kept"
    _, found = updates.step(Learner(policy), batch, FIXED, Fixed(), given)
    assert found.beta is None and given.notes == {"beta": 3.0}


def test_data_of_the_wrong_kind_is_misuse(policy: Policy, batch: Batch) -> None:
    with pytest.raises(TypeError, match="method = 'cem' learns from a Population, not a Batch"):
        updates.step(Learner(policy), batch, METHODS["cem"], METHODS["cem"].settings(), context())
    with pytest.raises(TypeError, match="method = 'trpo' learns from batches and proposes no candidates"):
        updates.propose(Learner(policy), METHODS["trpo"], None, context())


@pytest.mark.parametrize("shared", [True, False])
def test_features_that_are_known_are_not_computed_again(policy, batch, shared: bool, monkeypatch) -> None:
    if not shared:
        trunk = reference.small_batch(policy, states=25, seed=9)
        batch = replace(batch, constraint_obs=trunk.obs, constraint_old=trunk.old)
    known = policy.features(batch.constraint_obs)
    plain, _ = updates.step(Learner(policy), batch, METHODS["trpo"], None, context())
    asked = []
    honest = Policy.features
    monkeypatch.setattr(Policy, "features", lambda self, obs: asked.append(len(obs)) or honest(self, obs))
    handed, _ = updates.step(Learner(policy), batch, METHODS["trpo"], None, context(features=known))
    assert asked == ([] if shared else [40])
    assert torch.equal(plain.policy.theta, handed.policy.theta)


def test_features_of_other_states_are_misuse(policy: Policy, batch: Batch) -> None:
    with pytest.raises(ValueError, match="features has 7 rows for 40 constraint states"):
        Problem(policy, batch, features=policy.features(batch.obs[:7]))


class TestCombinations:
    """What a method says it can't be combined with."""

    def plan(self, **changes) -> PlannedRun:
        return replace(PlannedRun("Pong", "single-path", "mlp", True, 10, 0.99), **changes)

    def test_nothing_is_refused_unless_the_entry_says_so(self) -> None:
        assert FIXED.refusals(Fixed(), self.plan(sampler="vine", network="convnet", side_by_side=False)) == []

    def test_samplers_and_networks(self) -> None:
        narrow = replace(FIXED, samplers=("single-path", "other"), networks=("mlp",))
        assert narrow.refusals(Fixed(), self.plan()) == []
        assert narrow.refusals(Fixed(), self.plan(sampler="vine", network="convnet")) == [
            "method = 'fixed' can't update policy.network = 'convnet'; use policy.network = 'mlp'",
            "method = 'fixed' has no use for sampler = 'vine'; use sampler = 'single-path' or 'other'",
        ]

    def test_its_own_problems_come_last(self) -> None:
        picky = replace(FIXED, problems=lambda settings, plan: [f"{settings.length} at {plan.parameters}"])
        assert picky.refusals(Fixed(), self.plan()) == ["0.1 at 10"]

    def test_candidates_must_be_evaluated_side_by_side(self) -> None:
        (problem,) = METHODS["cem"].refusals(METHODS["cem"].settings(), self.plan(side_by_side=False))
        assert problem.startswith("method = 'cem': Pong is seen as pixels")

"""A person's own functions in the place of the library's: used, checked, recorded, and asked for again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import trpolab
from trpolab.own import OWN, OwnFunctionError, OwnFunctions, fitting
from trpolab.settings import ConfigError, PlainError
from trpolab.training.checkpoint import CheckpointError
from trpolab.training.session import Session

SHORT: dict[str, Any] = {"out": None, "progress": False, "iterations": 2, "steps_per_iteration": 256, "hidden": (8,)}
RAW: dict[str, Any] = {"advantage": "monte_carlo", "path.whole": True, "steps_per_iteration": 600}
TREE: dict[str, Any] = {"sampler": "vine", "vine.trunks": 1, "vine.states": 10, "vine.rollout_length": 10}


def cg(product, b, iterations):
    return trpolab.conjugate_gradient(product, b, iterations=iterations).x


def in_numpy(product, b, iterations):
    """Conjugate gradient with arrays alone: products answer in kind."""
    b = b.numpy()
    x, r, p = np.zeros_like(b), b.copy(), b.copy()
    for _ in range(iterations):
        Ap, rr = product(p), r @ r
        assert isinstance(Ap, np.ndarray)
        alpha = rr / (p @ Ap)
        x, r = x + alpha * p, r - alpha * Ap
        p = r + (r @ r) / rr * p
    return x


def hessian(mean_kl, theta, v):
    at = theta.clone().requires_grad_()
    (slope,) = torch.autograd.grad(mean_kl(at), at, create_graph=True)
    return torch.autograd.grad(slope @ v, at)[0]


def search(surrogate, mean_kl, theta, step, delta):
    for k in range(10):
        candidate = theta + 0.7**k * step
        if surrogate(candidate) > surrogate(theta) and mean_kl(candidate) <= delta:
            return candidate
    return theta


def whole_step(gradient, product, surrogate, mean_kl, theta, delta):
    s = cg(product, gradient, 10)
    return search(surrogate, mean_kl, theta, torch.sqrt(2 * delta / (s @ product(s))) * s, delta)


def sums(rewards, gamma):
    return [sum(gamma**k * r for k, r in enumerate(rewards[t:])) for t in range(len(rewards))]


def gae(rewards, values, last_value, gamma, lam):
    deltas = rewards + gamma * np.append(values[1:], last_value) - values
    return sums(deltas, gamma * lam)


def eq_16(weights, q_values):
    return (weights * q_values).sum(1) / weights.sum(1)


SAME = [
    ("conjugate_gradient", cg, {}),
    ("conjugate_gradient", in_numpy, {}),
    ("fisher_product", hessian, {}),
    ("line_search", search, {}),
    ("trpo_step", whole_step, {}),
    ("returns", sums, RAW),
    ("advantages", gae, {}),
    ("vine_estimate", eq_16, TREE),
]


@pytest.mark.parametrize(("name", "function", "more"), SAME, ids=[f"{name}-{own.__name__}" for name, own, _ in SAME])
def test_a_right_function_learns_what_the_library_does(name: str, function: Any, more: dict[str, Any]) -> None:
    """In float64 throughout, so that the two differ by rounding alone."""
    ours = trpolab.train("CartPole-v1", **{**SHORT, **more}).history[-1]
    asked = []

    def mine(*arguments: Any) -> Any:
        asked.append(1)
        return function(*arguments)

    theirs = trpolab.train("CartPole-v1", **{**SHORT, **more, name: mine}).history[-1]
    assert asked and theirs["outcome"] == ours["outcome"]
    for key in ("return_mean", "kl_mean", "surrogate_gain"):
        assert theirs[key] == pytest.approx(ours[key], rel=1e-3, abs=1e-6), key


WRONG = {
    "wrong shape": ({"conjugate_gradient": lambda product, b, iterations: b[:2]}, "gave shape (2,), not a vector of"),
    "NaN": ({"fisher_product": lambda mean_kl, theta, v: v * torch.nan}, "fisher_product = .*: it gave NaN in"),
    "changes": ({"trpo_step": lambda g, product, L, kl, theta, delta: theta.add_(1)}, "changed its argument theta"),
    "raises": ({"line_search": lambda L, kl, theta, step, delta: 1 / 0}, "ZeroDivisionError"),
    "nothing": ({"advantages": lambda r, v, last, gamma, lam: None}, "gave None"),
    "no gradient": ({"vine_estimate": lambda w, q: (w * q).detach().sum(1), **TREE}, "has no gradient"),
    "a wrong product": ({"conjugate_gradient": lambda product, b, n: product(b[:3])}, "called product with shape"),
    "the inner one": (
        {"conjugate_gradient": cg, "fisher_product": lambda mean_kl, theta, v: v[:1]},
        "^fisher_product = .*: it gave shape",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_function_is_named_with_what_it_gave(case: str) -> None:
    given, said = WRONG[case]
    with pytest.raises(OwnFunctionError, match=said.replace("(2,)", r"\(2,\)")) as told:
        trpolab.train("CartPole-v1", **SHORT, **given)
    assert "\n" not in str(told.value)


def test_one_that_stays_where_it_is_is_a_rejected_step() -> None:
    stays = {"line_search": lambda surrogate, mean_kl, theta, step, delta: theta}
    session = trpolab.train("CartPole-v1", **SHORT, **stays)
    assert [row["outcome"] for row in session.history] == ["rejected_line_search"] * 2
    assert "line_search" in session.history[-1]["message"]


REFUSED = {
    "no function": ({"conjugate_gradient": 3}, "must be a function of (product, b, iterations)"),
    "a class": ({"returns": dict, **RAW}, "must be a function of (rewards, gamma)"),
    "other arguments": ({"fisher_product": lambda v: v}, "must be a function of (mean_kl, theta, v)"),
    "an unknown name": ({"conjugate_gradients": cg}, "unknown setting"),
    "returns where GAE is used": ({"returns": sums}, "called where advantage = 'monte_carlo' or 'centred'; here"),
    "a vine's without a vine": ({"vine_estimate": eq_16}, "neither the method nor the sampler of this run calls it"),
    "a step's where θ is searched": ({"method": "cem", "line_search": search}, "neither the method nor the sampler"),
    "a search that is off": ({"line_search": "no"}, "line_search = 'no': must be"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_at_the_door(case: str) -> None:
    given, said = REFUSED[case]
    with pytest.raises(ConfigError) as told:
        trpolab.train("CartPole-v1", **{**SHORT, **given})
    assert said in str(told.value)


def test_it_does_not_change_while_a_run_goes_on() -> None:
    session = Session("CartPole-v1", out=None, conjugate_gradient=cg)
    with pytest.raises(ConfigError, match="conjugate_gradient can't change while a run goes on"):
        session.controls.replace(conjugate_gradient=in_numpy)
    with pytest.raises(ConfigError, match="iteration 2: conjugate_gradient can't change"):
        Session("CartPole-v1", out=None, schedule={2: {"conjugate_gradient": cg}})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Session:
    about = {**SHORT, "out": tmp_path_factory.mktemp("runs"), "checkpoint_every": 1}
    return trpolab.train("CartPole-v1", **about, conjugate_gradient=cg)


def test_the_run_folder_says_that_it_was_made_with_it(run: Session) -> None:
    assert run.path is not None
    assert json.loads((run.path / "run.json").read_text())["functions"] == {"conjugate_gradient": "cg"}


def test_a_resumption_asks_for_it_by_a_line_that_works(run: Session, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="a person's own conjugate_gradient \\(cg\\)") as told:
        Session(resume=run.path)
    line = str(told.value).partition("from Python: ")[2].partition(".run()")[0]
    assert line == f"trpolab.Session(resume={str(run.path)!r}, conjugate_gradient=cg)"
    again = eval(line, {"trpolab": trpolab, "cg": cg})  # noqa: S307
    assert again.controls.functions == {"conjugate_gradient": "cg"}


@pytest.mark.parametrize("given", [{"conjugate_gradient": None}, {"conjugate_gradient": cg, "fisher_product": hessian}])
def test_a_resumed_run_keeps_its_own_and_a_new_one_need_not(run: Session, given: Any, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="it keeps that; a new run may go on otherwise"):
        Session(resume=run.path, **given)
    other = Session(resume=run.path, at=1, out=tmp_path, iterations=2, **given).run()
    assert set(other.controls.functions) == {name for name, function in given.items() if function is not None}
    about = json.loads((other.path / "run.json").read_text())
    assert about.get("functions", {}) == other.controls.functions and about["parent"]["iteration"] == 1


def test_functions_are_not_the_librarys_by_default() -> None:
    assert OwnFunctions().given == {} and set(vars(OwnFunctions())) == set(OWN)
    session = Session("CartPole-v1", out=None)
    assert session.controls.functions == {}


def test_it_is_a_sentence_in_a_notebook() -> None:
    """Below the caller's own lines, as other bad input."""
    assert issubclass(OwnFunctionError, PlainError)


def test_an_answer_may_be_an_array_that_runs_backwards() -> None:
    backwards = np.arange(3.0)[::-1]
    assert fitting(backwards, np.zeros(3)).tolist() == [2, 1, 0]
    assert fitting(backwards, torch.zeros(3)).tolist() == [2, 1, 0]

"""What the view of the trust region is told, without a browser."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("ipywidgets", reason='needs the lab: pip install "trpolab[lab]"')

from trpolab.lab import trust_region
from trpolab.lab.trust_region import TrustRegionCard, TrustRegionView, picture
from trpolab.training.loop import Iteration
from trpolab.training.session import Session
from trpolab.updates import Outcome, step


def newest(task: str = "CartPole-v1", iterations: int = 2, **settings: Any) -> Iteration:
    given = {"steps_per_iteration": 512, "hidden": (8,), "seed": 0, **settings}
    given |= {"steps_per_iteration": None} if settings.get("sampler") == "vine" else {}
    given = {name: value for name, value in given.items() if value is not None}
    *_, last = Session(task, out=None, iterations=iterations, **given).iterate()
    return last


@pytest.fixture(scope="module")
def iteration() -> Iteration:
    return newest()


def as_sent(shown: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(shown, allow_nan=False))


def test_it_is_told_the_numbers_of_the_update(iteration: Iteration) -> None:
    shown, found = as_sent(picture(iteration, 60.0)), iteration.diagnostics
    assert found.outcome.accepted
    assert shown["caption"] == f"iteration 2 · accepted · {len(iteration.batch.obs)} states"
    assert (shown["method"], shown["kl_name"], shown["delta"]) == ("TRPO", "mean KL", iteration.config.trust.delta)
    assert shown["taken"] == found.step_fraction and shown["refused"] == ""
    at = shown["fractions"].index(found.step_fraction)
    assert shown["gain"][at] == iteration.metrics["surrogate_gain"]
    assert shown["kl"][at] == iteration.metrics["kl_mean"]
    (trial,) = shown["trials"]
    assert trial == {"fraction": 1.0, "gain": found.surrogate_gain, "kl": found.kl_mean, "accepted": True}
    assert shown["slope"] == pytest.approx(found.expected_gain)
    plane = shown["plane"]
    assert np.shape(plane["gain"]) == np.shape(plane["kl"]) == (len(plane["y"]), len(plane["x"]))
    assert [other["name"] for other in shown["others"]] == ["natural gradient", "policy gradient"]


def test_other_methods_go_as_far_as_they_are_set(iteration: Iteration) -> None:
    settings = {"natural_gradient.step": 0.5, "policy_gradient.rule": "step", "policy_gradient.step": 0.01}
    set_so = dataclasses.replace(iteration, config=iteration.config.replace(**settings))
    natural, plain = picture(set_so, 60.0)["others"]
    assert natural["x"] == pytest.approx(0.5 / iteration.diagnostics.beta)
    assert natural["y"] == pytest.approx(0, abs=1e-6)
    twice = picture(dataclasses.replace(set_so, config=set_so.config.replace(**{"policy_gradient.step": 0.02})), 60.0)
    assert twice["others"][1]["y"] == pytest.approx(2 * plain["y"])


def test_a_refused_step_is_drawn_and_said(iteration: Iteration) -> None:
    refused = newest(damping=0.0, delta=0.8, cg_iterations=30, max_tries=1, seed=1)
    assert refused.diagnostics.outcome is Outcome.REJECTED_LINE_SEARCH
    shown = as_sent(picture(refused, 60.0))
    assert "no step" in shown["caption"] and shown["taken"] is None
    assert shown["refused"] == refused.metrics["message"]
    assert [trial["accepted"] for trial in shown["trials"]] == [False]


@pytest.mark.parametrize("method", ["kl_penalty", "policy_gradient", "natural_gradient", "cem"])
def test_methods_without_a_trust_region_say_so(method: str) -> None:
    settings = {"steps_per_iteration": None} if method == "cem" else {}
    shown = as_sent(picture(newest(iterations=1, method=method, **settings), 60.0))
    assert set(shown) == {"note"} and "has no trust region" in shown["note"]


@pytest.mark.parametrize("method", ["max_kl", "empirical_fim"])
def test_the_kl_that_is_bounded_is_named(method: str) -> None:
    shown = as_sent(picture(newest(iterations=1, method=method), 60.0))
    assert shown["kl_name"] == {"max_kl": "max KL", "empirical_fim": "mean KL"}[method]
    assert shown["model"] == (method == "empirical_fim")


def test_an_update_that_was_skipped_gives_its_reason(iteration: Iteration) -> None:
    still = dataclasses.replace(iteration.batch, q_values=np.zeros_like(iteration.batch.q_values))
    config, generator = iteration.config, np.random.default_rng(0)
    _, found = step(iteration.before, still, *config.of_method(), config.context(generator))
    shown = picture(dataclasses.replace(iteration, batch=still, diagnostics=found), 60.0)
    assert shown == {"note": f"iteration 2: no step: {found.message}"}


def test_a_batch_that_could_not_be_sampled_is_said(iteration: Iteration) -> None:
    assert picture(dataclasses.replace(iteration, batch=None), 60.0) == {"note": "iteration 2: nothing was sampled"}


def test_vine_batches_are_drawn() -> None:
    settings = {"vine.states": 20, "vine.trunks": 4, "vine.trunk_length": 50, "vine.actions": 2}
    vine = newest("paper/CartPole", iterations=1, sampler="vine", **settings)
    shown = as_sent(picture(vine, 60.0))
    assert shown["plane"] is not None and "states" in shown["caption"]


def test_too_many_states_are_thinned_and_said(iteration: Iteration, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust_region, "affordable_rows", lambda *_: 150)
    assert f"150 of {len(iteration.batch.obs)} states" in picture(iteration, 60.0)["caption"]
    monkeypatch.setattr(trust_region, "affordable_rows", lambda *_: 0)
    assert "too long" in picture(iteration, 60.0)["note"]


def test_nothing_of_the_process_or_of_the_iteration_is_changed(iteration: Iteration) -> None:
    def state() -> list[Any]:
        theta = iteration.before.policy.theta
        return [
            torch.get_num_threads(),
            torch.get_rng_state().tolist(),
            str(np.random.get_state()),  # noqa: NPY002 - that it is left alone
            theta.tolist(),
        ]

    before = state()
    picture(iteration, 60.0)
    assert state() == before


def test_a_view_that_appears_gets_the_whole_picture_and_waits_for_the_next(iteration: Iteration) -> None:
    sent: list[dict[str, Any]] = []
    view = TrustRegionView()
    view.send = lambda content, buffers=None: sent.append(content)  # type: ignore[method-assign]
    ask = {"type": "ask", "view": "a", "topic": "picture"}
    view._handle_custom_msg({**ask, "have": {}}, [])
    assert "after the first iteration" in sent[-1]["note"]
    view._handle_custom_msg({**ask, "have": {"version": sent[-1]["version"]}}, [])
    assert len(sent) == 1
    view.show(iteration)
    assert len(sent) == 2 and sent[-1]["method"] == "TRPO"


def test_the_card_shows_each_update_once(iteration: Iteration) -> None:
    class Trained:
        trainer = type("", (), {"latest": None})()
        state = "running"
        overhead = staticmethod(lambda: 1.0)  # what the rest of the page takes does not keep the card from its share

    card = TrustRegionCard(Trained())
    card.stroke()
    assert "after the first iteration" in card.view.answer("picture", {})[0]["note"]
    Trained.trainer.latest = iteration
    card.stroke()
    version = card.view.answer("picture", {})[0]["version"]
    card._pace._drawn = -1e9
    card.stroke()
    assert card.view.answer("picture", {"version": version}) is None
    card.restart()
    assert "after the first iteration" in card.view.answer("picture", {})[0]["note"]


def test_a_delta_that_falls_is_drawn_as_it_was_in_use() -> None:
    iteration = newest(iterations=4, delta_end=0.0)
    shown = picture(iteration, 60.0)
    assert shown["delta"] == iteration.metrics["delta"] == pytest.approx(iteration.config.trust.delta / 4)

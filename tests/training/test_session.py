"""A run: learns, repeats, is steered, and survives what goes wrong."""

from __future__ import annotations

import json
import threading

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from threadpoolctl import threadpool_info

from trpolab.policies.mlp import MLP
from trpolab.runs.reader import RunFolderError, RunLocked, load_policy, read_metrics
from trpolab.sampling.errors import NonFinite
from trpolab.sampling.evaluate import play_episodes
from trpolab.settings import ConfigError
from trpolab.simulators.base import UnknownTask
from trpolab.training.loop import Diverged
from trpolab.training.session import Session, train

VOLATILE = ("seconds_sampling", "seconds_update", "seconds_value", "seconds_total", "segment")


def stable(history):
    return [{name: value for name, value in record.items() if name not in VOLATILE} for record in history]


def run(task="CartPole-v1", iterations=3, **settings):
    return train(task, out=settings.pop("out", None), iterations=iterations, **settings)


@pytest.mark.reliability("R32")
def test_cartpole_is_solved():
    session = run(iterations=80, seed=1)
    assert session.state == "finished"
    found = play_episodes(session.policy, "CartPole-v1", 20, seed=5, deterministic=True)
    assert found.mean >= 400
    assert play_episodes(session.policy, "CartPole-v1", 20, seed=5, deterministic=True).returns.tolist() == (
        found.returns.tolist()
    )


def spent(session: Session) -> int:
    return session.progress.sim_steps


@pytest.mark.parametrize(("settings", "most"), [
    ({"method": "trpo", "steps_per_iteration": 500, "slots": 4}, 1.0),
    ({"sampler": "vine", "vine.states": 10, "vine.trunk_length": 50}, 1.5),  # branches end early,
    ({"method": "cem", "cem.population": 5}, 1.5),  # episodes grow
])  # fmt: skip
def test_a_run_of_so_many_steps_ends_where_the_next_iteration_would_not_fit(settings: dict, most: float) -> None:
    session = run(iterations=10**6, steps=4000, **settings)
    batches = [row["batch_steps"] for row in session.history]
    ends = np.array([row["sim_steps"] for row in session.history]) + most * np.array(batches)
    assert session.state == "finished" and len(batches) > 1
    assert (ends[:-1] <= 4000).all() and ends[-1] > 4000


def test_steps_alone_end_a_run_and_iterations_still_bound_it() -> None:
    small = {"steps_per_iteration": 64, "slots": 4, "threads": 1}
    by_steps = train("CartPole-v1", out=None, steps=8000, normalize_observations=False, **small)
    assert len(by_steps.history) == 125 and spent(by_steps) == 8000
    assert len(train("CartPole-v1", out=None, steps=8000, iterations=2, **small).history) == 2
    assert repr(by_steps).startswith("Session(CartPole-v1: finished, 8,000 of 8,000 simulator steps")


def test_a_run_may_have_a_folder_of_a_name_that_is_given_and_nobody_makes_it_twice(tmp_path) -> None:
    small = {"steps_per_iteration": 64, "slots": 4, "threads": 1, "iterations": 1, "out": tmp_path, "name": "mine"}
    first, second = Session("CartPole-v1", **small), Session("CartPole-v1", **small)
    assert first.run().path == tmp_path / "mine"
    with pytest.raises(RunLocked, match=r"mine' has just been made by another process"):
        second.run()
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_budget_too_small_for_an_iteration_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"steps = 100: one iteration takes 2,048 simulator steps"):
        run(steps=100, steps_per_iteration=2048)
    with pytest.raises(ConfigError, match=r"steps = 0: must be >= 1"):
        run(steps=0)


def test_a_run_of_so_many_steps_goes_on_bit_for_bit_and_with_more_steps(tmp_path) -> None:
    settings = {"method": "cem", "cem.population": 5, "threads": 1, "seed": 3}
    whole = run(iterations=10**6, steps=6000, **settings)
    first = run(iterations=4, steps=6000, out=tmp_path, **settings)
    assert spent(first) < spent(whole)
    resumed = Session(resume=first.path, iterations=10**6).run()
    assert stable(resumed.history) == stable(whole.history) and resumed.state == "finished"
    assert torch.equal(resumed.policy.theta, whole.policy.theta)
    assert stable(Session(resume=first.path).run().history) == stable(whole.history)  # nothing is left to do
    with pytest.raises(ConfigError, match=rf"steps = 4000: the run has done {spent(whole)} already"):
        Session(resume=first.path, steps=4000)
    more = Session(resume=first.path, steps=9000).run()
    assert stable(more.history) == stable(run(iterations=10**6, steps=9000, **settings).history)


@pytest.mark.parametrize("task", ["CartPole-v1", "Hopper-v5"])
def test_same_seed_same_numbers_and_other_seed_others(task):
    first, again, other = run(task), run(task), run(task, seed=1)
    assert stable(first.history) == stable(again.history)
    assert torch.equal(first.policy.theta, again.policy.theta)
    assert not torch.equal(first.policy.theta, other.policy.theta)


def test_the_number_of_threads_changes_nothing(monkeypatch):
    seen: dict[str, set[int]] = {}
    real = MLP.linearized

    def linearized(self, *given):
        seen.setdefault(("value", "policy")[self.outputs > 1], set()).add(threading.get_ident())
        return real(self, *given)

    monkeypatch.setattr(MLP, "linearized", linearized)
    monkeypatch.setattr(MLP, "chunk", 16)
    one = run("Hopper-v5", threads=1)
    assert {name: len(threads) for name, threads in seen.items()} == {"policy": 1, "value": 1}
    two = run("Hopper-v5", threads=2)
    assert min(map(len, seen.values())) > 1  # the update and the value fit are spread over the threads
    assert stable(one.history) == stable(two.history)
    assert torch.equal(one.policy.theta, two.policy.theta)
    assert torch.equal(one.learner.value.theta, two.learner.value.theta)


def test_a_run_is_the_same_beside_any_other():
    """Two threads, one run beginning before the other ends and ending before it; and two loops in one thread."""
    alone = {task: run(task, iterations=4) for task in ("Hopper-v5", "CartPole-v1")}
    before = torch.get_num_threads(), {library["num_threads"] for library in threadpool_info()}
    beside, barrier = {}, threading.Barrier(2, timeout=60)

    def train_it(task, iterations):
        session = Session(task, out=None, iterations=4)
        loop = session.iterate()
        next(loop)
        barrier.wait()
        for _ in range(iterations):
            next(loop, None)
        barrier.wait()
        for _ in loop:
            continue
        beside[task] = session

    threads = [threading.Thread(target=train_it, args=each) for each in (("Hopper-v5", 3), ("CartPole-v1", 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sessions = {task: Session(task, out=None, iterations=4) for task in alone}
    for _ in zip(*(session.iterate() for session in sessions.values()), strict=True):
        assert torch.get_num_threads() == before[0]  # whoever iterates has the threads between two iterations
    for task, session in alone.items():
        for other in (beside[task], sessions[task]):
            assert stable(other.history) == stable(session.history)
            assert torch.equal(other.policy.theta, session.policy.theta)
    assert (torch.get_num_threads(), {library["num_threads"] for library in threadpool_info()}) == before


def test_a_session_says_what_it_is(tmp_path):
    session = Session("CartPole-v1", out=tmp_path, iterations=3)
    assert repr(session) == "Session(CartPole-v1: created, 0 of 3 iterations)"
    session.run()
    score = session.history[-1]["return_recent"]
    assert repr(session) == f"Session(CartPole-v1: finished, 3 of 3 iterations, return {score:,.1f}, {session.path})"


def test_user_code_that_reseeds_the_global_generators_changes_nothing():
    reference = run(iterations=3)
    session = Session("CartPole-v1", out=None, iterations=3)
    for _ in session.iterate():
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(0)
    assert stable(session.history) == stable(reference.history)


def test_whole_paths_and_raw_sums_learn_too():
    session = run(preset="paper", steps_per_iteration=2000, iterations=12, **{"path.horizon": 500})
    assert session.learner.value is None
    assert session.history[-1]["explained_variance"] is None
    assert session.history[-1]["return_mean"] > 2 * session.history[0]["return_mean"]


def test_a_knob_turned_during_training_is_logged_where_it_was_used():
    session = Session("CartPole-v1", out=None, iterations=4, delta=0.01)
    for iteration in session.iterate():
        if iteration.index == 2:
            session.controls.replace(delta=0.03)
    assert [record["delta"] for record in session.history] == [0.01, 0.01, 0.03, 0.03]
    assert [record.get("changed") for record in session.history] == [None, None, {"delta": 0.03}, None]
    for record in session.history:
        assert record["kl_mean"] <= record["delta"]


def test_stop_and_go_on():
    session = Session("CartPole-v1", out=None, iterations=6)
    for iteration in session.iterate():
        if iteration.index == 2:
            session.controls.stop()
    assert session.state == "stopped"
    assert [record["iteration"] for record in session.history] == [1, 2]
    session.run()
    assert session.state == "finished"
    assert [record["iteration"] for record in session.history] == [1, 2, 3, 4, 5, 6]


def test_an_aborted_iteration_never_was():
    session = Session("Hopper-v5", out=None, iterations=50)
    loop = session.iterate()
    before = next(loop).learner
    session.controls.abort()
    assert list(loop) == []
    assert session.learner is before
    assert len(session.history) == 1


@pytest.mark.parametrize(
    ("settings", "slots"),
    [
        ({}, 32),  # 1.5 / (1 - 0.995 * 0.98) = 60 steps
        ({"gamma": 0.9999}, 16),  # 75
        ({"steps_per_iteration": 8192}, 64),
        ({"steps_per_iteration": 8192, "gamma": 0.9999, "lam": 0.995}, 16),  # 294
        ({"lam": 1.0}, 8),  # 300, and no fewer than 8
        ({"gamma": 1.0, "lam": 1.0}, 8),
        ({"preset": "paper"}, 64),  # whole paths are not cut
        ({"slots": 3}, 3),
    ],
)
def test_slots_get_shares_of_an_iteration_that_gae_can_see_across(settings, slots):
    assert Session("Hopper-v5", out=None, **settings).config.slots == slots


def test_the_run_folder_tells_everything(tmp_path):
    session = run(out=tmp_path, iterations=3, checkpoint_every=2, label="a <b>label</b>")
    folder = session.path
    about = json.loads((folder / "run.json").read_text())
    assert about["task"] == "CartPole-v1"
    assert about["settings"]["slots"] == session.config.slots
    assert about["versions"]["mujoco"]
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"
    records = read_metrics(folder)
    assert stable(records) == stable(json.loads(json.dumps(list(session.history))))
    names = (
        "iteration sim_steps episodes return_mean return_std length_mean surrogate_gain expected_gain kl_mean kl_max "
    )
    names += "delta cg_iterations cg_residual line_search_trials step_fraction entropy explained_variance outcome "
    names += "seconds_sampling seconds_update seconds_total"
    assert set(names.split()) <= set(records[0])
    assert [path.name for path in sorted((folder / "policies").iterdir())] == [
        "000001.safetensors",
        "000002.safetensors",
        "000003.safetensors",
    ]
    policy = load_policy(folder)
    assert torch.equal(policy.theta, session.policy.theta)
    obs = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_array_equal(policy.features(obs), session.policy.features(obs))
    assert load_policy(folder, "best").theta.shape == policy.theta.shape
    newest = max((folder / "policies").glob("*.safetensors"))
    assert torch.equal(load_policy(newest).theta, policy.theta), "a file by itself is a policy, too"


def test_a_torn_last_line_is_ignored_and_a_bad_middle_line_named(tmp_path):
    folder = run(out=tmp_path).path
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"iteration": 4, "sim')
    assert len(read_metrics(folder)) == 3
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    lines[1] = "not json"
    (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(RunFolderError, match="line 2"):
        read_metrics(folder)


@pytest.mark.parametrize("task", ["CartPole-v1", "Hopper-v5"])
def test_a_resumed_run_is_the_run_that_would_have_been(tmp_path, task):
    reference = run(task, iterations=6)
    first = run(task, iterations=3, out=tmp_path)  # ends before its first periodic checkpoint
    second = Session(resume=first.path, iterations=6)
    for iteration in second.iterate():
        if iteration.index == 4:
            second.controls.stop()
    resumed = Session(resume=first.path).run()
    assert resumed.path == first.path
    assert stable(read_metrics(first.path)) == stable(json.loads(json.dumps(list(reference.history))))
    assert torch.equal(resumed.policy.theta, reference.policy.theta)


def test_resume_refuses_what_is_not_its_run_in_a_sentence(tmp_path):
    with pytest.raises(RunFolderError, match="not a run folder"):
        Session(resume=tmp_path)
    folder = run(out=tmp_path, checkpoint_every=1, iterations=2).path
    with pytest.raises(RunFolderError, match="is a run of CartPole-v1, not of Hopper-v5"):
        Session("Hopper-v5", resume=folder)
    for entry in (folder / "ckpt").iterdir():
        with (entry / "train.safetensors").open("r+b") as file:
            file.seek(-1, 2)
            last = file.read(1)[0]
            file.seek(-1, 2)
            file.write(bytes([last ^ 1]))
    with pytest.raises(RunFolderError, match=r"train.safetensors differs from the manifest"):
        Session(resume=folder)


def test_two_writers_are_refused(tmp_path):
    session = Session("CartPole-v1", out=tmp_path, iterations=5, checkpoint_every=1)
    loop = session.iterate()
    next(loop)
    with pytest.raises(RunFolderError, match="is being written by process"):
        Session(resume=session.path, iterations=9).run()
    loop.close()


def test_bad_input_makes_no_folder(tmp_path):
    out = tmp_path / "runs"
    with pytest.raises(ConfigError):
        train("CartPole-v1", out=out, delta=-1)
    with pytest.raises(UnknownTask, match="CartPole-v1"):
        train("CartPol-v1", out=out)
    assert not out.exists()


class Poisoned(gymnasium.Env):
    """A walk on a line whose observation turns NaN at the listed steps of the whole run."""

    observation_space = Box(-np.inf, np.inf, (2,), np.float64)
    action_space = Box(-1, 1, (1,), np.float32)

    def __init__(self, bad, counter):
        self.bad, self.counter = bad, counter

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.t = self.np_random.normal(), 0
        return self._obs(), {}

    def step(self, action):
        self.counter[0] += 1
        self.t += 1
        self.x += float(action[0])
        obs = self._obs()
        if self.counter[0] in self.bad:
            obs[1] = np.nan
        return obs, -abs(self.x), False, self.t >= 20, {}

    def _obs(self):
        return np.array([self.x, self.t / 20])


def poisoned(bad):
    counter = [0]
    return lambda: Poisoned(bad, counter)


@pytest.mark.reliability("R10")
def test_nan_from_the_environment_skips_the_iteration_and_the_run_goes_on():
    settings = {"steps_per_iteration": 128, "slots": 4, "iterations": 5, "normalize_observations": True}
    bad, counter, learners = set[int](), [0], []
    session = Session(lambda: Poisoned(bad, counter), out=None, **settings)
    for iteration in session.iterate():
        learners.append(iteration.learner)
        if iteration.index == 2:
            bad.add(counter[0] + 50)
    outcomes = [record["outcome"] for record in session.history]
    assert outcomes.count("skipped_nonfinite") == 1
    bad = outcomes.index("skipped_nonfinite")
    assert learners[bad] is learners[bad - 1], "policy, value function and normaliser are untouched"
    record = session.history[bad]
    assert "observation" in record["message"]
    assert "slot" in record["message"]
    assert record["kl_mean"] is None
    assert outcomes[-1].startswith("accepted")


@pytest.mark.reliability("R10")
def test_three_poisoned_iterations_in_a_row_end_the_run_as_diverged(tmp_path):
    settings = {"steps_per_iteration": 128, "slots": 4, "iterations": 9, "normalize_observations": True}
    session = Session(poisoned(range(1200, 100_000)), out=tmp_path, **settings)
    with pytest.raises(Diverged, match="3 iterations in a row"):
        session.run()
    assert session.state == "diverged"
    assert json.loads((session.path / "status.json").read_text())["state"] == "diverged"


def test_an_environment_that_raises_passes_its_error_on_and_is_recorded(tmp_path):
    taken = []

    class Broken(Poisoned):
        def step(self, action):
            taken.append(action)
            if len(taken) > 1500:
                raise RuntimeError("the motor is on fire")
            return super().step(action)

    session = Session(lambda: Broken((), [0]), out=tmp_path, steps_per_iteration=64, slots=2)
    with pytest.raises(RuntimeError, match="the motor is on fire"):
        session.run()
    status = json.loads((session.path / "status.json").read_text())
    assert status["state"] == "stopped"
    assert "the motor is on fire" in status["message"]


def test_rewards_that_are_always_zero_are_skipped_without_harm():
    class Worthless(Poisoned):
        def step(self, action):
            obs, _, *rest = super().step(action)
            return obs, 0.0, *rest

    session = Session(lambda: Worthless((), [0]), out=None, steps_per_iteration=64, slots=2, iterations=3, gamma=0.9)
    start = session.policy.theta
    session.run()
    assert len(session.history) == 3
    for record in session.history:
        assert record["outcome"].startswith(("skipped", "accepted"))
    assert torch.isfinite(session.policy.theta).all()
    assert start.shape == session.policy.theta.shape


def test_evaluation_every_so_many_iterations():
    session = run(iterations=4, evaluate_every=2, evaluate_episodes=3)
    assert ["evaluation_mean" in record for record in session.history] == [False, True, False, True]


def test_the_least_time_of_an_iteration_is_kept():
    session = run(iterations=2, seconds_per_iteration=0.3)
    assert all(record["seconds_total"] >= 0.3 for record in session.history)


@pytest.mark.reliability("R10")
def test_nan_in_an_evaluation_is_recorded_and_the_training_goes_on(monkeypatch):
    def broken(*args, **kwargs):
        raise NonFinite("slot 0, step 3: non-finite reward", 4)

    monkeypatch.setattr("trpolab.training.session.play_episodes", broken)
    session = run(iterations=2, evaluate_every=1)
    assert [record["evaluation_mean"] for record in session.history] == [None, None]
    assert [event["event"] for event in session.events] == ["evaluation_failed"] * 2


@pytest.mark.reliability("R26")
def test_a_policy_for_other_actions_or_observations_is_refused_in_a_sentence():
    policy = Session("CartPole-v1", out=None).policy
    with pytest.raises(ValueError, match="its actions are Categorical"):
        play_episodes(policy, "paper/CartPole", 1)
    with pytest.raises(ValueError, match=r"it observes arrays of shape \(4,\)"):
        play_episodes(policy, "Hopper-v5", 1)


def test_a_task_without_an_end_is_evaluated_for_a_while():
    class Endless(Poisoned):
        def step(self, action):
            obs, reward, terminated, _, info = super().step(action)
            return obs, reward, terminated, False, info

    def make():
        return Endless((), [0])

    found = play_episodes(Session(make, out=None).policy, make, 1)
    assert found.lengths.tolist() == [10_000]


@pytest.mark.reliability("R26")
def test_a_run_of_another_task_is_not_resumed_on_this_one(tmp_path):
    folder = run(out=tmp_path, iterations=1).path
    with pytest.raises(RunFolderError, match="does not fit"):
        Session(poisoned(()), resume=folder)
    other = train(poisoned(()), out=tmp_path, iterations=1, steps_per_iteration=64, slots=2).path
    with pytest.raises(RunFolderError, match="Python callable"):
        Session(resume=other)


def test_the_controls_tell_the_phase_of_the_iteration_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session("CartPole-v1", out=None, iterations=2, steps_per_iteration=64, slots=2)
    entered: list[str] = []
    monkeypatch.setattr(session.controls, "enter", entered.append)
    session.run()
    assert entered == [*(["sampling", "update", "value", ""] * 2), ""]
    assert {f"seconds_{phase}" for phase in entered if phase} <= set(session.history[-1])

"""Acting with a policy in a loop of one's own: raw observations in, the task's own actions out."""

from __future__ import annotations

import copy
import threading
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

import trpolab
from tests import reference
from trpolab.policies import Policy, make_policy
from trpolab.policies.acting import ActionBounds, ObservationError
from trpolab.policies.config import PolicyConfig
from trpolab.runs.reader import RunFolderError
from trpolab.simulators import find_task


class Counting(gymnasium.Env):
    """Four states from -1 on, four actions from 3 on."""

    observation_space = spaces.Discrete(4, start=-1)
    action_space = spaces.Discrete(4, start=3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state, self.left = 0, 10
        return self.state, {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.state, self.left = int(action) - 4, self.left - 1
        return self.state, float(self.state == 2), self.left == 0, False, {}


class Levers(Counting):
    """Bounds of float64 that float32 can't hold, on actions of two axes."""

    observation_space = spaces.Box(-np.inf, np.inf, (2, 3), np.float64)
    action_space = spaces.Box(-0.1, np.array([[0.1, 0.2], [0.3, np.inf]]), dtype=np.float64)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.left -= 1
        return self.observation_space.sample(), 0.0, self.left == 0, False, {}


class Switches(Levers):
    observation_space = spaces.Box(0, 9, (3,), np.int64)
    action_space = spaces.MultiDiscrete([3, 2], start=[1, 5], dtype=np.int32)


def policy_for(task, seed: int = 0, **config) -> Policy:
    """A policy for a task whose actions reach beyond the bounds."""
    about = find_task(task)
    settings = {"hidden": (8,), "output_scale": 3.0, "log_std": 1.0, "normalize_observations": False, **config}
    generator = np.random.default_rng(seed)
    made = make_policy(
        about.observation_space,
        about.action_space,
        PolicyConfig(**settings),
        generator,
        own_spaces=about.own_spaces,
    )
    if made.normalizer is None:
        return made
    return made.replace(normalizer=made.normalizer.updated(generator.normal(size=(50, *made.obs_shape)) * 3 + 1))


ENVIRONMENTS = {
    "states": Counting,
    "levers": Levers,
    "switches": Switches,
    "FrozenLake-v1": lambda: gymnasium.make("FrozenLake-v1"),
    "CartPole-v1": lambda: gymnasium.make("CartPole-v1"),
    "Pendulum-v1": lambda: gymnasium.make("Pendulum-v1"),
}


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("name", list(ENVIRONMENTS))
def test_it_acts_in_a_loop_of_gymnasiums(name: str, deterministic: bool) -> None:
    policy, env = policy_for(ENVIRONMENTS[name]), ENVIRONMENTS[name]()
    env.action_space.seed(0)
    env.observation_space.seed(0)
    obs, _ = env.reset(seed=0)
    for _ in range(50):
        action, state = policy.predict(obs, deterministic=deterministic)
        assert env.action_space.contains(action) and state is None
        obs, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            obs, _ = env.reset()


@pytest.mark.parametrize("name", list(ENVIRONMENTS))
def test_a_stack_gives_the_actions_of_its_rows(name: str) -> None:
    policy, space = policy_for(ENVIRONMENTS[name]), ENVIRONMENTS[name]().observation_space
    space.seed(1)
    obs = np.array([space.sample() for _ in range(19)])
    if space.shape and np.issubdtype(space.dtype, np.floating):
        obs = np.clip(obs, -10, 10)
    together = policy(obs, deterministic=True)
    assert len(together) == 19
    np.testing.assert_array_equal(together, [policy(row, deterministic=True) for row in obs])
    assert policy(obs[:0]).shape == together[:0].shape
    drawn, again = (policy(obs, generator=np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(drawn, again)


def test_actions_follow_the_distribution() -> None:
    """Means and frequencies over many draws, against the policy's parameters."""
    gaussian = policy_for("Pendulum-v1", log_std=-1.0).replace(action_space=None)
    obs = np.tile([0.1, -0.2, 0.3], (20_000, 1))
    mean, log_std = gaussian.parameters(gaussian.features(obs[:1])).numpy()[0]
    drawn = gaussian(obs, generator=np.random.default_rng(0))
    assert drawn.mean() == pytest.approx(mean, abs=0.02) and drawn.std() == pytest.approx(np.exp(log_std), rel=0.02)
    assert gaussian(obs[0], deterministic=True) == pytest.approx(mean)
    counting = policy_for(Counting)
    u = counting.parameters(np.eye(4, dtype=np.float32)[[2]])
    expected = torch.softmax(u, 1).numpy()[0]
    drawn = counting(np.full(20_000, 1), generator=np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(drawn - 3, minlength=4) / 20_000, expected, atol=0.02)
    assert counting(1, deterministic=True) == 3 + expected.argmax()


def test_actions_are_clipped_to_the_bounds_and_only_where_they_are_known() -> None:
    policy = policy_for("Pendulum-v1", log_std=2.0)
    obs, draw = np.zeros((500, 3)), lambda chosen: chosen(obs, generator=np.random.default_rng(0))
    free = draw(policy.replace(action_space=None))
    assert (np.abs(free) > 2).any()
    np.testing.assert_array_equal(draw(policy.replace(scaled_actions=False)), np.clip(free, -2, 2))
    np.testing.assert_array_equal(draw(policy), np.clip(2 * free, -2, 2), "in units of the bounds")


def test_bounds_become_units_where_they_are_finite_on_both_sides() -> None:
    low, high = [5, -1, 0, -np.inf, -3e38, 7], [35, 1, np.inf, 1, 3e38, 7]
    bounds = ActionBounds.of(spaces.Box(np.array(low, np.float32), np.array(high, np.float32)), True)
    assert bounds.middle.tolist() == [20, 0, 0, 0, 0, 7] and bounds.half.tolist() == [15, 1, 1, 1, 1, 0]
    ones = np.ones(6, np.float32)
    assert bounds.clip(-2 * ones).tolist() == [5, -1, 0, -2, -2, 7] and bounds.count_outside(1.5 * ones) == 3
    for space in (spaces.Box(-1, 1, (2,)), spaces.Box(0, np.inf, (2,))):
        same = ActionBounds.of(space, True)
        assert same.middle is None and same.in_task(ones) is ones


def test_by_itself_it_draws_anew_each_time_and_each_copy_by_its_own() -> None:
    policy, obs = policy_for("Pendulum-v1"), np.zeros((8, 3))
    policy = policy.replace(action_space=None)
    draws = [policy(obs), policy(obs), policy.replace()(obs), copy.deepcopy(policy)(obs)]
    assert len({draw.tobytes() for draw in draws}) == 4


def test_it_acts_as_evaluate_does_bit_for_bit() -> None:
    taken = []

    class Written(gymnasium.Wrapper):
        """Keeps what was observed and what was done then."""

        def reset(self, **given):
            self.obs, about = super().reset(**given)
            return self.obs, about

        def step(self, action):
            taken.append((self.obs, action))
            self.obs, *rest = super().step(action)
            return self.obs, *rest

    policy = policy_for("Pendulum-v1", hidden=(64, 64))
    trpolab.evaluate(policy, lambda: Written(gymnasium.make("Pendulum-v1")), episodes=2, deterministic=True)
    for obs, action in taken[-400:]:  # before them it was tried out whether the environment can be copied
        np.testing.assert_array_equal(policy(obs, deterministic=True), action)


def test_pixels() -> None:
    policy = pixel_policy()
    obs = np.random.default_rng(0).integers(0, 256, (3, 2, 14, 12), dtype=np.uint8)
    actions = policy(obs, deterministic=True)
    np.testing.assert_array_equal(actions, [policy(row, deterministic=True) for row in obs])
    assert actions.shape == (3,) and policy.action_space.contains(actions[0])
    with pytest.raises(ObservationError, match="obs is of float64: this policy observes pictures of uint8"):
        policy(obs / 255)
    with pytest.raises(ObservationError, match=r"must be \[2, 14, 12\] for one observation"):
        policy(obs[:, :1])


def pixel_policy() -> Policy:
    observed, actions = spaces.Box(0, 255, (2, 14, 12), np.uint8), spaces.Discrete(3)
    config = PolicyConfig(hidden=(5,), normalize_observations=False, output_scale=1.0)
    return make_policy(observed, actions, config, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("obs", "said"),
    [
        (np.zeros(4), r"obs has shape \[4\]: must be \[3\] for one observation, or \[n, 3\] for a stack of n"),
        (np.zeros((2, 2, 3)), "obs has shape"),
        (0.0, "obs has shape"),
        ([0, np.nan, 0], r"obs\[1\] = nan: must be a finite number"),
        ([[0, 0, 0], [0, 0, -np.inf]], r"obs\[1, 2\] = -inf"),
        ([0, 1e300, 0], r"obs\[1\] = 1e\+300"),
        ("left", "obs is str 'left': this policy observes numbers"),
        ({"position": 1.0}, "obs is dict"),
        (None, "obs is NoneType None"),
        ([[0, 0, 0], [0]], "obs is no array of numbers"),
        (np.zeros(3, complex), "obs is of complex128"),
        (
            (np.zeros(3), {}),
            r"obs is a tuple with an info: give the observation alone, as in obs, info = env.reset\(\)",
        ),
    ],
)
def test_what_is_no_observation_is_refused_in_a_sentence(obs: object, said: str) -> None:
    policy = policy_for("Pendulum-v1")
    with pytest.raises(ObservationError, match=said) as caught:
        policy(obs)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("state", "said"), [(4, "whole numbers of Discrete"), (-2, "Discrete"), (1.5, "or whole")])
def test_states_that_the_task_does_not_have_are_refused(state: object, said: str) -> None:
    with pytest.raises(ObservationError, match=said):
        policy_for(Counting)(state)


def test_states_may_be_given_one_hot_too() -> None:
    policy = policy_for(Counting)
    for state in range(-1, 3):
        row = np.eye(4)[state + 1]
        assert policy(row, deterministic=True) == policy(state, deterministic=True)
    assert policy([-1, 2], deterministic=True).shape == (2,)


def test_threads_share_a_policy() -> None:
    policy = policy_for("Pendulum-v1", hidden=(64, 64))
    obs = np.random.default_rng(0).normal(size=(4, 200, 3))
    expected, found = policy(obs.reshape(-1, 3), deterministic=True).reshape(4, 200, 1), np.zeros((4, 200, 1))

    def play(thread: int) -> None:
        for step, row in enumerate(obs[thread]):
            found[thread, step] = policy(row, deterministic=True)

    threads = [threading.Thread(target=play, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", list(reference.ACTION_SPACES))
def test_a_saved_policy_acts_as_it_did(kind: str, tmp_path: Path) -> None:
    policy = reference.small_policy(kind)
    policy = policy.replace(theta=policy.theta.float())
    policy.save(tmp_path / "policy.safetensors", {"note": "mine"})
    found = trpolab.load_policy(tmp_path / "policy.safetensors")
    obs = np.random.default_rng(0).normal(size=(9, 3))
    drawn = [chosen(obs, generator=np.random.default_rng(1)) for chosen in (policy, found)]
    np.testing.assert_array_equal(*drawn)


def test_an_older_file_is_given_its_tasks_bounds(tmp_path: Path) -> None:
    policy = policy_for("Pendulum-v1")
    policy.replace(action_space=None).save(tmp_path / "p")
    assert trpolab.load_policy(tmp_path / "p").action_space is None
    assert trpolab.load_policy(tmp_path / "p", task="Pendulum-v1").action_space == policy.action_space
    states = policy_for(Counting)
    states.replace(action_space=None, states=None).save(tmp_path / "q")
    assert Counting().action_space.contains(trpolab.load_policy(tmp_path / "q", task=Counting)(-1))
    with pytest.raises(RunFolderError, match="this policy does not fit CartPole-v1: it observes"):
        trpolab.load_policy(tmp_path / "p", task="CartPole-v1")


def test_a_trained_policy_acts_in_its_environment(tmp_path: Path) -> None:
    """What a run folder holds knows the task's own states and actions."""
    session = trpolab.train(Counting, out=tmp_path, iterations=2, steps_per_iteration=200, threads=1)
    policy, env = trpolab.load_policy(session.path), Counting()
    obs, over = env.reset()[0], False
    while not over:
        obs, _, over, _, _ = env.step(policy(obs))


def test_a_run_begun_by_an_older_version_is_gone_on_with_knowing_its_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Policy, "acting_in", lambda self, *spaces: self)
        session = trpolab.train(Counting, out=tmp_path, iterations=1, steps_per_iteration=200, threads=1)
    assert trpolab.load_policy(session.path).states is None
    resumed = trpolab.train(Counting, resume=session.path, iterations=2)
    policy = trpolab.load_policy(resumed.path)
    assert (policy.states, policy.action_space) == (Counting.observation_space, Counting.action_space)

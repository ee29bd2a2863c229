"""`trpolab.evaluate` takes what people have at hand, and says when all its episodes are one."""

from __future__ import annotations

import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Discrete

import trpolab
from trpolab.runs.reader import RunFolderError
from trpolab.sampling.evaluate import play_episodes
from trpolab.settings import PlainError
from trpolab.training.session import Session


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Session:
    return trpolab.train("CartPole-v1", out=tmp_path_factory.mktemp("runs"), iterations=2)


def test_a_session_a_folder_a_file_and_a_policy_score_alike(session: Session, tmp_path: Path) -> None:
    expected = play_episodes(session.policy, "CartPole-v1", 5, seed=3).returns.tolist()
    session.policy.save(file := tmp_path / "policy.safetensors")
    assert trpolab.evaluate(session, episodes=5, seed=3).returns.tolist() == expected
    assert trpolab.evaluate(session, "CartPole-v1", 5, 3).returns.tolist() == expected
    assert session.path is not None
    for folder in (session.path, str(session.path)):
        assert trpolab.evaluate(folder, episodes=5, seed=3).returns.tolist() == expected
    for learned in (file, session.policy):
        assert trpolab.evaluate(learned, "CartPole-v1", episodes=5, seed=3).returns.tolist() == expected


def test_a_lab_is_scored_by_its_policy(session: Session) -> None:
    pytest.importorskip("ipywidgets")
    lab = trpolab.Lab("CartPole-v1", out=None).run(block=True, iterations=1)
    found = trpolab.evaluate(lab, episodes=3, seed=1)
    lab.close()
    assert found.returns.tolist() == play_episodes(lab.policy, "CartPole-v1", 3, seed=1).returns.tolist()


def test_a_run_is_scored_under_its_own_settings(tmp_path: Path) -> None:
    pytest.importorskip("ale_py", reason='needs ale-py: pip install "trpolab[atari]"')
    small = {"slots": 2, "steps_per_iteration": 20, "path.horizon": 20, "path.whole": True, "advantage": "centred"}
    session = trpolab.train(
        "ALE/Freeway-v5", out=tmp_path, iterations=1, **small, **{"atari.pixels": "dqn", "atari.frame_skip": 60}
    )
    expected = play_episodes(session.policy, session.source, 1).lengths.tolist()  # other pixels would not fit at all
    assert trpolab.evaluate(session.path, episodes=1).lengths.tolist() == expected


@pytest.mark.parametrize(
    ("learned", "task", "told"),
    [
        (3, "CartPole-v1", "int holds no policy: give a policy, a session, or a run folder"),
        (None, None, "task: give the task that the policy is to play"),
    ],
)
def test_what_is_missing_is_told(session: Session, learned, task, told: str) -> None:
    with pytest.raises(PlainError, match=told):
        trpolab.evaluate(session.policy if learned is None else learned, task)


def test_a_task_that_the_policy_does_not_fit_is_told(session: Session) -> None:
    with pytest.raises(PlainError, match=r"^this policy does not fit Pendulum-v1: it observes"):
        trpolab.evaluate(session, "Pendulum-v1")


def test_a_folder_that_is_no_run_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"no run\.json"):
        trpolab.evaluate(tmp_path)


@pytest.mark.parametrize("name", ["episodes", "seed", "threads"])
@pytest.mark.parametrize("value", [2**70, -1, 2.5, True])
def test_a_number_that_is_none_is_told(session: Session, name: str, value) -> None:
    with pytest.raises(PlainError, match=f"{name} = {value}: must be a whole number, at least"):
        trpolab.evaluate(session, **{"episodes": 1, name: value})


def test_numbers_of_numpy_are_numbers(session: Session) -> None:
    found = trpolab.evaluate(session, episodes=np.int64(2), seed=np.uint8(3), threads=np.int32(1))
    assert found.returns.tolist() == trpolab.evaluate(session, episodes=2, seed=3).returns.tolist()


class Countdown(gymnasium.Env):
    """Three steps, always the same, unless its first state is drawn."""

    observation_space, action_space = Discrete(8), Discrete(2)

    def __init__(self, drawn: bool = False):
        self.drawn = drawn

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 3
        self.start = int(self.np_random.integers(2)) if self.drawn else 0
        return self.left + 4 * self.start, {}

    def step(self, action):
        self.left -= 1
        return self.left + 4 * self.start, float(action), self.left == 0, False, {}


def test_episodes_that_are_one_and_the_same_are_said_to_be() -> None:
    policy = Session(Countdown, out=None).policy
    with pytest.warns(UserWarning, match="all episodes are one and the same, for neither the task nor the policy"):
        found = trpolab.evaluate(policy, Countdown, 5, deterministic=True)
    assert found.alike and found.std == 0


@pytest.mark.parametrize(
    ("task", "deterministic", "episodes"),
    [(Countdown, False, 8), (Countdown, True, 1), (lambda: Countdown(drawn=True), True, 8)],
    ids=["sampled actions", "one episode", "other starts, equal scores"],
)
def test_nothing_is_said_of_others(task, deterministic: bool, episodes: int) -> None:
    policy = Session(task, out=None).policy
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = trpolab.evaluate(policy, task, episodes, deterministic=deterministic)
    assert not found.alike


def test_a_run_records_it() -> None:
    session = trpolab.train(Countdown, out=None, iterations=1, steps_per_iteration=64, slots=4, evaluate_every=1)
    assert session.history[0]["evaluation_alike"] is True

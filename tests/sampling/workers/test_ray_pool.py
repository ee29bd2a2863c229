"""Workers on Ray: the same numbers as this machine's own, deaths made good, and what can't be had told plainly."""

from __future__ import annotations

import functools
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import psutil
import pytest
import torch

pytest.importorskip("ray", reason='needs Ray: pip install "trpolab[ray]"')

from tests.sampling.workers import units
from trpolab.sampling.errors import Interrupted, UnitFailed, WorkerLost
from trpolab.sampling.workers.execution import Execution
from trpolab.sampling.workers.ray_pool import ExecutorError, RayPool
from trpolab.settings import ConfigError
from trpolab.training.session import Session

TWO = Execution(executor="ray", workers=2)
VINE = {"sampler": "vine", "vine.trunks": 4, "vine.trunk_length": 60, "vine.states": 20, "vine.rollout_length": 20}
RUNS: dict[str, tuple[Any, dict[str, Any]]] = {
    "Hopper": ("Hopper-v5", {"steps_per_iteration": 512}),
    "whole paths": ("CartPole-v1", {"steps_per_iteration": 512, "path.whole": True, "path.horizon": 100}),
    "vine": ("paper/Hopper", VINE),
    "local function": (lambda: gymnasium.make("Acrobot-v1"), {"steps_per_iteration": 512, "slots": 8}),
    "CEM": ("paper/CartPole", {"method": "cem", "path.horizon": 50}),
    "game": (
        "ALE/Breakout-v5",
        {"steps_per_iteration": 60, "path.horizon": 30, "path.whole": True, "advantage": "centred", "slots": 4},
    ),
}


def nothing_of_ray_is_left() -> None:
    deadline = time.monotonic() + 30
    while left := [words for words in map(command, psutil.Process().children(recursive=True)) if of_ray(words)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)


def of_ray(words: list[str]) -> bool:
    """Whether a program of Ray's own runs; a path of Ray's within the code of `python -c` does not count."""
    return any(re.match("ray::|/.*/ray/", word) and "\n" not in word and ";" not in word for word in words)


def command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:  # it ended meanwhile
        return []


@pytest.fixture(scope="module")
def pool() -> Iterator[RayPool]:
    """A pool that starts a Ray; pools that are made meanwhile find it."""
    pool = RayPool(TWO)
    try:
        pool.map(units.square, [(1,)])
    except ExecutorError as error:
        if "timed out during startup" not in str(error):
            raise
        pytest.skip(f"Ray gives its own parts too little time to start on a machine as busy as this one: {error}")
    yield pool
    pool.close()
    assert not pool._ray.is_initialized()
    nothing_of_ray_is_left()


@pytest.fixture
def others(pool: RayPool) -> Iterator[Callable[..., RayPool]]:
    """Makes further pools, which are closed in the end. The first one's workers leave them room."""
    made: list[RayPool] = []
    pool._drop([*pool._actors, *pool._coming.values()])

    def make(**given: Any) -> RayPool:
        made.append(RayPool(Execution(**{"executor": "ray", **given}), told.append))
        made[-1].told = told
        return made[-1]

    told: list[str] = []
    yield make
    for one in made:
        one.close()


def trained(task: Any, **settings: Any) -> Session:
    session = Session(task, **{"out": None, "seed": 3, "iterations": 2, "threads": 1, **settings})
    return session.run()


def same(one: Session, other: Session) -> bool:
    """Every number that is not a time, and θ, bit for bit; files say besides in which part of a run a row was made."""
    told = [
        [
            {
                name: row[name]
                for name in sorted(row)
                if name not in ("changed", "segment") and not name.startswith("seconds")
            }
            for row in run.history
        ]
        for run in (one, other)
    ]
    return repr(told[0]) == repr(told[1]) and torch.equal(one.policy.theta, other.policy.theta)


def test_a_ray_that_fails_to_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comes first: once this process has a Ray, none is started."""

    def late(*given: Any, **named: Any) -> Any:
        raise TimeoutError("late")

    monkeypatch.setattr("ray._private.services.get_node", late)
    code = f"import time; where = {sys.modules['ray'].__path__[0]!r}; time.sleep(600)"  # as multiprocessing's are
    bystander = subprocess.Popen([sys.executable, "-c", code])
    pool = RayPool(TWO)
    with pytest.raises(ExecutorError, match=r"no Ray answers there .TimeoutError: late"):
        pool.map(units.square, [(1,)])
    nothing_of_ray_is_left()
    pool.close()
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()


def test_results_come_in_the_order_of_the_units_and_are_the_callers_own(pool: RayPool) -> None:
    assert pool.map(units.square, [(number,) for number in range(9)]) == [number**2 for number in range(9)]
    assert len(set(pool.map(units.pid, [()] * 6))) == 2
    assert pool.map(units.square, []) == []
    for number, found in enumerate(pool.map(units.large, [(number,) for number in range(3)])):
        np.testing.assert_array_equal(found["strided"], (np.arange(300_000) + number)[::2])
        found["large"] += 1


def test_what_a_unit_raises_comes_with_its_traceback(pool: RayPool) -> None:
    with pytest.raises(UnitFailed, match=r"KeyError.*number 7") as failed:
        pool.map(units.raises, [(7,)])
    assert "in raises" in str(failed.value)
    assert pool.map(units.square, [(3,)]) == [9]


def test_a_stop_ends_units_that_are_under_way(pool: RayPool) -> None:
    began = time.monotonic()
    with pytest.raises(Interrupted):
        pool.map(units.waits, [(), ()], lambda: time.monotonic() - began > 0.5)
    assert pool.map(units.square, [(3,)]) == [9]


def test_a_death_costs_one_more_run_and_a_second_one_the_batch(pool: RayPool, tmp_path: Path) -> None:
    pool.events.clear()
    assert pool.map(units.dies, [(number, str(tmp_path / "once"), 1) for number in (4,)]) == [4]
    assert [event["event"] for event in pool.events] == ["worker_restarted"]
    with pytest.raises(WorkerLost, match="two workers were lost"):
        pool.map(units.dies, [(4, str(tmp_path / "twice"), 2)])
    assert pool.map(units.square, [(3,)]) == [9], "and the pool goes on"


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_the_same_bit_for_bit(name: str, others: Any) -> None:
    task, settings = RUNS[name]
    if name == "game":
        pytest.importorskip("ale_py", reason='needs Atari: pip install "trpolab[atari]"')
    alone = trained(task, **settings)
    assert same(trained(task, executor="ray", workers=2 if name == "vine" else 1, **settings), alone)


def test_one_worker_is_as_good_as_two_and_a_death_in_every_iteration_changes_nothing(
    others: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, settings = RUNS["Hopper"]
    alone = trained(task, iterations=4, **settings)
    dying = functools.partial(units.dies_before_it_answers, str(tmp_path / "dead"), False)
    monkeypatch.setattr("trpolab.sampling.workers.simulator_pool._run_unit", dying)
    (tmp_path / "dead").touch()
    session = Session(task, out=None, seed=3, iterations=4, threads=1, executor="ray", workers=1, **settings)
    for done in session.iterate():
        (tmp_path / "dead").unlink(missing_ok=done.index == 1)
    assert same(session, alone)
    assert sum(event["event"] == "worker_restarted" for event in session.events) == 3


def test_a_run_goes_on_with_other_workers(others: Any, tmp_path: Path) -> None:
    task, settings = RUNS["Hopper"]
    alone = trained(task, iterations=3, **settings)
    first = trained(task, out=tmp_path, executor="ray", workers=1, **settings)
    assert same(Session(resume=first.path, iterations=3, executor="local", workers=None).run(), alone)


def test_more_workers_than_there_are_cores_are_waited_for_until_a_stop(others: Any) -> None:
    pool, began = others(workers=3), time.monotonic()
    with pytest.raises(Interrupted):
        pool.map(units.square, [(1,)], lambda: any("waiting for 1 of 3 workers" in said for said in pool.told))
    assert time.monotonic() - began < 100
    assert others(workers=2).map(units.square, [(3,)]) == [9]


def test_a_worker_of_another_version_is_refused_with_what_differs(others: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trpolab.sampling.workers.ray_pool.installed_versions", lambda: {"mujoco": "2.1"})
    with pytest.raises(ExecutorError, match=r"mujoco \S+ there, 2.1 here.*allow_version_mismatch"):
        others(workers=1).map(units.square, [(3,)])
    willing = others(workers=1, allow_version_mismatch=True)
    assert willing.map(units.square, [(3,)]) == [9]
    assert "mujoco" in willing.events[0]["message"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"executor": "spark"}, "must be local, ray, HOST:PORT or ray://HOST:PORT"),
        ({"workers": 2}, "workers = 2: local sampling uses `threads`"),
        ({"executor": "ray", "workers": 0}, "workers = 0: must be >= 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused_before_anything_runs(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence.replace("(", r"\(")):
        Session("CartPole-v1", out=None, **given)


def test_without_ray_the_line_that_installs_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trpolab.sampling.workers.execution.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "trpolab\[ray\]"'):
        Session("CartPole-v1", out=None, executor="ray")


def test_episodes_that_can_not_be_restored_can_not_go_on_elsewhere() -> None:
    class Forgetful(gymnasium.wrappers.TransformReward):
        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("no copies")

    with pytest.raises(ConfigError, match="must be restored exactly"):
        Session(lambda: Forgetful(gymnasium.make("CartPole-v1"), lambda reward: reward), out=None, executor="ray")


def test_an_address_where_nothing_answers_is_told_soon(tmp_path: Path) -> None:
    """In a process of its own: this one has a Ray, which it would take."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.monotonic()
    asked = [*("train", "CartPole-v1", "--executor", f"127.0.0.1:{port}"), *("--out", str(tmp_path))]
    done = subprocess.run([sys.executable, "-m", "trpolab", *asked], capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert f"executor = '127.0.0.1:{port}': no Ray answers there" in done.stderr
    assert time.monotonic() - began < 120

"""The same numbers whatever happens around a run: threads, other generators, knobs turned from other threads."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

from tests.reliability.runs import RUNS, session, whole
from trpolab.runs.reader import read_status
from trpolab.selftest.expect import expect_same, fingerprint
from trpolab.selftest.runs import repeats_itself
from trpolab.training.controls import Controls
from trpolab.training.session import Session

# Seeds, threads, other people's generators


@pytest.mark.reliability("R24")
@pytest.mark.parametrize("name", ["cart-pole", "Hopper", "vine", "tabular vine", "Gymnasium", "CMA-ES"])
def test_the_same_seed_with_other_threads(name: str, tmp_path: Path) -> None:
    repeats_itself(tmp_path, RUNS[name], threads=3)


def ignores_the_global_generators() -> None:
    """R25: user code reseeds them between iterations, and draws in between."""
    reference = session(iterations=3).run()
    run = session(iterations=3)
    for _ in run.iterate():
        np.random.seed(0)  # noqa: NPY002
        torch.manual_seed(0)
        np.random.random(3)  # noqa: NPY002
    expect_same(run, reference)


@pytest.mark.reliability("R25")
def test_user_code_that_reseeds_the_global_generators_changes_nothing() -> None:
    ignores_the_global_generators()


@pytest.mark.reliability("R25")
def test_an_environment_that_reseeds_the_global_generators_changes_nothing() -> None:
    class Meddling(gymnasium.Wrapper):
        def step(self, action: Any) -> Any:
            np.random.seed(7)  # noqa: NPY002
            torch.manual_seed(7)
            return self.env.step(action)

    settings = {**RUNS["Gymnasium"], "out": None, "iterations": 2}
    plain = Session(lambda: gymnasium.make("Acrobot-v1"), **{k: v for k, v in settings.items() if k != "task"}).run()
    meddling = {k: v for k, v in settings.items() if k != "task"}
    assert fingerprint(Session(lambda: Meddling(gymnasium.make("Acrobot-v1")), **meddling).run()) == fingerprint(plain)


# Knobs


class NoTorch(TorchFunctionMode):
    """Any torch call in this thread is an error."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise AssertionError(f"{func} was called in the thread that turns the knobs")


def one_configuration_an_iteration(tmp_path: Path, changes: int = 1000) -> None:
    """R9: two threads turn δ and damping together, a thousand times and more; no iteration may see a mixture."""
    run = session(out=tmp_path, iterations=10**6, delta=0.0625, damping=0.125)
    failures: list[BaseException] = []
    requested: list[float] = []
    used: list[tuple[float, float]] = []

    def turn(seed: int) -> None:
        rng = np.random.default_rng(seed)
        try:
            with NoTorch():
                for count in range(100 * changes):
                    if count >= changes // 2 and len(used) > 8:  # slow machines: changes and iterations must meet
                        break
                    delta = 2.0 ** -float(rng.integers(4, 30))
                    config = run.controls.replace(delta=delta, damping=2 * delta)
                    requested.append(config.trust.delta)
                    assert config.trust.damping == 2 * config.trust.delta
                    assert all(new != old for new, old in run.controls.pending.values())
                    threading.Event().wait(0.001)
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    threads = [threading.Thread(target=turn, args=(seed,)) for seed in range(2)]
    loop = run.iterate()
    for iteration in loop:
        if iteration.index == 1:
            for thread in threads:
                thread.start()
        used.append((iteration.config.trust.delta, iteration.config.trust.damping))
        assert iteration.metrics["delta"] == iteration.config.trust.delta
        if not any(thread.is_alive() for thread in threads):
            break
    loop.close()
    assert failures == []
    assert len(requested) >= changes
    assert all(damping == 2 * delta for delta, damping in used)
    assert {delta for delta, _ in used[1:]} <= {0.0625, *requested}
    now: dict[str, Any] = {"delta": 0.0625, "damping": 0.125}
    for row, (delta, damping) in zip(run.history, used, strict=True):  # the log alone tells every configuration
        now |= row.get("changed", {})
        assert (now["delta"], now["damping"]) == (delta, damping)
    applied = [event for event in run.events if event["event"] == "settings_applied"]
    assert [event["iteration"] for event in applied] == [r["iteration"] for r in run.history if "changed" in r]
    assert len(applied) > 3


@pytest.mark.reliability("R9")
def test_a_thousand_changes_from_other_threads(tmp_path: Path) -> None:
    one_configuration_an_iteration(tmp_path)


@pytest.mark.reliability("R9")
def test_a_change_that_is_refused_changes_nothing() -> None:
    controls: Controls = session().controls
    before = controls.requested
    with pytest.raises(ValueError, match="delta"):
        controls.replace(gamma=0.5, delta=-1.0)
    assert controls.requested is before and controls.pending == {}


# Environments that raise


class OnFire(gymnasium.Wrapper):
    """Raises once it has taken `left` steps more."""

    left = 10**9

    def __init__(self) -> None:
        super().__init__(gymnasium.make("Acrobot-v1"))

    def step(self, action: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("the motor is on fire")
        return self.env.step(action)


def tells_of_an_environment_that_raises(tmp_path: Path) -> None:
    """R22: its traceback, its slot, a whole checkpoint, and a run that can be gone on with."""
    settings = {k: v for k, v in RUNS["Gymnasium"].items() if k != "task"}
    made: list[OnFire] = []

    def make() -> gymnasium.Env:
        made.append(OnFire())
        return made[-1]

    reference = Session(lambda: gymnasium.make("Acrobot-v1"), out=None, iterations=5, **settings).run()
    run = Session(make, out=tmp_path, iterations=5, **settings)
    loop = run.iterate()
    next(loop)
    made[-2].left = 64 + 10  # slot 2 of four
    with pytest.raises(RuntimeError, match="the motor is on fire") as raised:
        list(loop)
    assert any(entry.name == "step" for entry in raised.traceback if "test_steady" in str(entry.path))
    assert "slot 2" in " ".join(getattr(raised.value, "__notes__", ()))
    assert run.state == "stopped" and run.path is not None
    status = read_status(run.path)
    assert status.state == "stopped" and "the motor is on fire" in status.message
    assert whole(run.path).iteration == 2
    again = Session(lambda: gymnasium.make("Acrobot-v1"), resume=run.path, changed_environment=True).run()
    expect_same(again, reference)


@pytest.mark.reliability("R22")
def test_an_environment_that_raises(tmp_path: Path) -> None:
    tells_of_an_environment_that_raises(tmp_path)

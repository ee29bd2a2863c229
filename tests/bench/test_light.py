"""The speed-of-light share against sums done by hand, and the replay that it rests on against a planted error."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from trpolab.bench.light import CAUSES, Spent, iterations, least
from trpolab.bench.physics import recorded, replay
from trpolab.sampling.streams import Streams
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.simulators import find_task
from trpolab.training.config import resolve


def test_what_is_missing_to_the_limit_is_split_by_cause() -> None:
    spent = Spent(total=10, sampling=7, update=1.5, value=1, physics=5, policy=0.5, idle=0.25, least=(0.25, 0.5, 0.25))
    assert spent.share == pytest.approx(0.6)
    assert list(spent.gap) == list(CAUSES)
    assert list(spent.gap.values()) == pytest.approx([0.025, 0.125, 0.025, 0.1, 0.075, 0.05])


def test_an_iteration_is_its_share_of_the_limit_and_its_gaps() -> None:
    (spent,) = iterations("Swimmer-v5", steps=512, warm_up=1, measured=1)
    assert spent.share + sum(spent.gap.values()) == pytest.approx(1)
    assert spent.total >= spent.sampling + spent.update + spent.value and min(spent.physics, *spent.least) > 0


def test_the_least_counts_the_operations_of_each_part() -> None:
    config = resolve(find_task("Hopper-v5"), overrides={"fisher_fraction": 0.5, "cg_iterations": 4})
    network = SimpleNamespace(network=SimpleNamespace(size=100))
    before = SimpleNamespace(policy=network, value=network)
    done = SimpleNamespace(config=config, before=before, metrics={"batch_steps": 10})
    forward = 2 * 10 * 100
    gradient, line_search, product = 3, 2, 4 * 0.5
    # two steps: activations and ten products on a quarter of the rows; three evaluations, two of them with a gradient
    value = 2 * (1 + 10 * 4) * 0.25 + 2 * 3 + 1
    flops = (forward, (gradient + 4 * product + line_search) * forward, value * forward)
    assert least(done, 1e9) == pytest.approx([count / 1e9 for count in flops])  # type: ignore[arg-type]


def test_a_replay_that_ends_elsewhere_is_an_error() -> None:
    pool = SimulatorPool("Swimmer-v5", 4, 1)
    with recorded(pool) as tapes:
        for tape in tapes:
            tape.reset(None, Streams(0).seeds(tape.width, 0, 0))  # type: ignore[arg-type]
            tape.step(None, np.full((tape.width, 2), 0.5, np.float32))
    assert pool.simulators == tuple(tape.simulator for tape in tapes)
    replay(tapes, 1)
    tapes[0].events[-1][2][0] = -0.5
    with pytest.raises(AssertionError, match="last states differ"):
        replay(tapes, 1)
    pool.close()

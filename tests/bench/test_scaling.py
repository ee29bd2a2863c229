"""The simulated iteration against sums that can be done by hand, and the meter against a batch of this machine."""

from __future__ import annotations

import numpy as np
import pytest

from trpolab.bench.scaling import A_MACHINE, Call, Metered, Unit
from trpolab.sampling.play import never
from trpolab.training.samplers import Samplers
from trpolab.training.session import Session

RATE = 100.0  # bytes a second


@pytest.mark.parametrize(("cores", "seconds"), [(1, 4.0), (2, 2.0), (3, 2.0), (4, 1.0), (1000, 1.0)])
def test_units_without_bytes_are_only_divided(cores: int, seconds: float) -> None:
    assert Call([Unit(1.0, 0, 0)] * 4).seconds(cores, RATE) == pytest.approx(seconds)


def test_bytes_pass_one_link_each_way() -> None:
    assert Call([Unit(1.0, 200, 300)]).seconds(1, RATE) == pytest.approx(2 + 1 + 3)
    # both answers are there after 1 s, and come one after the other
    assert Call([Unit(1.0, 0, 300)] * 2).seconds(2, RATE) == pytest.approx(1 + 3 + 3)
    # the second is sent after the first
    assert Call([Unit(1.0, 200, 0)] * 2).seconds(2, RATE) == pytest.approx(2 + 2 + 1)


def test_what_units_share_goes_to_each_machine_once() -> None:
    units = [Unit(1.0, 0, 0)] * 100
    one, two = (Call(units, shared=500).seconds(cores, RATE) for cores in (A_MACHINE, A_MACHINE + 1))
    assert one == pytest.approx(5 + np.ceil(100 / A_MACHINE)) and two == pytest.approx(10 + np.ceil(100 / 17))


def test_the_meter_plays_what_this_machine_plays() -> None:
    session, meter = Session("CartPole-v1", out=None, seed=0), Metered()
    batches = []
    for executor in (None, meter):
        samplers = Samplers(session.source, session.task, 4, 1, session.streams, executor)
        settings = session.config.replace(sampler="vine", **{"vine.tail_value": False})
        batches.append(samplers.collect(session.learner, settings, 1, never).batch)
        samplers.close()
    np.testing.assert_array_equal(*(batch.q_values for batch in batches))
    assert len(meter.calls) == 2  # trunks, then branches
    assert all(unit.seconds > 0 and unit.received > 0 for call in meter.calls for unit in call.units)
    assert meter.calls[0].shared > session.learner.policy.size * 4  # θ, in float32

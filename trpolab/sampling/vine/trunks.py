"""The trunks of a vine: paths from s_0 under π_old, and snapshots of the states that branches will start from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from trpolab.policies import Policy
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.trajectories import Interrupt, Ongoing, Trajectories, advance, join
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.simulators.base import Simulator, Snapshot


@dataclass(frozen=True)
class RolloutSet:
    """The N states that branches start from, in the order of trunks and steps."""

    snapshot: Snapshot  # N rows
    obs: np.ndarray  # [N, *O] float32, or bytes
    trunk: np.ndarray  # [N] which trunk
    step: np.ndarray  # [N] how many-th step of the trunk
    t: np.ndarray  # [N] time step within the episode

    def __len__(self) -> int:
        return len(self.t)


def choose_states(
    streams: Streams, iteration: int, trunks: int, length: int, states: int, how: str = "uniform"
) -> np.ndarray:
    """`states` of the trunks · length visited ones without replacement: [N] sorted, trunk · length + step.

    "uniform": every set of N is equally likely. "stratified": the trunks, laid end to end, are cut into N stretches of
    equal length (up to one step), and each gives one state, so that no part of a trunk is left out.
    They are known before the trunks are run: a trunk that ends is started anew, so every one of its steps visits a
    state, whichever that will be.
    """
    generator = streams.generator(iteration, Purpose.VINE_STATES)
    if how == "stratified":
        ends = np.arange(states + 1) * (trunks * length) // states
        return generator.integers(ends[:-1], ends[1:])
    return np.sort(generator.choice(trunks * length, states, replace=False))


def run_trunks(
    pool: SimulatorPool,
    policy: Policy,
    length: int,
    chosen: np.ndarray,
    streams: Streams,
    iteration: int,
    interrupt: Interrupt,
) -> tuple[Trajectories, RolloutSet | None]:
    """`length` steps in every slot of the pool, from fresh episodes; a trunk that falls is started anew.

    Returns all trunk states, and snapshots of the chosen ones (None where none was chosen).
    """

    unit = partial(_run_block, policy=policy, length=length, chosen=chosen, streams=streams, iteration=iteration)
    results = pool.map(unit, pool.first_slots, interrupt=interrupt)
    trajectories = join([piece for piece, _ in results])
    visits = [visit for _, found in results for visit in found]
    return trajectories, _rollout_set(visits) if visits else None


def _run_block(
    simulator: Simulator,
    first: int,
    *,
    policy: Policy,
    length: int,
    chosen: np.ndarray,
    streams: Streams,
    iteration: int,
    interrupt: Interrupt,
) -> tuple[Trajectories, list[_Visit]]:
    """Work unit: the trunks of one block."""
    seeds = streams.seeds(simulator.width, iteration, Purpose.VINE_START, first)
    zeros = np.zeros(simulator.width, np.int64)
    fresh = Ongoing(simulator.reset(None, seeds).copy(), zeros, np.zeros(simulator.width), zeros.copy())
    noise = streams.generator(iteration, Purpose.ACTION, first)
    resets = streams.generator(iteration, Purpose.RESET, first)
    collector = _Collector(simulator, first, length, chosen)
    piece, _ = advance(simulator, fresh, policy, length, noise, resets, first, interrupt, collector.visit)
    return piece, collector.visits


@dataclass(frozen=True)
class _Visit:
    """Chosen states of one block at one step."""

    snapshot: Snapshot
    obs: np.ndarray
    trunk: np.ndarray
    step: np.ndarray
    t: np.ndarray


class _Collector:
    """Takes snapshots of one block's chosen states while its trunks run."""

    def __init__(self, simulator: Simulator, first: int, length: int, chosen: np.ndarray):
        trunk, step = np.divmod(chosen, length)
        mine = (trunk >= first) & (trunk < first + simulator.width)
        self._simulator, self._first = simulator, first
        self._slots: dict[int, list[int]] = {}
        for slot, at in zip(trunk[mine] - first, step[mine], strict=True):
            self._slots.setdefault(int(at), []).append(int(slot))
        self.visits: list[_Visit] = []

    def visit(self, step: int, obs: np.ndarray, t: np.ndarray) -> None:
        """Called before every step with the block's observations [G, *O] and episode times [G]."""
        if (found := self._slots.get(step)) is None:
            return
        slots = np.array(sorted(found))
        at = np.full(len(slots), step)
        self.visits.append(
            _Visit(self._simulator.snapshot(slots), obs[slots].copy(), self._first + slots, at, t[slots].copy())
        )


def _rollout_set(visits: list[_Visit]) -> RolloutSet:
    def stack(name: str) -> np.ndarray:
        return np.concatenate([getattr(visit, name) for visit in visits])

    trunk, step = stack("trunk"), stack("step")
    order = np.lexsort((step, trunk))
    snapshot = Snapshot.concatenate([visit.snapshot for visit in visits]).take(order)
    return RolloutSet(snapshot, stack("obs")[order], trunk[order], step[order], stack("t")[order])

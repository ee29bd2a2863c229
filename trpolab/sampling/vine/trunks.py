"""The trunks of a vine: paths from s_0 under π_old, and snapshots of the states that branches will start from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from trpolab.policies import Policy
from trpolab.sampling.observations import end_to_end, kept_dtype
from trpolab.sampling.play import Interrupt, Play
from trpolab.sampling.streams import Purpose, Streams
from trpolab.sampling.trajectories import Trajectories, advance, begin, join
from trpolab.sampling.workers.simulator_pool import SimulatorPool
from trpolab.simulators.base import Simulator, Snapshot


@dataclass(frozen=True)
class RolloutSet:
    """The N states that branches start from, in the order of trunks and steps."""

    snapshot: Snapshot  # N rows
    obs: np.ndarray  # [N, *O] float64, or bytes
    trunk: np.ndarray  # [N] which trunk
    step: np.ndarray  # [N] how many-th step of the trunk
    t: np.ndarray  # [N] time step within the episode
    weight: np.ndarray  # [N] 1; below for states that were likelier to be chosen, above for others

    def __len__(self) -> int:
        return len(self.t)

    def take(self, rows: np.ndarray) -> RolloutSet:
        """Some of the states."""
        arrays = (self.obs, self.trunk, self.step, self.t, self.weight)
        return RolloutSet(self.snapshot.take(rows), *(array[rows] for array in arrays))

    @staticmethod
    def join(parts: list[RolloutSet]) -> RolloutSet:
        """All states, in the order of trunks and steps."""
        arrays = end_to_end(parts, "obs", "trunk", "step", "t", "weight")
        order = np.lexsort((arrays["step"], arrays["trunk"]))
        return RolloutSet(Snapshot.concatenate([part.snapshot for part in parts]), **arrays).take(order)


def choose_states(
    streams: Streams, iteration: int, trunks: int, length: int, states: int, how: str = "uniform"
) -> np.ndarray:
    """`states` of the trunks · length visited ones without replacement: [N] sorted, trunk · length + step.

    "uniform": every set of N is equally likely. "stratified": the trunks, laid end to end, are cut into N stretches of
    equal length (up to one step), and each gives one state, so that no part of a trunk is left out.
    They can be chosen before the trunks are run: a trunk goes on with a new episode where one ends, so each of its
    steps visits a state.
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
    """`length` steps in every slot of the pool, from fresh episodes; where one ends, the trunk goes on with another.

    Returns all trunk states, and snapshots of the chosen ones (None where none was chosen).
    """
    unit = partial(_run_block, policy=policy, length=length, chosen=chosen, streams=streams, iteration=iteration)
    results = pool.map(unit, pool.first_slots, interrupt=interrupt)
    found = [states for _, visited in results for states in visited]
    return join([piece for piece, _ in results]), RolloutSet.join(found) if found else None


def _run_block(
    simulator: Simulator,
    first_slot: int,
    *,
    policy: Policy,
    length: int,
    chosen: np.ndarray,
    streams: Streams,
    iteration: int,
    interrupt: Interrupt,
) -> tuple[Trajectories, list[RolloutSet]]:
    """Work unit: the trunks of one block, and those of the chosen states that they visit, step after step."""
    width = simulator.width
    trunk, step = np.divmod(chosen, length)
    mine = (trunk >= first_slot) & (trunk < first_slot + width)
    trunk, step, found = trunk[mine], step[mine], []
    steps = set(step.tolist())

    def visit(play: Play) -> None:
        """Before every step of the trunks."""
        if play.clock in steps:
            here = step == play.clock
            slots = trunk[here] - first_slot
            obs = play.obs[slots].astype(kept_dtype(policy))
            rows = (trunk[here], step[here], play.ages[slots], np.ones(len(slots)))
            found.append(RolloutSet(simulator.snapshot(slots), obs, *rows))

    seeds = streams.seeds(width, iteration, Purpose.VINE_START, first_slot)
    piece, _ = advance(
        simulator,
        begin(simulator, seeds, first_slot, slots=width),
        first_slot,
        policy=policy,
        steps=length,
        streams=streams,
        iteration=iteration,
        interrupt=interrupt,
        visit=visit,
    )
    return piece, found

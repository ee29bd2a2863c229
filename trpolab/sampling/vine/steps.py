"""All that branches did, kept as trajectories, where steps are samples by themselves."""

from __future__ import annotations

from typing import Any

from trpolab.policies import Policy
from trpolab.sampling.play import Play, PlayedStep
from trpolab.sampling.trajectories import Trajectories
from trpolab.sampling.whole_paths import PathLog, lay_out
from trpolab.simulators.base import Simulator


class LoggedPlay(Play):
    """A loop that keeps what the episodes did."""

    def __init__(self, simulator: Simulator, *given: Any, policy: Policy, **named: Any):
        super().__init__(simulator, *given, **named)
        self._policy, self._log = policy, PathLog(policy, simulator)

    def step(self) -> PlayedStep:
        """As `Play.step`."""
        first = self._log.observed.see(self.obs, self.fresh)
        done = super().step()
        self._log.add(first, done, self)
        return done

    def trajectories(self) -> Trajectories:
        """A piece an episode, in the order of their names."""
        return lay_out(self._log, self._policy, self)

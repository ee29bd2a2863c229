"""The state of a run between two iterations: everything that the next one depends on."""

from __future__ import annotations

import copy
from collections import deque
from dataclasses import dataclass, field, replace

from trpolab.numerics.device import CPU
from trpolab.policies import Learner
from trpolab.sampling.running_episodes import RunningEpisodes
from trpolab.training.config import Config, varies
from trpolab.training.progress import share_done

SCORE_WINDOW = 100  # episodes over which `load_policy(which="best")` ranks policies


@dataclass
class Progress:
    """What the loop carries from one iteration to the next."""

    learner: Learner
    iteration: int = 0
    sim_steps: int = 0
    batch_steps: int = 0  # simulator steps of the last iteration
    nonfinite_in_a_row: int = 0
    recent_returns: deque[float] = field(default_factory=lambda: deque(maxlen=SCORE_WINDOW))

    @property
    def score(self) -> float | None:
        """Mean of the recent returns; None where no episode has ended yet."""
        return sum(self.recent_returns) / len(self.recent_returns) if self.recent_returns else None

    def over(self, config: Config) -> bool:
        """Whether the run has done its iterations, or the next one would not fit into its simulator steps.

        The next one is taken to need as many as the last one; half as many again where they are not fixed: while a
        policy learns, episodes grow.
        """
        next_steps = (1.5 if varies(config) else 1) * self.batch_steps
        spent = config.steps is not None and self.iteration > 0 and self.sim_steps + next_steps > config.steps
        return spent or self.iteration >= config.iterations

    def share(self, config: Config) -> float:
        """Which share of the run is done before its next iteration: below 1, however few steps it has."""
        return min(share_done(self.iteration, self.sim_steps, config.iterations, config.steps), 1 - 1e-3)

    def told(self, config: Config) -> str:
        """How far it is, in words."""
        if config.steps is not None:
            return f"{self.sim_steps:,} of {config.steps:,} simulator steps"
        return f"{self.iteration} of {config.iterations} iterations"

    def copy(self) -> Progress:
        """A copy that stays as it is when the loop goes on."""
        return replace(self, recent_returns=copy.copy(self.recent_returns))


@dataclass(frozen=True)
class TrainState:
    """The state after a whole iteration; it stays as it is during the next one."""

    config: Config  # that the iteration used; before the first one, that it is to use
    progress: Progress
    episodes: RunningEpisodes = field(default_factory=RunningEpisodes)
    device: str = CPU  # that the update ran on, by its name

"""One line about a recording."""

from __future__ import annotations

from trpolab.lab.pictures.rollout import AnyRollout, ScreenRollout


def caption(rollout: AnyRollout) -> str:
    """How actions were chosen, the return (of a game the score), and how long it took in the task's own time."""
    total, length = f"{rollout.total:,.0f}".replace("-", "−"), f"{rollout.seconds:.3g} s"
    if isinstance(rollout, ScreenRollout) and rollout.aspect is not None:
        ended = f"score {total}, game over after {length}" if rollout.terminated else f"score {total} after {length}"
        return f"sampled actions · {ended}"
    return f"mean action · return {total} · {length}"

"""Settings of the Atari games: what a policy sees, what it may do, and what it is paid."""

from __future__ import annotations

from dataclasses import dataclass

from trpolab.settings import setting


@dataclass(frozen=True)
class Atari:
    """How `ALE/...` tasks are shown and played; other tasks don't read it."""

    pixels: str = setting(
        "paper",
        "what is seen of the last four frames: a quarter of the screen's size (the paper), or 84 x 84 with the maximum "
        "of two frames (Mnih et al. 2015)",
        choices=("paper", "dqn"),
        source="Section 8.2",
        live=False,
    )
    frame_skip: int | None = setting(
        None, "frames that an action lasts (none: 4, and 3 in Space Invaders)", low=1, high=60, live=False
    )
    actions: str = setting(
        "auto",
        "all 18 positions of the joystick, or the game's own minimal set (auto: full with paper pixels, else minimal)",
        choices=("auto", "full", "minimal"),
        live=False,
    )
    factored: bool | None = setting(
        None,
        "the 18 actions as a tuple of 3 x 3 x 2 (Appendix D); none: with paper pixels, where all 18 are there",
        source="App. D",
        live=False,
    )
    clip_rewards: bool = setting(
        False, "learn from the sign of each reward (Mnih et al. 2013); scores are always the game's own"
    )
    sticky: float = setting(
        0.0,
        "probability with which the console repeats its last action, frame by frame",
        low=0,
        high=1,
        open_high=True,
        live=False,
    )

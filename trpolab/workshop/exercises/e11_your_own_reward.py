"""A reward and an ending for the ferry, tried on six ways to behave."""

from __future__ import annotations

import numpy as np

from trpolab.workshop.attempt import Attempt
from trpolab.workshop.checks import Properties
from trpolab.workshop.compare import near
from trpolab.workshop.ferry import LONGEST

FAR, NEAR = 1.9, 0.1
Course = list[tuple[float, float, bool, bool]]  # before, after, landed, lost of each step


def course(distances: np.ndarray, landed: bool = False, lost: bool = False) -> Course:
    """The steps of a way from distance to distance; the last one lands or is lost."""
    steps = list(zip(distances[:-1].tolist(), distances[1:].tolist(), strict=True))
    last = len(steps) - 1
    return [(a, b, landed and k == last, lost and k == last) for k, (a, b) in enumerate(steps)]


APPROACH = np.linspace(FAR, 0.2, 18)
COURSES: dict[str, Course] = {
    "land at once": course(np.linspace(FAR, NEAR, 19), landed=True),
    "land late": course(np.linspace(FAR, NEAR, 181), landed=True),
    "wait beside the stage": course(np.append(APPROACH, np.full(LONGEST + 1 - len(APPROACH), 0.2))),
    "go to and fro": course(np.append(np.tile([1.0, 0.8], LONGEST // 2), 1.0)),
    "stay and idle": course(np.full(LONGEST + 1, FAR)),
    "leave the river": course(np.linspace(FAR, 2.7, 17), lost=True),
}


def reward(attempt: Attempt) -> Properties:
    """Seven things that a sound reward of the ferry has."""
    known: dict[tuple[float, float, bool, bool], float] = {}

    def paid(*step: float) -> float:
        before, after, landed, lost = step
        key = (before, after, bool(landed), bool(lost))
        if key not in known:
            known[key] = attempt(*key, like=0.0)
        return known[key]

    def more(better: str, worse: str, why: str) -> str:
        return "" if sums[better] > sums[worse] else f"{worse}: {sums[worse]:.1f}, {better}: {sums[better]:.1f}; {why}"

    nearer, further = paid(1.0, 0.9, False, False), paid(1.0, 1.1, False, False)
    sums = {name: sum(paid(*step) for step in steps) for name, steps in COURSES.items()}
    late, idle, fro = sums["land late"], sums["stay and idle"], sums["go to and fro"]
    dumb = "both pay the same: until it has landed once, nothing tells it where the stage is"
    praised = "a step away pays more than a step nearer"
    yield "a step nearer pays more than a step away", "" if nearer > further else dumb if nearer == further else praised
    yield "landing earns more than idling", more("land at once", "stay and idle", "it will never set out")
    yield "landing earns more than leaving the river", more("land at once", "leave the river", "it will flee")
    flees = f"leave the river: {sums['leave the river']:.1f}, stay and idle: {idle:.1f}; it flees before it ever lands"
    yield "leaving earns no more than idling", "" if sums["leave the river"] <= idle + 1e-9 else flees
    circles = f"100 times to and fro earns {fro:.1f}: it will do that for ever"
    yield "going to and fro earns nothing", "" if fro <= 0.5 * abs(nearer - further) else circles
    waits = more("land at once", "wait beside the stage", "it will stop just before the end")
    yield "landing earns more than waiting beside the stage", waits
    slow = f"at once: {sums['land at once']:.1f}, late: {late:.1f}; it will dawdle"
    yield "an early landing earns no less than a late one", "" if sums["land at once"] >= late - 1e-9 else slow


def ending(attempt: Attempt) -> Properties:
    """(terminated, truncated) of moments on the way."""
    moments = {
        "on the way": (1.0, 0.5, False, 20),
        "landed": (0.1, 0.1, False, 20),
        "lost": (1.6, 0.9, True, 20),
        "too fast beside the stage": (0.1, 0.6, False, 20),
        "slow, but far": (1.0, 0.1, False, 20),
        "one step before time is up": (1.0, 0.5, False, LONGEST - 1),
        "time is up": (1.0, 0.5, False, LONGEST),
        "landed in the last step": (0.1, 0.1, False, LONGEST),
    }
    right = {"landed": (1, 0), "lost": (1, 0), "time is up": (0, 1), "landed in the last step": (1, 1)}
    words = {(0, 0): "neither", (1, 0): "terminated", (0, 1): "truncated", (1, 1): "both"}
    for name, moment in moments.items():
        found = attempt(*moment, like=np.zeros(2))
        said = words.get((int(found[0]), int(found[1])), "no pair of truth values")
        yield name, "" if not near(found, np.array(right.get(name, (0, 0)))) else f"you say {said}"

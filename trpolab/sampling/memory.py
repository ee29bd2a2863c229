"""How much memory a batch takes, estimated before anything is sampled."""

from __future__ import annotations

import math

from trpolab.machine import usable_cores, usable_memory
from trpolab.simulators.base import Task

MOST = 0.6  # of the memory that there is
GIB = 2**30
PROCESS = 0.35 * GIB  # torch, an emulator and a network's activations, in each process (measured: 0.3)
COPIES = 3  # of each frame while a batch travels: the worker's (with room to grow), what arrives, the joined batch's
UPDATE = 1.2 * GIB  # activations that the Fisher products keep
OTHERS = 200  # bytes a step besides its frame: action, reward, distribution, indices


def memory_problems(task: Task, steps: int, named: str, threads: int | None, pixels: bool) -> list[str]:
    """Why a batch that keeps so many steps is refused on this machine, with the numbers; nothing where it fits.

    `named` are the settings that ask for it, with their values; `pixels`: observations are kept as bytes.
    """
    available, processes = usable_memory(), (threads or usable_cores()) if task.runs_in_processes else 0
    shape = task.observation_space.shape or ()
    frame = math.prod(shape[1:] if task.sees_pixels else shape)  # of stacks of frames each is kept once
    kept = steps * (frame * (1 if pixels else 4) * COPIES + OTHERS)
    needed = kept + (processes + 1) * PROCESS + UPDATE  # workers included
    if needed <= MOST * available or (kept < GIB and not pixels):
        return []
    workers = f" with {processes} worker processes" if processes else ""
    return [
        f"{named}: a batch that keeps {steps:,} states of {task.name} takes about {needed / GIB:.1f} GiB{workers}, "
        f"more than {MOST:.0%} of the {available / GIB:.1f} GiB here; ask for fewer"
    ]

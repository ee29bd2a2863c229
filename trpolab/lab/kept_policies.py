"""The policies of a run that can be played: those in its folder, and some of a run in memory."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Protocol

from trpolab.policies import Policy, read_policy
from trpolab.runs.reader import RunFolderError, numbered, read_run

MOST = 48  # policies that stay in memory,
MOST_BYTES = 64 * 2**20  # and what their parameters may take
MANY, SECONDS_BETWEEN_LOOKS = 300, 5.0  # files of a folder that is not looked through at each call
MOST_CHOICES = 200  # policies that a slider offers


class Kept(Protocol):
    """Policies by the iteration after which they were kept."""

    def iterations(self) -> list[int]:
        """In order."""
        ...

    def policy(self, iteration: int) -> Policy:
        """That of one of them."""
        ...


class InFolder:
    """What a run folder keeps, also while it is written."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._found: list[int] = []
        self._looked = 0.0

    def iterations(self) -> list[int]:
        """By the files' names; where these are many, as they were a few seconds ago."""
        if len(self._found) < MANY or time.monotonic() > self._looked + SECONDS_BETWEEN_LOOKS:
            self._found = [int(file.stem) for file in numbered(self._folder / "policies", ".safetensors")]
            self._looked = time.monotonic()
        return self._found

    def policy(self, iteration: int) -> Policy:
        """Read from its file. Raises RunFolderError where it is gone, and PolicyFileError where it is damaged."""
        file = self._folder / "policies" / f"{iteration:06d}.safetensors"
        if not file.exists():
            raise RunFolderError(f"{str(self._folder)!r} holds no policy of iteration {iteration}")
        return read_policy(file)[0]


class InMemory:
    """The newest three policies of a run, and earlier ones, the more the nearer; with those of its folder, if any."""

    def __init__(self, iteration: int, policy: Policy):
        self._policies = {iteration: policy}
        self._lock = threading.Lock()
        self._disk: InFolder | None = None

    def write_to(self, folder: Path | None) -> None:
        """The run has a folder, in which older policies are kept."""
        if folder is not None and self._disk is None:
            self._disk = InFolder(folder)

    def add(self, iteration: int, policy: Policy) -> None:
        """Keep one more, and give up that whose neighbours are nearest to each other where there are too many."""
        with self._lock:
            policies = {kept: each for kept, each in self._policies.items() if kept < iteration}
            policies[iteration] = policy
            room = max(5, min(MOST, MOST_BYTES // max(1, policy.theta.nbytes)))
            while len(policies) > room:
                kept = list(policies)
                gaps = {kept[n]: (kept[n + 1] - kept[n - 1]) / kept[n + 1] for n in range(1, len(kept) - 3)}
                del policies[min(gaps, key=lambda at: gaps[at])]
            self._policies = policies

    def newest(self) -> tuple[int, Policy]:
        """The last one that was added, and its iteration."""
        with self._lock:
            iteration = max(self._policies)
            return iteration, self._policies[iteration]

    def iterations(self) -> list[int]:
        """Those in memory, and those in the folder."""
        with self._lock:
            own = set(self._policies)
        on_disk = [] if self._disk is None else self._disk.iterations()
        return sorted(own.union(at for at in on_disk if at < max(own)))

    def policy(self, iteration: int) -> Policy:
        """From memory, else from the folder. Raises RunFolderError where it is in neither."""
        with self._lock:
            own = self._policies.get(iteration)
        if own is not None:
            return own
        if self._disk is None:
            raise RunFolderError(f"the policy of iteration {iteration} was not kept")
        return self._disk.policy(iteration)


class Single:
    """One policy, of whichever iteration."""

    def __init__(self, policy: Policy, iteration: int = 0):
        self._policy, self._iteration = policy, iteration

    def iterations(self) -> list[int]:
        """The one."""
        return [self._iteration]

    def policy(self, iteration: int) -> Policy:
        """It."""
        return self._policy


def choices(iterations: list[int]) -> list[int]:
    """At most MOST_CHOICES of these, the first and the last two among them."""
    if len(iterations) <= MOST_CHOICES:
        return iterations
    step = (len(iterations) - 3) / (MOST_CHOICES - 3)
    return [*(iterations[round(n * step)] for n in range(MOST_CHOICES - 2)), *iterations[-2:]]


def kept_in(folder: Path) -> InFolder:
    """Those of a run folder. Raises RunFolderError for a folder that is no run, or holds none yet."""
    read_run(folder)
    found = InFolder(folder)
    if not found.iterations():
        raise RunFolderError(f"{str(folder)!r} holds no policy yet")
    return found

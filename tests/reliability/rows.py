"""The rows of the scoreboard: each fault or bad input, and exactly what is expected of the program."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One promise, in plain words."""

    fault: str
    expected: str


ROWS = {
    "R1": Row(
        "`kill -9` at a random moment",
        "the run opens; its newest whole checkpoint loads; shown as crashed (resumable); no more is repeated than what "
        "came after that checkpoint",
    ),
    "R2": Row(
        "resume after a stop or a kill",
        "metrics and parameters equal the uninterrupted run's bit for bit (cart-pole, Swimmer, a vine run)",
    ),
    "R3": Row(
        "a checkpoint truncated, flipped, emptied, incomplete, or from another run",
        "found by its manifest before anything is used; the one before is taken; an event names the file; if none is "
        "whole, an error, and nothing is overwritten",
    ),
    "R4": Row(
        "disk full, read-only, or permission lost during a run",
        "the run pauses and says so; the old checkpoint stays whole; it goes on once there is room; no half folder",
    ),
    "R5": Row(
        "Stop in each phase of an iteration",
        "soon obeyed; parameters of the last whole iteration; checkpoint whole; no child left; the next run works",
    ),
    "R6": Row("two quick interrupts", "the second gives the iteration up at once; the same holds as for one"),
    "R8": Row(
        "a second process opens the run to train",
        "refused with host, process id and start time; it may read; the first one's files are untouched",
    ),
    "R9": Row(
        "settings changed from another thread during iterations, 1,000 times",
        "every iteration uses exactly one configuration, and logs it; nothing of torch runs in the calling thread",
    ),
    "R10": Row(
        "an observation, reward or action that is not finite",
        "`skipped_nonfinite`, naming slot, step and field; policy and normaliser bit for bit unchanged; fresh "
        "episodes; three in a row end the run as diverged, and the last good checkpoint is named",
    ),
    "R11": Row(
        "NaN or infinity in gradient, advantage, value loss or a Fisher product",
        "`skipped_nonfinite`, naming the first bad tensor; three in a row end the run as diverged",
    ),
    "R12": Row(
        "negative curvature, or a singular Fisher matrix",
        "`rejected_nonpositive_curvature`, or a finite damped step whose KL is at most δ; never NaN",
    ),
    "R13": Row("a line search that cannot succeed", "`rejected_line_search`; θ bit for bit unchanged; KL is null"),
    "R14": Row("rewards that are always zero", "`skipped_zero_gradient`; no storm of warnings; the run goes on"),
    "R15": Row(
        "σ that collapses or explodes", "log σ is clamped and counted; one plain warning; sampling never raises"
    ),
    "R16": Row(
        "MuJoCo resets a simulation that blew up",
        "the step is marked unstable, not used, and counted, twice in a row too; healthy steps never are; no "
        "`MUJOCO_LOG.TXT` outside the run folder",
    ),
    "R17": Row(
        "actions out of bounds, NaN, of a wrong kind or shape",
        "clipped and counted by one rule; NaN is refused before the step",
    ),
    "R18": Row(
        "restoring a simulator's snapshot",
        "the future is the saved one byte for byte, for every task that says so; the others refuse when they are made",
    ),
    "R19": Row(
        "Atari's sticky actions with the vine",
        "refused with the reason, or kept outside the emulator; 200 of 200 replays equal",
    ),
    "R20": Row(
        "a worker killed during a rollout",
        "restarted, its work done again, the batch bit for bit the same; an event; a second death on the same work "
        "stops the run cleanly",
    ),
    "R21": Row(
        "an environment that hangs in step, reset or close",
        "an error soon after the deadline; its worker is killed; `close()` never raises and leaves no child",
    ),
    "R22": Row(
        "an environment that raises", "its own traceback and slot are shown; the checkpoint is whole; status says so"
    ),
    "R23": Row("the parent process dies while workers run", "the workers go within seconds; the run can be resumed"),
    "R24": Row("the same seed twice; other numbers of threads and workers", "equal bit for bit"),
    "R25": Row("user code that reseeds the global generators", "results unchanged"),
    "R26": Row(
        "a hostile policy file: a renamed pickle, a header of 2⁶², huge shapes, extra keys, another task's",
        "refused before anything is allocated for it, no code runs, the reason is named",
    ),
    "R27": Row(
        "a hostile run label or folder name", "refused or escaped; nothing outside the runs folder; shown as text"
    ),
    "R28": Row(
        "a bad configuration",
        "one error that lists everything wrong, with the nearest names; no folder is made",
    ),
    "R29": Row(
        "metrics with a torn tail, a bad middle line, a million lines, NaN",
        "the tail is ignored, the line is named, memory stays bounded, JSON stays strict",
    ),
    "R30": Row("a run of 2,000 iterations", "memory, files and threads stay where they were"),
    "R31": Row("fifty runs in one process", "memory comes back; no child and no environment is left"),
    "R32": Row(
        "learning itself", "cart-pole and finite MDPs reach what they must over five seeds; broken twins do not"
    ),
    "R33": Row("the estimators", "Eq. 14, 15 and 16, Q̂ and GAE equal exact oracles; Eq. 16's bias is the known one"),
    "R36": Row(
        "the notebooks", "each runs from top to bottom, twice, without an error, and writes nothing into the checkout"
    ),
}


def order(row: str) -> int:
    """For sorting: the row's number."""
    return int(row.removeprefix("R"))

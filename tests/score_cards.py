"""The cards of docs/results.md, and the policies that are shipped: `python -m tests.score_cards sweeps/scores`.

From the folder of `trpolab bench scores`: a picture for each task into `docs/scores/`, the best policy of five bodies
into `results/policies/`, and the runs into `results/scores.json`; the cards' text is printed. Where the folder of a
task's best run is gone, its picture and its policy stay as they are.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from trpolab.bench.scores import MUST_REACH, trials
from trpolab.experiments.figures import COLOURS
from trpolab.experiments.results import Curve, read_curves
from trpolab.experiments.statistics import curve, estimate, in_digits
from trpolab.lab.pictures.captions import caption
from trpolab.lab.pictures.poster import Artist, palette, shapes_of
from trpolab.lab.pictures.rollout import Rollout, record
from trpolab.policies import read_policy
from trpolab.runs.reader import numbered
from trpolab.simulators import make

HOME = Path(__file__).parents[1]
SHIPPED = ("Hopper-v5", "Walker2d-v5", "HalfCheetah-v5", "Swimmer-v5", "Ant-v5")
STILLS, SECONDS, SIZE = 4, 3.0, (320, 300)  # of the task's own time; pixels of a still


def take(out: Path) -> str:
    """Write all files; the cards' text."""
    curves = read_curves(out / "scores.json")
    places = {trial.asked: out / trial.name for trial in trials()}
    for name in ("docs/scores", "results/policies"):
        (HOME / name).mkdir(exist_ok=True)
    cards = []
    for task in MUST_REACH:
        mine = [one for one in curves if one.task == task and not math.isnan(one.final)]
        best = max(mine, key=lambda one: one.final)
        if (folder := places[best.asked]).exists():
            policy = numbered(folder / "policies", ".safetensors")[-1]
            draw(mine, policy, task, HOME / "docs" / "scores" / f"{task}.png")
            if task in SHIPPED:
                shutil.copy(policy, HOME / "results" / "policies" / f"{task}.safetensors")
        cards.append(text(task, mine, best))
    shutil.copy(out / "scores.json", HOME / "results")
    return "\n\n".join(cards)


def text(task: str, mine: Sequence[Curve], best: Curve) -> str:
    """A card as Markdown: its picture, the command, what it reaches and how long it takes."""
    minutes = np.mean([one.seconds[-1] for one in mine]) / 60
    all_of_them = f"{estimate([one.final for one in mine]).in_words} over {len(mine)} seed{'s' * (len(mine) > 1)}"
    return (
        f"**{task}** · {all_of_them} · {minutes:.1f} minutes a run\n\n"
        f"![{task}: returns while it learns, and the best policy](scores/{task}.png)\n\n"
        f"Shown: `{best.command} --set threads=1`, which reaches {in_digits(best.final)}."
    )


def draw(curves: Sequence[Curve], policy: Path, task: str, file: Path) -> None:
    """The curves of a task's runs, their mean, and an episode of the policy in this file."""
    simulator = make(task, 1)
    try:
        rollout = record(read_policy(policy)[0], simulator)
    finally:
        simulator.close()
    assert isinstance(rollout, Rollout)
    figure = Figure(figsize=(11, 2.4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 2.5))
    runs = [(one.steps, one.returns) for one in curves if len(one.returns) > 1]
    for x, y in runs:
        left.plot(x, y, color=COLOURS[0], linewidth=0.6, alpha=0.4)
    together = curve(runs)
    left.plot(together.x, together.value, color=COLOURS[0], linewidth=1.8)
    left.set(xlabel="simulator steps", ylabel="return")
    left.spines[["top", "right"]].set_visible(False)
    right.imshow(stills(rollout))
    right.set_axis_off()
    right.set_title(caption(rollout), fontsize=9)
    figure.savefig(file, dpi=100, bbox_inches="tight")


def stills(rollout: Rollout) -> np.ndarray:
    """The episode's first seconds as stills [H, W, 3] uint8, side by side."""
    poses = rollout.poses[: round(SECONDS / rollout.seconds_per_frame) + 1].astype(np.float64)
    artist, colours = Artist(rollout.scene, poses, shapes_of(rollout.scene, poses), SIZE), palette(rollout.scene)
    colours[0] = 255
    return np.concatenate([colours[artist.draw(k)] for k in np.linspace(0, len(poses) - 1, STILLS).astype(int)], axis=1)


if __name__ == "__main__":
    print(take(Path(sys.argv[1])))

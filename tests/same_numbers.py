"""Does trpolab still compute the same numbers, bit for bit? For a change that must not alter any.

`python tests/same_numbers.py record OLD.json` does many short runs with the trpolab that Python finds, and writes
their metrics, hashes of all they learnt, and hashes of evaluations. The same with the changed code gives NEW.json, and
`python tests/same_numbers.py compare OLD.json NEW.json` says which runs are the same and where others begin to differ.
Both files must come from one machine and one set of installed versions. A record takes some minutes.

It asks nothing of trpolab but what users do: `train`, `evaluate`, `load_policy`, a session's `controls`, the command
line, and the files of a run folder.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from safetensors import safe_open

import trpolab
from trpolab.cli import main as terminal

Folders = dict[str, Path]  # a name for each run folder that is looked at
INSTALLED = ("numpy", "torch", "mujoco", "gymnasium", "ale-py", "cma")
EVALUATION_SEED = 5
# Of a checkpoint's state.json: what the next iteration depends on. The rest names the run, which no two share.
STATE = (
    "iteration",
    "sim_steps",
    "nonfinite_in_a_row",
    "recent_returns",
    "score",
    "pending",
    "value",
    "blocks",
    "episodes_cut",
)


@dataclass(frozen=True)
class Run:
    """One run: its task, its settings, and how it is done."""

    name: str
    task: Any
    settings: dict[str, Any] = field(default_factory=dict)
    how: Callable[[Run, Path], Folders] | None = None  # None: `straight`
    turns: dict[int, dict[str, Any]] = field(default_factory=dict)  # settings that change, by iteration
    words: tuple[str, ...] = ()  # of the command line
    episodes: int = 4  # of an evaluation; 0: none
    modes: tuple[bool, ...] = (False, True)  # evaluated with sampled actions, and with the distribution's mode

    @property
    def all_settings(self) -> dict[str, Any]:
        """The settings, with what makes every run short and independent of the machine's size."""
        return {"iterations": 4, "checkpoint_every": 2, "threads": 1, "device": "cpu", **self.settings}


# How a run is done -------------------------------------------------------------------------------------------------


def straight(run: Run, out: Path) -> Folders:
    """From start to end."""
    return {"run": trpolab.train(run.task, out=out, **run.all_settings).path}


def resumed(run: Run, out: Path) -> Folders:
    """Half of it, and the rest from the run folder: by the command line where the task has a name."""
    iterations = run.all_settings["iterations"]
    session = trpolab.train(run.task, out=out, **{**run.all_settings, "iterations": iterations // 2})
    half = shutil.copytree(session.path, out / "half")
    resume(session.path, iterations, None if isinstance(run.task, str) else run.task)
    return {"half": half, "resumed": session.path}


def turned(run: Run, out: Path) -> Folders:
    """With knobs that are turned between its iterations."""
    session = trpolab.train(run.task, out=out, **{**run.all_settings, "iterations": 1})
    session.controls.replace(iterations=run.all_settings["iterations"], **run.turns.get(2, {}))
    for done in session.iterate():
        session.controls.replace(**run.turns.get(done.index + 1, {}))
    return {"run": session.path}


def killed(run: Run, out: Path) -> Folders:
    """With knobs turned; and what lies on disk before the last iteration, as after a kill, gone on with."""
    session = trpolab.train(run.task, out=out, **{**run.all_settings, "iterations": 1})
    last, copy = run.all_settings["iterations"], out / "killed"
    session.controls.replace(iterations=last, **run.turns.get(2, {}))
    for done in session.iterate():
        session.controls.replace(**run.turns.get(done.index + 1, {}))
        if done.index == last - 1:
            shutil.copytree(session.path, copy)
    resume(copy, last)
    return {"run": session.path, "killed and resumed": copy}


def stepped_again(run: Run, out: Path) -> Folders:
    """Told to stop after its second iteration, then gone on with by the same session."""
    session = trpolab.train(run.task, out=out, **{**run.all_settings, "iterations": 1})
    session.controls.replace(iterations=run.all_settings["iterations"])
    for done in session.iterate():
        if done.index == 2:
            session.controls.stop()
    half = shutil.copytree(session.path, out / "half")
    session.run()
    return {"half": half, "run": session.path}


def in_memory(run: Run, out: Path) -> Folders:
    """With no folder of its own: its history and an evaluation are put where a folder would have them."""
    session = trpolab.train(run.task, out=None, **run.all_settings)
    (out / "run").mkdir()
    (out / "run" / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in session.history))
    found = trpolab.evaluate(session.policy, run.task, run.episodes, EVALUATION_SEED)
    (out / "run" / "evaluation.json").write_text(json.dumps([found.returns.tolist(), found.lengths.tolist()]))
    return {"run": out / "run"}


def typed(run: Run, out: Path) -> Folders:
    """By the command line; `{out}` in its words is a folder to write to, in which `settings.toml` has the settings."""
    (out / "settings.toml").write_text("".join(f"{line}\n" for line in SETTINGS_FILE), encoding="utf-8")
    command(*(word.format(out=out) for word in run.words), "--out", str(out / "runs"))
    found = sorted((out / "runs").iterdir(), key=lambda path: read_json(path / "run.json")["settings"]["seed"])
    return {f"run {number}": path for number, path in enumerate(found)}


def resume(folder: Path, iterations: int, task: Any = None) -> None:
    """Go on with a run: by the command line, or by a session where the task must be given as it has no name."""
    if task is None:
        command("train", "--resume", str(folder), "--iterations", str(iterations))
    else:
        session = type(trpolab.train("CartPole-v1", out=None, iterations=1, steps_per_iteration=64, threads=1))
        session(task, resume=folder, iterations=iterations).run()


def command(*words: str) -> None:
    """One command of the terminal, in silence. Raises RuntimeError with what it said unless it ends well."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        code = terminal(words)
    if code:
        raise RuntimeError(f"trpolab {' '.join(words)}: exit code {code}: {said.getvalue()[-500:]}")


# Which runs ---------------------------------------------------------------------------------------------------------


class Levers(gymnasium.Env):
    """Three levers to be set to what a clock shows: an action of several parts, and observations in a table."""

    observation_space = gymnasium.spaces.Box(0.0, 1.0, (3, 2), np.float64)
    action_space = gymnasium.spaces.MultiDiscrete([2, 3, 4])

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict[str, Any]]:
        """Set the clock at random."""
        super().reset(seed=seed)
        self.steps, self.shown = 0, self.np_random.random((3, 2))
        return self.shown.copy(), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """A reward for each lever that stands right; the clock goes on at random."""
        right = np.asarray(action) == (self.shown[:, 0] * [2, 3, 4]).astype(int)
        self.steps, self.shown = self.steps + 1, self.np_random.random((3, 2))
        return self.shown.copy(), float(right.sum()), bool(right.all()), self.steps >= 30, {}


class Broken(Levers):
    """The same levers, which now and then pay what is no number: that iteration is left out."""

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """As above, but for one step in 400."""
        shown, reward, *rest = super().step(action)
        return shown, reward if self.np_random.random() > 1 / 400 else float("nan"), *rest


def pendulum() -> gymnasium.Env:
    """An environment of Gymnasium's, behind a callable."""
    return gymnasium.make("Pendulum-v1")


SETTINGS_FILE = ('method = "kl_penalty"', "lam = 0.9", "[kl_penalty]", 'coefficient = "fixed"', "penalty = 3.0",
                 "[path]", "standardize = false")  # fmt: skip
FEW = {"steps_per_iteration": 512, "slots": 8}
WHOLE = {"path.whole": True, "steps_per_iteration": 1000}
VINE = {
    "sampler": "vine",
    "vine.trunks": 2,
    "vine.trunk_length": 100,
    "vine.states": 20,
    "vine.actions": 3,
    "vine.rollout_length": 15,
}
GAME = {"iterations": 2, "checkpoint_every": 1, "steps_per_iteration": 160, "slots": 4}
GAME_VINE = {
    **GAME,
    "sampler": "vine",
    "vine.trunks": 2,
    "vine.trunk_length": 120,
    "vine.states": 8,
    "vine.actions": 3,
    "vine.rollout_length": 50,
}
GAME_VINE_TURN = {name: value for name, value in GAME_VINE.items() if name.startswith(("vine", "sampler"))}
QBERT_VINE = {**GAME_VINE, "vine.common_random_numbers": False, "proposal": "uniform"}
SEARCHES = {
    "cem": {"method": "cem", "cem.population": 12, "cem.noise_iterations": 3},
    "cma_es full": {"method": "cma_es", "cma_es.covariance": "full", "hidden": (4,), "cma_es.population": 9},
    "cma_es separable": {"method": "cma_es", "cma_es.covariance": "separable", "cma_es.episodes": 2},
    "reps": {"method": "reps", "reps.population": 30, "hidden": ()},
}
UPDATES: dict[str, dict[str, Any]] = {
    "trpo": {},
    "trpo, hessian": {"trust.fisher": "hessian", "damping": 0.01, "cg_iterations": 7},
    "trpo, no line search": {"line_search": False, "fisher_fraction": 0.1},
    "trpo, a narrow search": {"fisher_fraction": 0.02, "damping": 1e-3, "shrink": 0.9, "max_tries": 2},
    "natural_gradient": {"method": "natural_gradient", "natural_gradient.step": 0.1},
    "empirical_fim": {"method": "empirical_fim"},
    "max_kl": {"method": "max_kl"},
    "kl_penalty, adaptive": {"method": "kl_penalty"},
    "kl_penalty, fixed": {"method": "kl_penalty", "kl_penalty.coefficient": "fixed", "kl_penalty.penalty": 2.0},
    "kl_penalty, theory": {"method": "kl_penalty", "kl_penalty.coefficient": "theory", "gamma": 0.9},
    "policy_gradient, ball": {"method": "policy_gradient"},
    "policy_gradient, step": {"method": "policy_gradient", "policy_gradient.rule": "step"},
    "rwr": {"method": "rwr", "rwr.temperature": 0.5},
}


def runs() -> list[Run]:
    """Every run, in the order in which they are done."""
    return [
        *updates(),
        *single_paths(),
        *vines(),
        *adapters(),
        *games(),
        *interrupted(),
        *typed_runs(),
    ]


def updates() -> list[Run]:
    """Every method, with discrete and with continuous actions."""
    return [
        *(Run(f"{name}: CartPole-v1", "CartPole-v1", {**FEW, **chosen}) for name, chosen in UPDATES.items()),
        *(Run(f"{name}: Hopper-v5", "Hopper-v5", {**FEW, **chosen}) for name, chosen in UPDATES.items()),
        *(Run(f"{name}: CartPole-v1", "CartPole-v1", chosen) for name, chosen in SEARCHES.items()),
        *(Run(f"{name}: paper/CartPole", "paper/CartPole", chosen) for name, chosen in SEARCHES.items()),
        Run("cem: Swimmer-v5", "Swimmer-v5", {**SEARCHES["cem"], "path.horizon": 60, "threads": 2}, episodes=2),
        Run("cma_es: Hopper-v5", "Hopper-v5", {**SEARCHES["cma_es separable"], "slots": 8}),
        Run("cem: paper/Hopper", "paper/Hopper", {"preset": "paper", **SEARCHES["cem"], "path.horizon": 100}),
        Run("cem: Pendulum-v1", "Pendulum-v1", {**SEARCHES["cem"], "iterations": 2, "path.horizon": 50}),
    ]


def single_paths() -> list[Run]:
    """Tasks and ways to estimate, by single paths."""
    whole_swimmer = {"preset": "paper", "steps_per_iteration": 2000, "path.horizon": 500, "iterations": 3}
    short_hopper = {"preset": "paper", "steps_per_iteration": 1500, "path.horizon": 300}
    networks = {"hidden": (8, 5), "activation": "relu", "policy.bias": False, "value.hidden": (7,)}
    values = {"value.fit_steps": 3, "value.fit_fraction": 1.0, "value.cg_iterations": 4, "lam": 0.5}
    return [
        Run("Hopper-v5, preset modern", "Hopper-v5", {"iterations": 3}),
        Run("Hopper-v5, 2 threads", "Hopper-v5", {**FEW, "slots": 32, "threads": 2}),
        Run("Hopper-v5, 3 slots", "Hopper-v5", {**FEW, "slots": 3}),
        Run("Hopper-v5, evaluated", "Hopper-v5", {**FEW, "evaluate_every": 2, "evaluate_episodes": 3, "seed": 7}),
        Run("Walker2d-v5", "Walker2d-v5", {**FEW, "threads": 2}),
        Run("Swimmer-v5", "Swimmer-v5", FEW, episodes=2),
        Run("HalfCheetah-v5", "HalfCheetah-v5", {**FEW, "iterations": 2}, episodes=1),
        Run("Ant-v5", "Ant-v5", {**FEW, "iterations": 2}, episodes=1),
        Run("Humanoid-v5", "Humanoid-v5", {**FEW, "iterations": 2}, episodes=2),
        Run("Reacher-v5", "Reacher-v5", FEW),
        Run("InvertedPendulum-v5", "InvertedPendulum-v5", FEW),
        Run("InvertedDoublePendulum-v5", "InvertedDoublePendulum-v5", FEW),
        Run("paper/CartPole, preset paper", "paper/CartPole", {"preset": "paper", "steps_per_iteration": 2000}),
        Run("paper/Swimmer, preset paper", "paper/Swimmer", whole_swimmer, episodes=2),
        Run("paper/Hopper, preset paper", "paper/Hopper", {**short_hopper, "threads": 2}),
        Run("paper/Walker, preset paper", "paper/Walker", {**short_hopper, "iterations": 2}),
        Run("paper/Hopper, preset modern", "paper/Hopper", FEW),
        Run("finite/chain-8", "finite/chain-8", {**FEW, "method": "trpo"}),
        Run("finite/chain-8, preset paper", "finite/chain-8", {"preset": "paper", "steps_per_iteration": 1000}),
        Run("finite/gridworld-4x4", "finite/gridworld-4x4", FEW),
        Run("finite/random-20x4", "finite/random-20x4", {**FEW, "max_tries": 3}),
        Run("a finite MDP from arrays", trpolab.theory.chain(5), FEW),
        Run("whole paths, monte_carlo", "CartPole-v1", {**WHOLE, "advantage": "monte_carlo"}),
        Run("whole paths, centred", "CartPole-v1", {**WHOLE, "advantage": "centred", "path.standardize": False}),
        Run("whole paths, gae", "Hopper-v5", {**WHOLE, "advantage": "gae", "path.horizon": 200, "threads": 2}),
        Run("weights by γ^t", "CartPole-v1", {**FEW, "state_weighting": "discounted", "gamma": 0.9}),
        Run("weights by γ^t, whole", "Hopper-v5", {**WHOLE, "state_weighting": "discounted"}),
        Run("other networks", "Hopper-v5", {**FEW, **networks, "policy.log_std": 0.3}),
        Run("elu, softplus apart", "CartPole-v1", {**FEW, "activation": "elu", "policy.output_scale": 1.0}),
        Run("softplus", "Pendulum-v1", {**FEW, "activation": "softplus", "hidden": (16,)}),
        Run("no normaliser", "Hopper-v5", {**FEW, "normalize_observations": False}),
        Run("another value fit", "Hopper-v5", {**FEW, **values}),
        Run("γ = 1", "CartPole-v1", {**FEW, "gamma": 1.0, "lam": 1.0}),
        Run("σ at its bound", "Hopper-v5", {**FEW, "policy.log_std": 2.0}),
        Run("σ at its own least", "Hopper-v5", {**FEW, "gaussian.least_log_std": -0.5}),
        Run("in memory", "Hopper-v5", FEW, in_memory),
    ]


def vines() -> list[Run]:
    """Every proposal, and what else a vine may be told."""
    pairs = [(proposal, common) for proposal in ("policy", "widened", "uniform", "all") for common in (True, False)]
    return [
        *(
            Run(
                f"vine, {proposal}{', common random numbers' if common else ''}",
                "CartPole-v1",
                {**VINE, "proposal": proposal, "vine.common_random_numbers": common},
            )
            for proposal, common in pairs
        ),
        Run("vine, uniform on every action", "CartPole-v1", {**VINE, "proposal": "uniform", "vine.actions": 2}),
        Run("vine, no tail value", "CartPole-v1", {**VINE, "vine.tail_value": False}),
        Run("vine, stratified", "CartPole-v1", {**VINE, "vine.choose": "stratified", "vine.rollout_length": 200}),
        Run("vine, importance", "CartPole-v1", {**VINE, "proposal": "uniform", "vine.estimator": "importance"}),
        Run("vine, importance, one action", "Hopper-v5", {**VINE, "vine.estimator": "importance", "vine.actions": 1}),
        Run("vine, γ^t", "CartPole-v1", {**VINE, "state_weighting": "discounted", "gamma": 0.95}),
        Run("vine: Hopper-v5", "Hopper-v5", VINE),
        Run("vine: Hopper-v5, 2 threads, widened", "Hopper-v5", {**VINE, "proposal": "widened", "threads": 2}),
        Run("vine: Hopper-v5, own noise", "Hopper-v5", {**VINE, "vine.common_random_numbers": False, "slots": 4}),
        Run("vine: Walker2d-v5, max_kl", "Walker2d-v5", {**VINE, "method": "max_kl", "vine.widening": 3.0}),
        Run("vine: paper/Hopper, preset paper", "paper/Hopper", {"preset": "paper", **VINE, "threads": 2}),
        Run("vine: paper/Swimmer, preset paper", "paper/Swimmer", {"preset": "paper", **VINE}, episodes=1),
        Run("vine: paper/CartPole, rwr", "paper/CartPole", {**VINE, "method": "rwr"}),
        Run("vine: finite/gridworld-4x4", "finite/gridworld-4x4", {**VINE, "proposal": "all"}),
        Run("vine: finite/chain-8, kl_penalty", "finite/chain-8", {**VINE, "method": "kl_penalty"}),
        Run("vine: Acrobot-v1", "Acrobot-v1", {**VINE, "proposal": "all", "iterations": 2}, episodes=1),
        Run("vine: Pendulum-v1, widened", "Pendulum-v1", {**VINE, "proposal": "widened", "threads": 2}),
        Run("vine: an action of several parts", Levers, {**VINE, "proposal": "uniform"}),
        Run("vine: all actions of several parts", Levers, {**VINE, "proposal": "all", "method": "empirical_fim"}),
    ]


def adapters() -> list[Run]:
    """Gymnasium's environments, by name and by a callable."""
    return [
        Run("MountainCarContinuous-v0", "MountainCarContinuous-v0", FEW, episodes=2),
        Run("Acrobot-v1", "Acrobot-v1", FEW, episodes=2),
        Run("Pendulum-v1, 2 threads", "Pendulum-v1", {**FEW, "slots": 6, "threads": 2}),
        Run("a callable: Pendulum-v1", pendulum, FEW),
        Run("a callable: an action of several parts", Levers, {**FEW, "method": "max_kl"}),
        Run("a callable: no numbers", Broken, {**FEW, "iterations": 6, "seed": 1}, episodes=0),
        Run("a callable: whole paths", Levers, {**WHOLE, "advantage": "centred"}),
    ]


def games() -> list[Run]:
    """Atari games, as short as may be. An untrained policy's mode may never lose a game, so games sample."""
    sampled: dict[str, Any] = {"episodes": 1, "modes": (False,)}
    dqn = {"atari.pixels": "dqn", "atari.clip_rewards": True}
    every = {"proposal": "all", "vine.states": 4}
    whole = {"path.whole": True, "advantage": "centred", "path.horizon": 120, "steps_per_iteration": 480}
    return [
        Run("ALE/Pong-v5", "ALE/Pong-v5", GAME, **sampled),
        Run("ALE/Pong-v5, 2 threads", "ALE/Pong-v5", {**GAME, "threads": 2}, episodes=0),
        Run("ALE/Qbert-v5, dqn pixels", "ALE/Qbert-v5", {**GAME, **dqn}, episodes=0),
        Run("ALE/SpaceInvaders-v5, whole", "ALE/SpaceInvaders-v5", {**GAME, **whole, "threads": 2}, episodes=0),
        Run("ALE/Breakout-v5, sticky", "ALE/Breakout-v5", {**GAME, **whole, "atari.sticky": 0.25}, episodes=0),
        Run("ALE/Pong-v5, empirical_fim", "ALE/Pong-v5", {**GAME, "method": "empirical_fim"}, episodes=0),
        Run("vine: ALE/Pong-v5", "ALE/Pong-v5", {**GAME_VINE, "proposal": "policy"}, episodes=0),
        Run("vine: ALE/Qbert-v5", "ALE/Qbert-v5", {**QBERT_VINE, "threads": 2}, **sampled),
        Run("vine: ALE/SpaceInvaders-v5, dqn", "ALE/SpaceInvaders-v5", {**GAME_VINE, **dqn, **every}, episodes=0),
    ]


def interrupted() -> list[Run]:
    """Runs that are resumed, killed, stopped, and whose knobs are turned while they go on."""
    several = {
        2: {"lam": 0.8, "gamma": 0.97},
        3: {**VINE, "proposal": "all"},
        4: {"method": "kl_penalty", "proposal": "policy", "vine.tail_value": False},
        5: {"sampler": "single-path", "method": "natural_gradient", "natural_gradient.step": 0.05},
        6: {"path.whole": True, "advantage": "monte_carlo", "steps_per_iteration": 1000, "method": "trpo"},
        7: {"path.whole": False, "advantage": "gae", "steps_per_iteration": 256, "delta": 0.003},
    }
    searching = {
        2: {"method": "cem", "cem.population": 8},
        4: {"method": "trpo"},
        5: {"method": "cma_es", "cma_es.population": 8},
        7: {"method": "rwr"},
    }
    continuous = {2: {**VINE, "proposal": "widened"}, 4: {"sampler": "single-path", "method": "empirical_fim"}}
    seven = {**FEW, "iterations": 7}
    return [
        Run("resumed: CartPole-v1", "CartPole-v1", {**FEW, "iterations": 6}, resumed),
        Run("resumed: Hopper-v5", "Hopper-v5", {**FEW, "threads": 2}, resumed),
        Run("resumed: whole paths", "paper/Hopper", {**WHOLE, "preset": "paper", "path.horizon": 300}, resumed),
        Run("resumed: finite/gridworld-4x4", "finite/gridworld-4x4", FEW, resumed),
        Run("resumed: MountainCarContinuous-v0", "MountainCarContinuous-v0", FEW, resumed, episodes=1),
        Run("resumed: a callable", Levers, FEW, resumed),
        Run("resumed: vine", "CartPole-v1", {**VINE, "proposal": "uniform"}, resumed),
        Run("resumed: vine: Pendulum-v1", "Pendulum-v1", VINE, resumed),
        *(Run(f"resumed: {name}", "CartPole-v1", chosen, resumed) for name, chosen in SEARCHES.items()),
        Run("resumed: kl_penalty", "Swimmer-v5", {**FEW, "method": "kl_penalty"}, resumed, episodes=1),
        Run("resumed: ALE/Pong-v5", "ALE/Pong-v5", GAME, resumed, episodes=0),
        Run("resumed: vine: ALE/Qbert-v5", "ALE/Qbert-v5", QBERT_VINE, resumed, episodes=0),
        Run("stopped and gone on with", "Hopper-v5", FEW, stepped_again),
        Run("turned: samplers and methods", "CartPole-v1", seven, turned, several),
        Run("turned: searches over θ", "CartPole-v1", seven, turned, searching),
        Run("turned: Hopper-v5", "Hopper-v5", {**FEW, "iterations": 5}, turned, continuous),
        Run("turned: ALE/Pong-v5", "ALE/Pong-v5", {**GAME, "iterations": 3}, turned, {2: GAME_VINE_TURN}, episodes=0),
        Run("killed", "CartPole-v1", FEW, killed, {3: {"delta": 0.002}, 4: {"method": "max_kl"}}),
        Run("killed: vine", "Hopper-v5", FEW, killed, {3: {**VINE, "lam": 0.7}}),
    ]


def typed_runs() -> list[Run]:
    """Runs of the command line."""
    small = ("--device", "cpu", "--steps-per-iteration", "512", "--set", "slots=8", "--set", "threads=1")
    named = ("--method", "max_kl", "--delta", "0.005", "--seed", "3", "--set", "hidden=[16]", "--set", "lam=0.9")
    vine = ("--sampler", "vine", "--proposal", "all", "--set", "vine.states=12", "--set", "vine.tail_value=false")
    task, file = ("train", "CartPole-v1", "--iterations", "4"), ("--config", "{out}/settings.toml")
    return [
        Run(
            "typed: settings", "Hopper-v5", {}, typed, words=("train", "Hopper-v5", "--iterations", "3", *small, *named)
        ),
        Run("typed: vine, two seeds", "CartPole-v1", {}, typed, words=(*task, *small, *vine, "--seeds", "2")),
        Run("typed: a file of settings", "CartPole-v1", {}, typed, words=(*task, *small, *file)),
        Run(
            "typed: a file, a setting over it", "CartPole-v1", {}, typed, words=(*task, *small, *file, "--set", "lam=1")
        ),
    ]


# What is recorded ---------------------------------------------------------------------------------------------------


def record(out: Path, only: str) -> None:
    """Do every run whose name contains `only`, and write what they gave."""
    chosen, found, failed = [run for run in runs() if only in run.name], {}, 0
    print(f"{len(chosen)} runs with trpolab from {Path(trpolab.__file__).parent}", flush=True)
    for number, run in enumerate(chosen, 1):
        began, problem = time.perf_counter(), ""
        with tempfile.TemporaryDirectory() as folder:
            try:
                found[run.name] = outcome(run, Path(folder))
            except Exception as error:  # noqa: BLE001 - a run that fails is told of, and the others are done
                problem, failed = f"{type(error).__name__}: {error}".replace(folder, "..."), failed + 1
                found[run.name] = {"run": {"metrics": [], "end": {"error": problem}}}
        print(f"{number:4d}  {time.perf_counter() - began:5.1f} s  {run.name}  {problem}", flush=True)
    write(out, found)
    print(f"{len(found)} runs, {failed} of them failed: {out}", flush=True)


def outcome(run: Run, folder: Path) -> dict[str, Any]:
    """What a run gave: the metrics and the end of every folder, and evaluations of the last one's policies."""
    folders = (run.how or straight)(run, folder)
    parts = {name: described(path) for name, path in folders.items()}
    if run.episodes and run.how is not in_memory:
        name, path = list(folders.items())[-1]
        for which, deterministic in [*(("latest", mode) for mode in run.modes), ("best", False)]:
            found = trpolab.evaluate(
                trpolab.load_policy(path, which), run.task, run.episodes, EVALUATION_SEED, deterministic, threads=1
            )
            label = f"evaluation of the {which}, {'mode' if deterministic else 'sampled'}"
            parts[name]["end"] |= {f"{label}: mean": found.mean, f"{label}: std": found.std}
            parts[name]["end"][f"{label}: episodes"] = digest({"returns": found.returns, "lengths": found.lengths})
    return parts


def described(folder: Path) -> dict[str, Any]:
    """A run folder: its metrics without times, and hashes of what the newest policy and checkpoint hold."""
    lines = (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    metrics = [{name: value for name, value in json.loads(line).items() if "seconds" not in name} for line in lines]
    if (alone := folder / "evaluation.json").exists():  # a run in memory
        return {"metrics": metrics, "end": {"evaluation": read_json(alone)}}
    policy, newest = max((folder / "policies").iterdir()), max((folder / "ckpt").iterdir())
    state = json.loads((newest / "state.json").read_text(encoding="utf-8"))
    end = {f"state: {name}": state[name] for name in STATE}
    end |= {"newest policy": policy.name, "newest checkpoint": newest.name}
    for file in (policy, newest / "policy.safetensors", newest / "train.safetensors"):
        kinds: dict[str, dict[str, np.ndarray]] = {}
        for name, array in arrays(file).items():
            kinds.setdefault(name.partition(".")[0], {})[name] = array
        at = f"{file.parent.name}/{file.name}" if file is not policy else "newest policy"
        end |= {f"{at}: {kind}": digest(found) for kind, found in sorted(kinds.items())}
    return {"metrics": metrics, "end": end}


def arrays(file: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file."""
    with safe_open(file, "numpy") as content:
        return {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - it is no dict


def digest(found: dict[str, np.ndarray]) -> str:
    """The SHA-256 of arrays: of their names, kinds, shapes and every bit."""
    total = hashlib.sha256()
    for name, array in sorted(found.items()):
        total.update(f"{name} {array.dtype} {array.shape};".encode() + np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def write(out: Path, found: dict[str, Any]) -> None:
    """A record: what it was made with, and the runs. JSON's floats are written so that they read back exactly."""
    about = {name: version(name) for name in INSTALLED}
    about |= {"python": platform.python_version(), "system": platform.system(), "machine": platform.machine()}
    out.write_text(json.dumps({"about": about, "runs": found}, indent=1), encoding="utf-8")


# How records are compared -------------------------------------------------------------------------------------------


def compare(old_file: Path, new_file: Path) -> int:
    """Print a table of which runs are the same and where others first differ; returns how many differ."""
    old, new = read_json(old_file), read_json(new_file)
    for name in old["about"]:
        if old["about"][name] != new["about"].get(name):
            print(f"made with different things: {name} {old['about'][name]} and {new['about'].get(name)}")
    every = dict.fromkeys((*old["runs"], *new["runs"]))
    rows = [(name, *first_difference(old["runs"].get(name), new["runs"].get(name))) for name in every]
    width = max([len(name) for name, *_ in rows], default=0)
    for name, same, where in rows:
        print(f"{name:{width}}  {'same' if same else 'DIFFERS'}  {where}".rstrip())
    differing = sum(not same for _, same, _ in rows)
    print(f"{len(rows) - differing} of {len(rows)} runs are the same, bit for bit")
    return differing


def first_difference(old: dict[str, Any] | None, new: dict[str, Any] | None) -> tuple[bool, str]:
    """Whether a run is the same in both records, and if not, where it begins to differ, with both values."""
    if old is None or new is None:
        return False, f"only in the {'new' if old is None else 'old'} record"
    for part in dict.fromkeys((*old, *new)):
        if part not in old or part not in new:
            return False, f"{part}: only in the {'new' if part not in old else 'old'} record"
        before, after = places(old[part]), places(new[part])
        for place in dict.fromkeys((*before, *after)):
            values = [json.dumps(found[place]) if place in found else "nothing" for found in (before, after)]
            if values[0] != values[1]:
                return False, f"{part}, {place}: {shown(values[0])} became {shown(values[1])}"
    return True, ""


def places(part: dict[str, Any]) -> dict[str, Any]:
    """Everything that is known of one folder, in order, by a name for its place."""
    found = {}
    for number, row in enumerate(part["metrics"], 1):
        found |= {f"line {number} (iteration {row.get('iteration')}), {name}": value for name, value in row.items()}
    return found | {f"end, {name}": value for name, value in part["end"].items()}


def shown(text: str) -> str:
    """A value, cut where it is long."""
    return text if len(text) <= 80 else f"{text[:77]}..."


def read_json(file: Path) -> Any:
    """What a JSON file holds."""
    return json.loads(file.read_text(encoding="utf-8"))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record", help="do the runs and write what they gave")
    recording.add_argument("out", type=Path, metavar="OUT.json")
    recording.add_argument("--only", default="", metavar="TEXT", help="only the runs whose names contain this")
    comparing = commands.add_parser("compare", help="say which runs are the same; exit code 1 if any is not")
    comparing.add_argument("old", type=Path, metavar="OLD.json")
    comparing.add_argument("new", type=Path, metavar="NEW.json")
    args = parser.parse_args()
    if args.command == "compare":
        return int(compare(args.old, args.new) > 0)
    record(args.out, args.only)
    return 0


if __name__ == "__main__":
    sys.exit(main())

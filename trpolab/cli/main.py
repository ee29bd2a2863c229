"""The parser of the terminal, and the way from a command to the function that does it."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from trpolab import __version__
from trpolab.cli.exits import Exit, refuse
from trpolab.extras import explained
from trpolab.settings import ConfigError, PlainError

RUNS_WHERE = "where runs go on: local, ray, or the address of a Ray cluster; a worker each, in a folder that all share"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code (see `Exit`)."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Greek letters is no reason to fail
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        with explained("this command"):
            if words[:1] in (["lab"], ["workshop"]) and not {"-h", "--help"} & set(words[1:2]):
                return int(resolve_name(f"trpolab.cli.{words[0]}:{words[0]}")(words[1:]))
            if words[:1] in (["train"], ["sweep"]):
                sys.path.append(os.getcwd())  # where modules of one's own lie: `python -m` looks there, too
            args, unknown = parser().parse_known_args(words)
            if unknown:
                parser().error(unknown_words(words[0], unknown))
            return int(resolve_name(f"trpolab.cli.{args.run}")(args))
    except PlainError as error:
        return refuse(error)
    except ImportError as error:
        if error.__cause__ is None:
            raise
        return refuse([str(error)])
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # whoever read our output has gone, as in `trpolab ... | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="trpolab", description="A lab for Trust Region Policy Optimization.", allow_abbrev=False
    )
    top.add_argument("--version", action="version", version=f"trpolab {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add = partial(commands.add_parser, allow_abbrev=False)
    add(
        "lab",
        help="copy the notebooks and open JupyterLab on the first",
        usage="trpolab lab [DIR] [OPTION ...]",
        description="Copy the notebooks to DIR, never over edits, and open JupyterLab there. Without DIR: the "
        "notebooks/ of the trpolab checkout that this is run in, else trpolab-notebooks. Everything after DIR goes to "
        "JupyterLab, as in `trpolab lab --no-browser --port 9999`.",
    )
    add(
        "workshop",
        help="the exercises: copy them and open the first; or see how far a class is",
        usage="trpolab workshop [DIR] [OPTION ...] | build [DIR] | progress DIR [--json]",
        description="Copy the exercises to DIR (default: trpolab-workshop), never over edits, and open JupyterLab on "
        "the first; everything after DIR goes to JupyterLab (`--no-browser` opens no page). `progress DIR` runs the "
        "notebooks in DIR, and in the folders in it, each in a process of its own, and tells which checks they pass. "
        "`build` makes the notebooks from their sources.",
    )
    train = add(
        "train",
        help="train on a task",
        description="Train on a task; the run folder is printed last.",
        epilog="Exit codes: 0 finished, 1 crashed, 2 bad input, or a refusal in a sentence, 3 diverged, 130 Ctrl-C. "
        "An option wins over --set, --set over --config, and --config over the preset.",
        add_help=False,
    )
    _add_options_of_train(train)
    sweep = add(
        "sweep",
        help="every combination of settings on a task, several seeds of each",
        description="Train with every combination of the values that are given, VALUE,VALUE,... each, with several "
        "seeds, a few runs at a time, and evaluate each policy at the end. Started again, it goes on; runs that are "
        "finished are left out. A table and CSV files at the end.",
        epilog="Exit codes: 0 all finished, 1 some crashed or diverged, 2 bad input, 130 Ctrl-C.",
    )
    _add_options_of_sweep(sweep)
    again = add(
        "reproduce",
        help="a figure or table of the paper, run anew: figure4, table1",
        description="Run what a figure or table of the paper shows, at its scale or at a part of it (what is scaled is "
        "printed), and write the figure, the data and the tables. Started again, it goes on.",
        epilog="Exit codes: 0 all finished, 1 some crashed or diverged, 2 bad input, 130 Ctrl-C.",
    )
    again.add_argument("name", metavar="NAME", help="figure4 (all methods on four tasks) or table1 (seven games)")
    again.add_argument(
        "--scale", default="small", help="small (figure4: an hour on two cores), medium (hours) or paper"
    )
    again.add_argument("--seeds", metavar="N", help="seeds 0 to N-1 of each (default: the paper's, 5 and 1)")
    again.add_argument("--jobs", metavar="N", help="runs at a time (default: the cores)")
    again.add_argument("--executor", default="local", help=RUNS_WHERE)
    again.add_argument("--out", metavar="FOLDER", help="where all of it lies (default: sweeps/NAME-SCALE)")
    again.set_defaults(run="reproduce:reproduce")
    bench = add("bench", help="the benchmarks, a table each")
    bench.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run (without any: the list of them)")
    bench.add_argument("--list", action="store_true", help="list the benchmarks, and how long each takes")
    bench.add_argument("--all", action="store_true", help="run every one, which takes hours")
    bench.add_argument("--out", metavar="FOLDER", help="also write each as NAME.md, NAME.json, NAME.svg and NAME.png")
    bench.set_defaults(run="bench:bench")
    watch = add("watch", help="the progress of a run that another process trains")
    watch.add_argument("folder", metavar="FOLDER", help="a run folder; it is only read")
    watch.set_defaults(run="watch:watch")
    play = add("play", help="a policy's rollout as an animated picture (PNG)")
    play.add_argument("what", metavar="TASK|FOLDER", help="a run folder, a policy file, or a task")
    play.add_argument("--task", help="the task to play, where a policy file does not tell its own")
    play.add_argument("--iteration", metavar="N", help="the policy of a run that was kept after N iterations")
    play.add_argument("--seed", metavar="N", help="where the episode starts (default: 0)")
    play.add_argument("--max-steps", metavar="N", help="the most decisions to show")
    play.add_argument("--out", metavar="FILE.png", help="where to write (default: <name>.png here)")
    play.set_defaults(run="play:play")
    export = add("export", help="a run for other programs")
    export.add_argument("folder", metavar="FOLDER", help="a run folder")
    export.add_argument("--to", required=True, metavar="KIND", help="csv, parquet, tensorboard, or zip (the whole run)")
    export.add_argument("--out", metavar="PATH", help="where to write (default: <run id>.<kind> here; FOLDER/tb)")
    export.set_defaults(run="export:export_run")
    taken = add("import", help="a run that was exported to a zip file elsewhere")
    taken.add_argument("file", metavar="FILE.zip", help="what `trpolab export --to zip` wrote")
    taken.add_argument("--out", default="runs", metavar="FOLDER", help="where its run folder is made (default: runs)")
    taken.set_defaults(run="export:import_run")
    doctor = add("doctor", help="what this machine has, what is missing, and the line that gets it")
    doctor.add_argument("--selftest", action="store_true", help="try out what is promised, on this machine (minutes)")
    doctor.add_argument(
        "--offline",
        metavar="DIR",
        help="put all wheels that the lab needs into DIR, for machines without a network; if they are there already: "
        "see whether they fit this machine, and print the line that installs them",
    )
    doctor.set_defaults(run="doctor:doctor")
    return top


def unknown_words(command: str, words: Sequence[str]) -> str:
    """What is said of words that the parser does not know: settings have no options of their own."""
    said = f"unrecognized arguments: {' '.join(words)}"
    names = [word.removeprefix("--").partition("=")[0] for word in words if word.startswith("--")]
    if command not in ("train", "sweep") or not names:
        return said
    from trpolab.settings import unknown_setting
    from trpolab.training.config import settings

    for name in (name.replace("-", "_") for name in names):
        said += f"; --set {name}=VALUE" if name in settings() else f"; {unknown_setting(name, settings())}"
    return said


class _Import(argparse.Action):
    """Import a module at once, so that what it registers is there for `--help` and for every option after it."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, name: Any, option: Any = None) -> None:
        if "/" in name or name.endswith(".py"):
            raise ConfigError([f"--import {name}: give the module's name, such as {Path(name).stem}"])
        try:
            importlib.import_module(name)
        except Exception as error:
            raise ConfigError([f"--import {name}: {type(error).__name__}: {error}"]) from error


class _TrainHelp(argparse.Action):
    """`--help` with the settings, which are only loaded for it."""

    def __call__(self, parser: argparse.ArgumentParser, *given: object) -> None:
        from trpolab.cli.settings_help import settings_text

        print(f"{parser.format_help()}\n{settings_text()}")
        parser.exit()


def _add_options_of_sweep(sweep: argparse.ArgumentParser) -> None:
    add = sweep.add_argument
    add("task", metavar="TASK", help="as for train")
    for name in ("method", "sampler", "proposal", "preset", "device", "delta", "steps-per-iteration"):
        add(f"--{name}", metavar="VALUE,...", help="as for train; several values are an axis of the grid")
    add("--set", action="append", default=[], metavar="KEY=VALUE,...", help="any setting by its name; may be repeated")
    add("--steps", metavar="N", help="simulator steps of each run, branches and candidates included")
    add("--iterations", metavar="N", help="iterations of each run")
    add("--seeds", metavar="N", help="seeds 0 to N-1 of each combination (default: 5)")
    add("--jobs", metavar="N", help="runs at a time (default: the cores); their numbers do not depend on it")
    add("--executor", help=RUNS_WHERE)
    add("--episodes", metavar="N", help="episodes that judge each policy at the end (default: 20)")
    add("--deterministic", action="store_true", help="judge by the distribution's mode instead of sampled actions")
    add("--out", metavar="FOLDER", help="where the runs and the tables lie (default: sweeps/TASK)")
    add("--import", action=_Import, dest="imported", metavar="MODULE", help="as for train")
    sweep.set_defaults(run="sweep:sweep")


def _add_options_of_train(train: argparse.ArgumentParser) -> None:
    # Values stay texts here: the settings know their own bounds, so that everything wrong is told at once.
    add = train.add_argument
    add("-h", "--help", action=_TrainHelp, nargs=0, help="show this, every setting included, and exit")
    add(
        "task",
        nargs="?",
        metavar="TASK",
        help="for example CartPole-v1, Hopper-v5, paper/Swimmer; minigrid:MiniGrid-Empty-5x5-v0, an id that a package "
        "registers; my_envs:MyEnv, a class or a function of a module, also of one in this folder",
    )
    add("--method", help="the update (default: trpo)")
    add("--sampler", help="how states and actions are sampled (default: single-path)")
    add("--proposal", help="distribution of a branch's first action, for the vine")
    add("--preset", help="modern or paper (default: modern)")
    add("--device", help="where the update runs: auto, cpu or cuda (default: cpu; Atari games: auto)")
    add(
        "--executor",
        help="who samples: local, ray, or the HOST:PORT or ray://HOST:PORT of a Ray cluster (default: local)",
    )
    add("--workers", metavar="N", help="workers on Ray (default: as many as there are cores)")
    add(
        "--allow-version-mismatch",
        action="store_const",
        const="true",
        help="take workers with other versions or processors, too: the last bits may differ",
    )
    add("--delta", help="bound on the mean KL divergence of a step")
    add("--steps", metavar="N", help="simulator steps of the run, branches and candidates included")
    add("--iterations", metavar="N", help="iterations of the run (default: 100; with --steps: as many as fit)")
    add("--steps-per-iteration", metavar="N", help="simulator steps of an iteration")
    add("--seed", metavar="N", help="root of all randomness (default: 0)")
    add("--seeds", metavar="N", help="train with the seeds 0 to N-1, one after another")
    add("--out", default="runs", metavar="FOLDER", help="where run folders are made (default: runs)")
    add("--config", metavar="FILE.toml", help="settings from a file")
    add(
        "--import",
        action=_Import,
        dest="imported",
        metavar="MODULE",
        help="import a module that registers methods, samplers or tasks of its own; may be repeated",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="any setting by its name; may be repeated. N:KEY=VALUE: from iteration N on",
    )
    add("--resume", metavar="FOLDER", help="go on with a run from its last checkpoint, with its own settings")
    add("--changed-environment", action="store_true", help="with --resume: go on with other environments than it had")
    add("--at", metavar="N", help="with --resume: a new run, which begins from that run's checkpoint of iteration N")
    train.set_defaults(run="train:train")

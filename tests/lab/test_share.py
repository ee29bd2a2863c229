"""The texts to be copied do a run again, as it was steered, in a process of their own."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ipywidgets", reason='needs the lab: pip install "trpolab[lab]"')

import gymnasium

from tests.training.test_rewind import TURNS, steered
from trpolab.lab.share import as_command, as_python
from trpolab.selftest.expect import expect_metrics, fingerprint
from trpolab.training.session import Session


@pytest.fixture(scope="module")
def steered_run(tmp_path_factory: pytest.TempPathFactory) -> Session:
    """Turned by hand at several iterations, stopped, taken up, rewound, with slots and steps of its own."""
    out = tmp_path_factory.mktemp("runs")
    about: dict[str, Any] = {"out": out, "slots": 4, "checkpoint_every": 1, "seed": 3}
    first = steered(TURNS | {2: {"steps_per_iteration": 300}}, iterations=5, **about)
    back = Session(resume=first.path, at=4, out=out, delta=0.0123, method="trpo")
    for _ in back.iterate():
        back.controls.stop()
    return Session(resume=back.path, iterations=6).run()


def numbers(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the note of what was turned before the first iteration: run.json holds that as the run's own settings."""
    return [{**rows[0], "changed": None}, *rows[1:]]


def ran(*words: str, cwd: Path) -> str:
    done = subprocess.run([sys.executable, *words], cwd=cwd, capture_output=True, text=True, check=True)
    return done.stdout


def test_the_python_text_does_the_run_again(steered_run: Session, tmp_path: Path) -> None:
    tail = """
import json
from trpolab.selftest.expect import fingerprint
print(json.dumps([fingerprint(session), list(session.history)]))
"""
    text = as_python(steered_run)
    learned, history = json.loads(ran("-c", text + tail, cwd=tmp_path))
    expect_metrics(numbers(history), numbers(steered_run.history), "the replay")
    assert learned == fingerprint(steered_run)


def test_the_command_does_the_run_again(steered_run: Session, tmp_path: Path) -> None:
    program, *words = shlex.split(as_command(steered_run))
    assert program == "trpolab"
    main = "import sys; from trpolab.cli import main; sys.exit(main())"
    folder = ran("-c", main, *words, cwd=tmp_path).splitlines()[-1]
    again = Session(resume=tmp_path / folder)
    expect_metrics(numbers(again.history), numbers(steered_run.history), "the replay")
    assert fingerprint(again) == fingerprint(steered_run)


def test_a_plain_run_is_a_plain_line() -> None:
    run = Session("CartPole-v1", out=None)
    assert as_python(run) == "import trpolab\n\nsession = trpolab.train('CartPole-v1', iterations=1)"
    assert as_command(run) == "trpolab train CartPole-v1 --set iterations=1"
    run.controls.replace(delta=0.05, iterations=7)
    assert as_command(run) == "trpolab train CartPole-v1 --set delta=0.05 --set iterations=1"


def test_what_has_no_name_is_said() -> None:
    run = Session(lambda: gymnasium.make("Pendulum-v1"), out=None, slots=2, steps_per_iteration=64)
    assert "# the task was given as a Python object" in as_python(run) and "trpolab.train(task, " in as_python(run)
    assert as_command(run).startswith("# the task was given as a Python object")

"""`trpolab watch`: a run that another process writes, resumes, or leaves."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from trpolab.cli import main
from trpolab.selftest.children import CARTPOLE, child, only_run, train_on, until
from trpolab.selftest.expect import contents
from trpolab.training.session import Session, train

WATCH = [sys.executable, "-c", "import sys; from trpolab.cli import main; sys.exit(main())", "watch"]


def test_a_run_is_followed_to_its_end_and_nothing_is_written(tmp_path: Path) -> None:
    session = Session(out=tmp_path, iterations=4, **CARTPOLE)
    loop = session.iterate()
    next(loop)
    process = subprocess.Popen([*WATCH, str(session.path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    shown = [process.stdout.readline(), process.stdout.readline()]
    assert shown[0].startswith("watching CartPole-v1, ") and shown[1].startswith("iteration 1/4  return ")
    for _ in loop:
        pass
    before = contents(session.path)
    rest = process.communicate(timeout=120)[0].splitlines()
    assert process.returncode == 0 and contents(session.path) == before
    assert rest[-2].startswith("iteration 4/4  return ") and rest[-1] == "finished, iteration 4"


def test_a_run_that_was_killed_is_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    process = child(train_on, tmp_path, 1)
    path = until(lambda: only_run(tmp_path))
    until(lambda: (path / "ckpt" / "000002").exists())
    threading.Timer(1, process.kill).start()
    assert main(["watch", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("crashed (resumable), iteration ")


def test_torn_lines_bad_lines_and_resumptions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = train(out=tmp_path, iterations=3, **CARTPOLE).path
    assert path is not None
    file = path / "metrics.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    bad = {**rows[2], "kl_mean": "<b>", "sim_steps": None, "outcome": "\x1b[2Jrejected", "seconds_total": []}
    lines = [*map(json.dumps, rows), "no JSON", '{"x": 1}', json.dumps({**rows[1], "segment": 1}), json.dumps(bad)]
    file.write_text("\n".join(lines) + '\n{"segment": 1, "iteration": 4')
    assert main(["watch", str(path)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "taken up again after iteration 1" in shown
    assert (
        shown[-2].startswith("iteration 3/3") and "?[2Jrejected" in shown[-2] and shown[-1] == "finished, iteration 3"
    )


def test_a_folder_that_is_no_run_is_told_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(tmp_path)]) == main(["watch", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"trpolab: {str(tmp_path)!r} is not a run folder: it has no run.json",
        f"trpolab: {str(tmp_path / 'none')!r} is not a folder",
    ]


def test_a_run_that_has_not_begun_is_waited_for(tmp_path: Path) -> None:
    session = Session(out=tmp_path, iterations=1, **CARTPOLE)
    session._recorder.open(session.config, 0)
    session._recorder.status("created", 0)
    process = subprocess.Popen([*WATCH, str(session.path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline().startswith("watching")
    time.sleep(1)
    assert process.poll() is None
    session._recorder.finish("stopped", "", session._train_state)
    assert process.communicate(timeout=60)[0].splitlines() == ["stopped, iteration 0"]

"""The table of run folders: what it shows, what it is taken for, and what it deletes."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import torch

from tests.reliability.runs import session
from trpolab.runs.browser import Runs
from trpolab.runs.reader import RunFolderError, load_policy, read_run
from trpolab.selftest.expect import contents
from trpolab.training.session import Session

EVIL = "<img src=x onerror=alert(1)>\x1b[2J"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Session]]:
    """A run, one rewound from it, and one of another method."""
    out = tmp_path_factory.mktemp("runs")
    first = session(out=out, iterations=4, checkpoint_every=2, label="mine").run()
    back = Session(resume=first.path, at=2, out=out, method="natural_gradient", iterations=3).run()
    other = session(out=out, iterations=1, seed=7).run()
    return out, [first, back, other]


def test_it_shows_every_run_and_its_family(made: tuple[Path, list[Session]]) -> None:
    out, (first, back, other) = made
    runs = importlib.import_module("trpolab.runs")(out)
    assert [run.path for run in runs] == [first.path, back.path, other.path]
    a, b, c = runs
    assert (a.label, a.iterations, a.steps, a.parent) == ("mine", 4, first.progress.sim_steps, "")
    assert a.score == pytest.approx(first.progress.score)
    assert (b.method, b.iterations, b.parent) == ("natural_gradient", 3, f"{a.name} at 2")
    assert c.seed == 7 and {run.state for run in runs} == {"finished"}
    assert torch.equal(load_policy(a).theta, first.policy.theta) and Session(resume=a, iterations=9).task.name == a.task
    assert repr(runs).splitlines()[0] == f"3 runs in {out}" and a.name in repr(runs)
    assert [run.iterations for run in runs.sort("iterations", descending=True)] == [4, 3, 1]
    with pytest.raises(RunFolderError, match="by = 'age': must be one of name, label"):
        runs.sort("age")


def test_runs_of_one_second_stand_in_the_order_of_their_beginnings(tmp_path: Path) -> None:
    for name, micros in zip("cadb", range(4), strict=True):
        (tmp_path / name).mkdir()
        about = {"schema": 1, "id": name, "task": "t", "settings": {}, "created": f"2026-01-01T00:00:00.{micros:06}Z"}
        (tmp_path / name / "run.json").write_text(json.dumps(about))
    assert [run.name for run in Runs(tmp_path)] == ["c", "a", "d", "b"]


def test_all_of_it_is_text(made: tuple[Path, list[Session]], tmp_path: Path) -> None:
    path = session(out=tmp_path, iterations=1).run().path
    assert path is not None
    about = read_run(path)
    (path / "run.json").write_text(
        json.dumps({**about, "label": EVIL, "task": EVIL, "parent": {"run": EVIL, "iteration": 1}})
    )
    (tmp_path / "no run").mkdir()
    (tmp_path / "<b>broken").mkdir()
    (tmp_path / "<b>broken" / "run.json").write_text("{")
    runs = Runs(tmp_path)
    assert len(runs) == 1 and "not readable JSON" in runs.broken[0]
    assert "<img" not in runs._repr_html_() and "<b>" not in runs._repr_html_() and "\x1b" not in repr(runs)
    with pytest.raises(RunFolderError, match="is not a folder"):
        Runs(tmp_path / "none")


def test_a_label_is_changed_on_the_disk_and_nothing_else(tmp_path: Path) -> None:
    path = session(out=tmp_path, iterations=1, label="before").run().path
    runs = Runs(tmp_path)
    about, before = read_run(str(path)), contents(Path(str(path)), "run.json")
    assert runs.label(0, "after").label == "after" == Runs(tmp_path)[0].label
    assert read_run(str(path)) == {**about, "label": "after"} and contents(Path(str(path)), "run.json") == before
    with pytest.raises(RunFolderError, match="must be printable characters"):
        runs.label(0, "two\nlines")
    Session(resume=path, iterations=2).run()


def test_a_run_is_deleted_by_its_name_alone_and_never_while_it_is_written(tmp_path: Path) -> None:
    run = session(out=tmp_path, iterations=5)
    loop = run.iterate()
    next(loop)
    runs = Runs(tmp_path)
    with pytest.raises(RunFolderError, match="is being written; stop that run first"):
        runs.delete(0, confirm=runs[0].name)
    loop.close()
    said = runs.delete(0)
    assert "is kept; to delete it for good" in said and f"delete(0, confirm={runs[0].name!r})" in said
    assert "is kept" in runs.delete(0, confirm="yes") and runs[0].path.exists()
    assert "is deleted" in runs.delete(0, confirm=runs[0].name)
    assert not list(tmp_path.iterdir()) and len(runs) == 0 == len(Runs(tmp_path))

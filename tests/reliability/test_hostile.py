"""Bad labels, bad settings, bad lines: refused in a sentence, or shown as text, and nothing is written elsewhere."""

from __future__ import annotations

import json
import math
import re
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from tests.reliability.runs import session
from trpolab.runs.reader import RunFolderError, load_policy, read_lines, read_metrics, read_run
from trpolab.selftest.expect import contents
from trpolab.selftest.files import reads_torn_lines
from trpolab.settings import ConfigError
from trpolab.simulators.base import UnsupportedSpace
from trpolab.training.session import Session, train

# Labels and names

LABELS = {
    "parent": "../../x",
    "absolute": "/etc/passwd",
    "NUL": "a\0b",
    "lines": "a\nb",
    "terminal": "\x1b[2J",
    "long": "x" * 300,
    "device": "CON",
    "script": "<img src=x onerror=alert(1)>",
    "surrogate": "\ud800",
    "number": 7,
}
REFUSED = {"NUL", "lines", "terminal", "long", "surrogate", "number"}
RUN_ID = re.compile(r"^\d{8}T\d{6}Z-[A-Za-z0-9][A-Za-z0-9._-]{0,63}-[0-9a-f]{6}$")


def label_is_harmless(kind: str, scratch: Path) -> None:
    """R27: nothing outside the runs folder, whose name is a generated one; the label is data."""
    out = scratch / "runs"
    if kind in REFUSED:
        with pytest.raises(ConfigError, match="label = "):
            session(out=out, iterations=1, label=LABELS[kind]).run()
        assert contents(scratch) == {}
        return
    run = session(out=out, iterations=1, label=LABELS[kind]).run()
    assert run.path is not None
    assert [path.name for path in scratch.iterdir()] == ["runs"]
    assert list(out.iterdir()) == [run.path]
    assert RUN_ID.match(run.path.name) and len(run.path.name) <= 64
    assert read_run(run.path)["label"] == LABELS[kind]


@pytest.mark.reliability("R27")
@pytest.mark.parametrize("kind", sorted(LABELS))
def test_a_label_is_only_data(kind: str, scratch: Path) -> None:
    label_is_harmless(kind, scratch)


class Hostile(gymnasium.Env):
    """A task with a hostile name."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float64)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return np.zeros(1), {}

    def step(self, action: Any) -> Any:
        return np.zeros(1), 0.0, True, False, {}


@pytest.mark.reliability("R27")
@pytest.mark.parametrize("name", ["../../x", "/abs", "a\0b", "CON", "<img src=x onerror=alert(1)>", "n" * 300, ""])
def test_a_tasks_name_makes_a_harmless_folder_and_harmless_html(name: str, scratch: Path) -> None:
    kind = type(name.replace("\0", "?") or "?", (Hostile,), {})
    run = train(kind, out=scratch / "runs", iterations=1, steps_per_iteration=8, slots=2)
    assert run.path is not None
    assert [path.name for path in scratch.iterdir()] == ["runs"]
    assert RUN_ID.match(run.path.name) and len(run.path.name) <= 64


def shown_as_text() -> None:
    """R27, in a lab: task, folder and error are shown, never run."""
    pytest.importorskip("ipywidgets")
    from trpolab.lab.charts import Charts
    from trpolab.lab.page import Page

    evil = "<img src=x onerror=alert(1)>"
    import ipywidgets

    page = Page(evil, ipywidgets.VBox(), Charts(), lambda name: None)
    page.show_status(evil, evil, evil)
    page.show_folder(Path(evil))
    page.show_error(evil, evil)
    page.show_code("python", evil)
    for widget in (page.status, page.where, page.error, page.code):
        assert "&lt;img" in widget.value
        assert "<img" not in widget.value
    page.close()


@pytest.mark.reliability("R27")
def test_names_are_shown_as_text_in_the_lab() -> None:
    shown_as_text()


# Settings


def dictionary_task() -> gymnasium.Env:
    env = gymnasium.make("CartPole-v1")
    env.unwrapped.observation_space = gymnasium.spaces.Dict({"a": gymnasium.spaces.Text(5)})
    return env


BAD: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unknown key": ({"detla": 0.1}, ("unknown setting 'detla'", "did you mean delta")),
    "bounds": ({"delta": 0.0, "gamma": 1.5}, ("delta = 0.0: must be > 0", "gamma = 1.5")),
    "kinds": ({"delta": "big", "hidden": (0,), "seed": 1.5}, ("delta = 'big'", "hidden", "seed = 1.5")),
    "not finite": ({"delta": math.nan, "lam": math.inf}, ("delta = nan", "lam = inf")),
    "one action for Eq. 16": (
        {"sampler": "vine", "vine.actions": 1, "proposal": "policy", "vine.estimator": "self-normalized"},
        ("vine.actions = 1",),
    ),
    "too few steps for a path": ({"path.whole": True, "steps_per_iteration": 1}, ("steps_per_iteration = 1",)),
    "many at once": (
        {"delta": -1, "iterations": 0, "nonsense": 1, "path.whole": True, "advantage": "luck", "threads": 0},
        ("delta = -1", "iterations = 0", "'nonsense'", "advantage = 'luck'", "threads = 0"),
    ),
}


def refuses_settings(case: str, scratch: Path) -> None:
    """R28: one error lists everything, and no folder is made."""
    settings, sentences = BAD[case]
    with pytest.raises(ConfigError) as refused:
        train("CartPole-v1", out=scratch / "runs", **settings)
    for sentence in sentences:
        assert sentence in str(refused.value)
    assert len(refused.value.problems) >= len([text for text in sentences if " = " in text or "setting" in text])
    assert list(scratch.iterdir()) == []


@pytest.mark.reliability("R28")
@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_settings_are_told_together(case: str, scratch: Path) -> None:
    refuses_settings(case, scratch)


@pytest.mark.reliability("R28")
def test_spaces_that_no_policy_takes_are_refused(scratch: Path) -> None:
    with pytest.raises(UnsupportedSpace, match="Dict"):
        train(dictionary_task, out=scratch / "runs")
    assert list(scratch.iterdir()) == []


@pytest.mark.reliability("R28")
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda about: about.pop("task"), "its 'task' is None, not a text"),
        (lambda about: about.update(task=["x"]), "its 'task' is ['x'], not a text"),
        (lambda about: about.pop("settings"), "its 'settings' is None, not a table"),
        (lambda about: about.update(schema="1"), "no schema number"),
        (lambda about: about.update(schema=2), "written by a newer trpolab"),
    ],
)
def test_a_folder_that_does_not_describe_a_run(change: Callable[[Any], Any], sentence: str, scratch: Path) -> None:
    folder = session(out=scratch, iterations=1).run().path
    assert folder is not None
    about = json.loads((folder / "run.json").read_text())
    change(about)
    (folder / "run.json").write_text(json.dumps(about))
    for use in (read_run, read_metrics, load_policy, lambda path: Session(resume=path)):
        with pytest.raises(RunFolderError, match=re.escape(sentence)):
            use(folder)


# Lines of metrics


@pytest.fixture
def folder(scratch: Path) -> Path:
    """A run of three iterations."""
    path = session(out=scratch, iterations=3).run().path
    assert path is not None
    return path


@pytest.mark.reliability("R29")
@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b'{"segment": 0, "iteration": 2, "x": }',
        b"[1]",
        b'{"segment": 0}',
        b'{"segment": 0, "iteration": 2, "x": NaN}',
        b'{"iteration": "two"}',
        b"\xff\xfe",
    ],
)
def test_a_torn_tail_is_ignored_and_a_bad_middle_line_is_named(bad: bytes, tmp_path: Path) -> None:
    reads_torn_lines(tmp_path, bad)


@pytest.mark.reliability("R29")
def test_numbers_that_are_not_finite_are_null_and_named(folder: Path) -> None:
    from trpolab.runs.writer import RunFolder

    run_folder = RunFolder(folder, 1)
    run_folder.metrics({"iteration": 4, "kl_mean": math.nan, "gain": math.inf, "inner": {"x": -math.inf}, "fine": 1.5})
    run_folder.close()

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    rows = [json.loads(line, parse_constant=refuse) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["kl_mean"] is None and rows[-1]["gain"] is None and rows[-1]["fine"] == 1.5
    assert rows[-1]["nonfinite"] == ["kl_mean", "gain"] and rows[-1]["inner"]["nonfinite"] == ["x"]


def a_million_lines(folder: Path, count: int = 1_000_000) -> None:
    """R29: read in bounded memory; a second segment takes the last lines back."""
    file = folder / "metrics.jsonl"
    rest = ', "sim_steps": 123456, "return_mean": 123.456, "outcome": "accepted"}\n'
    with file.open("w") as lines:
        for index in range(1, count + 1):
            lines.write(f'{{"segment": 0, "iteration": {index}{rest}')
        for index in range(count - 9, count + 1):
            lines.write(f'{{"segment": 1, "iteration": {index}{rest}')
    began = time.process_time()
    rows = read_metrics(folder, most=1000)
    took = time.process_time() - began
    assert took < 3
    assert len(rows) == 1000
    assert [rows[0]["iteration"], rows[-1]["iteration"], rows[-1]["segment"]] == [1, count, 1]
    gaps = np.diff([row["iteration"] for row in rows])
    assert gaps.min() > 0 and gaps.max() <= 2 * count / 1000


@pytest.mark.reliability("R29")
def test_a_million_lines(folder: Path) -> None:
    a_million_lines(folder)


@pytest.mark.reliability("R29")
def test_reading_takes_bounded_memory(folder: Path) -> None:
    file = folder / "metrics.jsonl"
    line = '{"segment": 0, "iteration": %d, "text": "' + "x" * 1000 + '"}\n'
    with file.open("w") as lines:
        lines.writelines(line % index for index in range(1, 20_001))
    tracemalloc.start()
    read_metrics(folder, most=100)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 3e6 < file.stat().st_size / 5


@pytest.mark.reliability("R29")
def test_events_with_a_torn_tail_are_gone_on_with(folder: Path) -> None:
    file = folder / "events.jsonl"
    file.write_bytes(file.read_bytes() + b'{"time": "2026')
    run = Session(resume=folder, iterations=4).run()
    assert [event["event"] for event in read_lines(file)][-1] == [event["event"] for event in run.events][-1]

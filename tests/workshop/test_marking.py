"""A folder of variously broken notebooks gives a true table."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("IPython", reason='needs the lab: pip install "trpolab[lab]"')

from trpolab.cli import main
from trpolab.settings import PlainError
from trpolab.workshop.checks import YES
from trpolab.workshop.marking import Marked, mark
from trpolab.workshop.source import exercises

SETUP = "import numpy as np\nfrom trpolab.workshop import check, hint\n\nEXERCISE = 1"
(FIRST,) = [one for one in exercises() if one.number == 1]
RETURNS, SCORE = (block.text for block in FIRST.blocks if block.kind == "solution")
STUBS = [block.text for block in FIRST.blocks if block.kind == "stub"]
SOLVED = [SETUP, RETURNS, SCORE]
WRONG = "def returns(rewards, gamma):\n    return rewards[::-1].cumsum()[::-1]"
CATCHES_ALL = "import time\nwhile True:\n    try:\n        time.sleep(9)\n    except BaseException:\n        pass"
GARBAGE = """
import os
for fd in range(3, 64):
    try:
        os.write(fd, b'\\xff' * 99)
    except OSError:
        pass
"""
RAISES = "def returns(rewards, gamma):\n    raise ValueError('\\x1b[2J' + 'x' * 10**6)"
FAKE = "class check:\n    returns = score_gradient = staticmethod(lambda function: True)"
PATCHED = """
import sys
from trpolab.workshop import checks, marking
checks.Judgement.__bool__ = lambda self: True
checks.FunctionCheck.judged = lambda self, attempt: checks.Judgement(self.name)
marking._first_fault = lambda judgement: "yes"
for name, module in sys.modules.items():
    if name.startswith("trpolab.workshop.exercises.e"):
        module.near = lambda *values: ""
"""
FORGED = """
import json, os, struct
for said in ({"exercise": 1, "checks": {"returns": "yes", "score_gradient": "yes"}, "fault": ""},
             {"functions": {"returns": {"fault": "", "answers": []}, "score_gradient": {"fault": "", "answers": []}},
              "fault": ""}):
    text = json.dumps(said).encode()
    for fd in range(3, 64):
        try:
            os.write(fd, struct.pack("!i", len(text)) + text)
        except OSError:
            pass
"""
SOLVES = """
from trpolab.workshop.source import exercises
for block in exercises()[0].blocks:
    if block.kind == 'solution':
        exec(block.text)
"""
LEFT_OUT = {"tags": ["real"]}

# (cells, or the bytes of the file) -> which of (returns, score_gradient) pass, and a part of what is said
NOTEBOOKS: dict[str, tuple[Any, tuple[bool, bool] | None, str]] = {
    "a1 solved": (SOLVED, (True, True), ""),
    "a2 with a cell that need not run": ([*SOLVED, ("1 / 0", LEFT_OUT)], (True, True), ""),
    "a3 with magics and a shell": ([*SOLVED, "%precision 3\n!echo hello\n%time 1 + 1"], (True, True), ""),
    "a4 prints much": ([*SOLVED, "for _ in range(10_000):\n    print('x' * 1000)"], (True, True), ""),
    "a5 leaves": ([SETUP, "import sys\nsys.exit(1)", RETURNS, SCORE], (True, True), "cell 2: SystemExit"),
    "a6 a cell hangs": (
        [SETUP, "while True:\n    pass", RETURNS, SCORE],
        (True, True),
        "cell 2 was stopped after 1 sec",
    ),
    "b1 stubs": ([SETUP, *STUBS], (False, False), "still the stub"),
    "b2 half": ([SETUP, RETURNS, STUBS[1]], (True, False), "still the stub"),
    "b3 a cell deleted": ([SETUP, SCORE], (False, True), "there is no returns: its cell is missing"),
    "b4 all cells deleted": ([SETUP], (False, False), "its cell is missing"),
    "b5 wrong": ([SETUP, WRONG, SCORE], (False, True), "the rewards are not discounted"),
    "b6 no syntax": ([SETUP, "def returns(rewards, gamma:", SCORE], (False, True), "SyntaxError"),
    "b7 no function": ([SETUP, "returns = 3", SCORE], (False, True), "that is a int"),
    "b8 a check of its own": ([SETUP, FAKE, WRONG, SCORE], (False, True), "not discounted"),
    "b8 patches the check": ([SETUP, WRONG, SCORE, PATCHED], (False, False), "it did not answer"),
    "b8 solves it by its source": ([SETUP, SOLVES], (True, True), "look at cell 2: it uses the workshop's own code"),
    "b9 raises much": ([SETUP, RAISES, SCORE], (False, True), "ValueError"),
    "c1 ends its process": ([*SOLVED, "import os\nos._exit(0)"], None, "its process ended: in cell 4"),
    "c2 catches everything": ([*SOLVED, CATCHES_ALL], None, "still running after 6 seconds: in cell 4"),
    "c3 writes garbage": ([*SOLVED, GARBAGE], None, "makes no sense"),
    "c3 forges an answer": ([SETUP, WRONG, STUBS[1], FORGED], None, "makes no sense"),
    "c4 wants all memory": ([*SOLVED, "x = bytearray(10**12)"], (True, True), "cell 4: MemoryError"),
    "c5 fills the disk": ([*SOLVED, "open('f', 'wb').truncate(10**12)"], (True, True), "cell 4: OSError"),
    "c6 kills its parent": ([*SOLVED, "import os\nos.kill(os.getppid(), 9)"], (True, True), ""),
    "d1 empty": (b"", None, "no notebook of the workshop"),
    "d2 broken JSON": (b'{"cells": [', None, "no notebook of the workshop"),
    "d3 a list": (b"[]", None, "no notebook of the workshop"),
    "d4 nested deep": (b"[" * 100_000, None, "no notebook of the workshop"),
    "d5 no text": (b"\xff\xfe\x00" * 99, None, "no notebook of the workshop"),
    "d6 cells of numbers": (b'{"cells": [1, 2]}', None, "no notebook of the workshop"),
    "d7 of no exercise": (["x = 1"], None, "no cell says EXERCISE"),
    "01_returns_and_score, without its first cell": ([RETURNS, SCORE], (False, False), "NameError"),
}


def written(cells: list[Any]) -> bytes:
    pairs = [cell if isinstance(cell, tuple) else (cell, {}) for cell in cells]
    made = [
        {"cell_type": "code", "metadata": about, "outputs": [], "execution_count": None, "source": source}
        for source, about in pairs
    ]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Marked]:
    folder = tmp_path_factory.mktemp("class")
    for name, (content, _, _) in NOTEBOOKS.items():
        place = folder / name[:1] / f"{name}.ipynb"
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else written(content))
    (folder / "folder.ipynb").mkdir()
    os.mkfifo(folder / "pipe.ipynb")
    (folder / "solutions").mkdir()
    (folder / "solutions" / "left out.ipynb").write_bytes(written(SOLVED))
    return {Path(one.notebook).stem: one for one in mark(folder, seconds=6, cell_seconds=1)}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_table_is_true(table: dict[str, Marked], name: str) -> None:
    marked, (_, passes, said) = table[name], NOTEBOOKS[name]
    found = tuple(marked.checks[function] == YES for function in FIRST.functions) if marked.checks else None
    assert found == passes, marked
    assert marked.passed is (passes == (True, True)) and marked.exercise == (1 if passes else None)
    told = [*marked.checks.values(), marked.fault]
    assert any(said in each for each in told) and all(len(each) <= 300 for each in told), marked


def test_every_notebook_has_its_line(table: dict[str, Marked]) -> None:
    assert set(table) == {*NOTEBOOKS, "folder", "pipe"}
    assert "not a file" in table["folder"].fault and "not a file" in table["pipe"].fault


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux hands on what is left behind")
def test_no_process_is_left_behind(tmp_path: Path) -> None:
    kept = tmp_path / "pids"
    leaves = f"""
import os, subprocess, sys
kept = {str(kept)!r}
own = [subprocess.Popen(["setsid", "sleep", "300"]).pid]
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(kept, "a").write(f"{{os.getpid()}} ")
        os.execvp("sleep", ["sleep", "300"])
    os._exit(0)
os.wait()
open(kept, "a").write(f"{{own[0]}} ")
"""
    (tmp_path / "01.ipynb").write_bytes(written([*SOLVED, leaves]))
    (marked,) = mark(tmp_path)
    assert marked.passed and not marked.fault
    pids = [int(pid) for pid in kept.read_text().split()]
    assert pids and [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


def test_the_command_prints_a_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "b9.ipynb").write_bytes(written([SETUP, RAISES, SCORE]))
    assert main(["workshop", "progress", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "exercise 1: 1 of 2" in said and "0 of 1 notebooks pass" in said and "\x1b" not in said
    assert main(["workshop", "progress", str(tmp_path), "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["notebook"] == "b9.ipynb" and record["exercise"] == 1 and record["passed"] is False
    assert record["checks"]["score_gradient"] == YES and "ValueError" in record["checks"]["returns"]


def test_no_folder_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PlainError, match="holds no notebook"):
        list(mark(tmp_path))
    assert main(["workshop", "progress", str(tmp_path / "none")]) == 2
    assert "is not a folder" in capsys.readouterr().err
    assert main(["workshop", "progress"]) == 2
    assert "name one folder" in capsys.readouterr().err

"""The notebooks of the workshop are those that their sources make."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest

from trpolab.cli import main
from trpolab.workshop import check
from trpolab.workshop.builder import build, notebook
from trpolab.workshop.source import exercises, parse

SOURCE = """---
title: Doubling
minutes: 10
functions: double(x), twice(f, x)
---
Text with `code`.

```python
EXERCISE = 3
```

```python stub
def double(x):
    raise NotImplementedError
```

```python check
check.double(double)
```

```hint
Add it to itself.
```

```python solution
def double(x):
    return 2 * x
```

The end.
"""


def test_what_is_built_is_what_is_there(checkout: Path, tmp_path: Path) -> None:
    built = build(tmp_path)
    there = checkout / "notebooks" / "workshop"
    names = {str(path.relative_to(there)) for path in there.rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts}
    assert names == {str(path.relative_to(tmp_path)) for path in built}
    for path in built:
        same = path.read_text(encoding="utf-8") == (there / path.relative_to(tmp_path)).read_text(encoding="utf-8")
        assert same, f"{path.name} is not what its source makes: trpolab workshop build"


def test_one_source_makes_both_versions() -> None:
    exercise = parse("e03_doubling", SOURCE)
    assert exercise.functions == {"double": ("x",), "twice": ("f", "x")} and exercise.hints == ["Add it to itself."]
    stub, solved = (json.loads(notebook(exercise, solved)) for solved in (False, True))
    texts = {
        name: ["".join(cell["source"]) for cell in one["cells"]] for name, one in (("stub", stub), ("solved", solved))
    }
    assert "def double(x):\n    raise NotImplementedError" in texts["stub"]
    assert "def double(x):\n    return 2 * x" in texts["solved"]
    (folded,) = [text for text in texts["stub"] if "return 2 * x" in text]
    assert folded.startswith("<details>") and not any("raise Not" in text for text in texts["solved"])
    assert any(text.startswith("# hint(1)") for text in texts["stub"])
    assert not any("Add it to itself" in text for text in texts["stub"] + texts["solved"])
    assert "verdict = check.double(double)\nassert verdict, verdict\nverdict" in texts["solved"]
    order = [text.splitlines()[0] for text in texts["solved"]]
    assert order == [
        "# 3. Doubling",
        "Text with `code`.",
        "EXERCISE = 3",
        "def double(x):",
        "verdict = check.double(double)",
        "The end.",
    ]
    for one in (stub, solved):
        nbformat.validate(nbformat.from_dict(one))


def test_the_hints_of_a_second_function_come_after_those_of_the_first() -> None:
    (six,) = [one for one in exercises() if one.number == 6]
    assert (six.first_hint("check.step_length(step_length)"), six.first_hint("check.line_search(line_search)")) == (
        1,
        2,
    )
    assert "# hint(2) " in notebook(six, solved=False)
    assert "hint(2) gives a hint" in repr(check.line_search(lambda surrogate, mean_kl, theta, step, delta: theta))


def test_a_mark_that_there_is_not_is_told() -> None:
    with pytest.raises(ValueError, match="marked 'stubb'; there are picture, stub"):
        parse("e03_doubling", SOURCE.replace("python stub", "python stubb"))


def test_exercises_are_numbered() -> None:
    numbers = [exercise.number for exercise in exercises()]
    assert numbers == sorted(set(numbers))
    functions = [name for exercise in exercises() for name in exercise.functions]
    assert len(set(functions)) == len(functions)


def test_the_command_builds_and_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["workshop", "build", str(tmp_path / "made")]) == 0
    assert str(tmp_path / "made") in capsys.readouterr().out
    assert len(list((tmp_path / "made").glob("*.ipynb"))) == len(exercises())
    monkeypatch.chdir(tmp_path)
    assert main(["workshop", "build"]) == 2
    assert "name one folder" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert main(["workshop", "build", "file"]) == 2

"""`trpolab workshop`: a copy of the exercises, opened on the first, without their solutions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("jupyterlab", reason='no JupyterLab; get it with: pip install "trpolab[lab]"')

from trpolab.cli import lab, main


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, list[str], str]]:
    """What JupyterLab was started with, instead of starting it."""
    calls: list[tuple[Path, list[str], str]] = []
    monkeypatch.setattr(lab, "serve", lambda folder, options, first: calls.append((folder, list(options), first)) or 0)
    return calls


@pytest.mark.parametrize(
    ("words", "folder", "options"),
    [
        ([], "trpolab-workshop", []),
        (["class"], "class", []),
        (["class", "--no-browser"], "class", ["--no-browser"]),
        (["--port", "9"], "trpolab-workshop", ["--port", "9"]),
    ],
)
def test_it_copies_the_stubs_and_opens_the_first(
    words: list[str], folder: str, options: list[str], served: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["workshop", *words]) == 0
    assert served == [(tmp_path / folder, options, "01_returns_and_score.ipynb")]
    names = sorted(path.name for path in (tmp_path / folder).rglob("*.ipynb"))
    assert names[0] == served[0][2] and len(names) >= 7 and not (tmp_path / folder / "solutions").exists()
    first = json.loads((tmp_path / folder / names[0]).read_text(encoding="utf-8"))
    assert any("raise NotImplementedError" in "".join(cell["source"]) for cell in first["cells"])


def test_what_a_student_wrote_is_kept(
    served: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["workshop"]) == 0
    mine = tmp_path / "trpolab-workshop" / "05_conjugate_gradient.ipynb"
    mine.write_text("my work", encoding="utf-8")
    assert main(["workshop"]) == 0
    assert mine.read_text(encoding="utf-8") == "my work"


def test_it_opens_jupyterlab_on_the_first(tmp_path: Path) -> None:
    assert "--LabApp.default_url=/lab/tree/01_x.ipynb" in lab.jupyter_arguments(tmp_path, [], "01_x.ipynb")


def test_help_tells_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["workshop", "--help"])
    said = capsys.readouterr().out
    assert "progress DIR [--json]" in said and "build" in said

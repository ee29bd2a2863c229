"""`trpolab lab`: copies that respect edits, JupyterLab's arguments, plain sentences."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from trpolab.cli import lab, main


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    (folder / "workshop").mkdir(parents=True)
    (folder / lab.FIRST).write_text("one")
    (folder / "workshop" / "1.ipynb").write_text("two")
    for skipped in (".ipynb_checkpoints", "runs"):
        (folder / skipped).mkdir()
        (folder / skipped / "x.ipynb").write_text("left out")
    return folder


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, list[str]]]:
    """What JupyterLab was started with, instead of starting it."""
    calls: list[tuple[Path, list[str]]] = []
    monkeypatch.setattr(lab, "serve", lambda folder, options, *first: calls.append((folder, list(options))) or 0)
    return calls


def test_first_copy_takes_every_notebook_and_no_leftovers(source: Path, tmp_path: Path) -> None:
    copied = lab.copy_notebooks(source, tmp_path / "mine")
    assert copied == lab.Copied(written=(lab.FIRST, "workshop/1.ipynb"), kept=())
    assert (tmp_path / "mine" / "workshop" / "1.ipynb").read_text() == "two"
    assert not (tmp_path / "mine" / "runs").exists()


def test_an_edited_copy_is_kept(source: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    lab.copy_notebooks(source, mine)
    (mine / lab.FIRST).write_text("my edit")
    (source / lab.FIRST).write_text("a newer version")
    assert lab.copy_notebooks(source, mine) == lab.Copied(written=(), kept=(lab.FIRST,))
    assert (mine / lab.FIRST).read_text() == "my edit"


def test_an_untouched_copy_is_brought_up_to_date(source: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    lab.copy_notebooks(source, mine)
    (source / lab.FIRST).write_text("a newer version")
    assert lab.copy_notebooks(source, mine).written == (lab.FIRST,)
    assert (mine / lab.FIRST).read_text() == "a newer version"


@pytest.mark.parametrize("record", [None, "not json", "[]"])
def test_without_a_usable_record_whatever_differs_is_kept(source: Path, tmp_path: Path, record: str | None) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / lab.FIRST).write_text("somebody's own")
    if record is not None:
        (mine / lab.RECORD).write_text(record)
    assert lab.copy_notebooks(source, mine) == lab.Copied(written=("workshop/1.ipynb",), kept=(lab.FIRST,))
    assert (mine / lab.FIRST).read_text() == "somebody's own"


def test_an_edit_that_was_kept_once_is_kept_for_ever(source: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    lab.copy_notebooks(source, mine)
    (mine / lab.FIRST).write_text("my edit")
    for version in ("2", "3"):
        (source / lab.FIRST).write_text(version)
        assert lab.copy_notebooks(source, mine).kept == (lab.FIRST,)


def test_kept_notebooks_are_told_in_one_line(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], served: list
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lab, "packaged_notebooks", lambda: source)
    assert main(["lab", "mine"]) == 0
    (tmp_path / "mine" / lab.FIRST).write_text("edit")
    (tmp_path / "mine" / "workshop" / "1.ipynb").write_text("edit")
    capsys.readouterr()
    assert main(["lab", "mine"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert lab.FIRST in first and "workshop/1.ipynb" in first
    assert second == f"Notebooks: {tmp_path / 'mine'}"


@pytest.mark.parametrize(
    ("words", "folder", "options"),
    [
        ([], lab.DEFAULT_FOLDER, []),
        (["class"], "class", []),
        (["class", "--port", "9999"], "class", ["--port", "9999"]),
        (["--no-browser", "--port=9999"], lab.DEFAULT_FOLDER, ["--no-browser", "--port=9999"]),
        (["class", "--", "--no-browser"], "class", ["--no-browser"]),
    ],
)
def test_the_folder_comes_first_and_the_rest_goes_to_jupyterlab(
    words: list[str], folder: str, options: list[str], source: Path, tmp_path: Path, monkeypatch, served: list
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lab, "packaged_notebooks", lambda: source)
    assert main(["lab", *words]) == 0
    assert served == [(tmp_path / folder, options)]
    assert (tmp_path / folder / lab.FIRST).is_file()


def test_in_a_checkout_its_own_notebooks_are_opened(tmp_path: Path, monkeypatch, served: list) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "trpolab"\n')
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / lab.FIRST).write_text("one")
    (tmp_path / "deeper").mkdir()
    monkeypatch.chdir(tmp_path / "deeper")
    assert main(["lab"]) == 0
    assert served == [(tmp_path / "notebooks", [])]
    assert {path.name for path in (tmp_path / "notebooks").iterdir()} == {lab.FIRST}


@pytest.mark.parametrize("project", ['[project]\nname = "other"\n', "not toml ["])
def test_another_project_is_no_checkout(tmp_path: Path, project: str) -> None:
    (tmp_path / "pyproject.toml").write_text(project)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / lab.FIRST).write_text("one")
    assert lab.checkout_notebooks(tmp_path) is None


def test_jupyterlab_stays_on_loopback_with_its_token() -> None:
    arguments = lab.jupyter_arguments(Path("/somewhere"), ["--port=9999"])
    assert "--ServerApp.ip=127.0.0.1" in arguments
    assert not any("token" in argument or "password" in argument for argument in arguments)
    assert f"--LabApp.default_url=/lab/tree/{lab.FIRST}" in arguments
    assert arguments[-1] == "--port=9999"


def test_without_jupyterlab_one_sentence_names_the_command(monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "jupyterlab" else find(name))
    assert main(["lab"]) == 2
    assert capsys.readouterr().err == (
        'trpolab: the lab needs JupyterLab, which is not installed: pip install "trpolab[lab]"\n'
    )


def test_a_file_in_the_way_is_a_sentence(source: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(lab, "packaged_notebooks", lambda: source)
    (tmp_path / "taken").write_text("a file")
    assert main(["lab", str(tmp_path / "taken")]) == 2
    assert "could not be copied" in capsys.readouterr().err


def test_the_packaged_notebooks_are_there(checkout: Path) -> None:
    start = lab.packaged_notebooks() / lab.FIRST
    assert start.is_file()
    assert json.loads(start.read_text(encoding="utf-8"))["nbformat"] == 4

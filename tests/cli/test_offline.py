"""`trpolab doctor --offline`: a folder of wheels, by pip itself. Its index is a folder; no network is asked."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from trpolab.cli import main, offline

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "trpolab"
version = "9.9"
dependencies = ["needed>=1"]
[project.optional-dependencies]
lab = ["shown>=2"]
atari = []
cma = []
"""


def wheel(folder: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", "")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for all there is, and a small project in the place of trpolab's checkout."""
    folder, project = tmp_path / "index", tmp_path / "project"
    folder.mkdir()
    (project / "trpolab").mkdir(parents=True)
    (project / "trpolab" / "__init__.py").write_text("")
    (project / "pyproject.toml").write_text(PROJECT)
    wheel(folder, "needed", "1.5")
    wheel(folder, "shown", "2.0")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr(offline, "project", lambda: project)
    monkeypatch.setattr(offline, "torch_like_here", list)
    return folder


def test_a_folder_is_made_installs_and_is_told_when_a_wheel_is_gone(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "wheels of ours"
    assert main(["doctor", "--offline", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "3 wheels" in said and "--no-index" in said
    names = sorted(path.name for path in folder.glob("*.whl"))
    assert [name.split("-")[0] for name in names] == ["needed", "shown", "trpolab"]
    assert "--no-index" in (folder / "README.txt").read_text(encoding="utf-8")
    monkeypatch.delenv("PIP_FIND_LINKS")
    assert main(["doctor", "--offline", str(folder)]) == 0
    line = next(line.strip() for line in capsys.readouterr().out.splitlines() if "pip install" in line)
    target = tmp_path / "installed"
    words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', line)]
    assert words[0] == sys.executable
    subprocess.run([*words, "--target", str(target)], check=True, capture_output=True)
    assert {"needed.py", "shown.py", "trpolab"} <= {path.name for path in target.iterdir()}
    next(folder.glob("shown-*")).unlink()
    assert main(["doctor", "--offline", str(folder)]) == 2
    assert re.search(r"does not hold what this machine .* needs: .*shown", capsys.readouterr().err)


def test_what_can_not_be_had_is_a_sentence_and_leaves_nothing(
    index: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    next(index.glob("needed-*")).unlink()
    assert main(["doctor", "--offline", str(tmp_path / "wheels")]) == 2
    said = capsys.readouterr().err
    assert "could not be downloaded" in said and "needed" in said and "network" in said and said.count("\n") == 1
    assert list((tmp_path / "wheels").iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("")
    assert main(["doctor", "--offline", str(tmp_path)]) == 2
    assert "holds other things" in capsys.readouterr().err
    assert main(["doctor", "--offline", str(tmp_path / "thesis.tex")]) == 2
    assert "that is a file" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_torch_stays_without_cuda_where_it_is_so(monkeypatch: pytest.MonkeyPatch) -> None:
    versions = {"2.13.0+cpu": ["torch==2.13.0+cpu", "--extra-index-url", offline.CPU_ONLY], "2.13.0": []}
    for version, words in versions.items():
        monkeypatch.setattr(offline.importlib.metadata, "version", lambda name, version=version: version)
        assert offline.torch_like_here() == words

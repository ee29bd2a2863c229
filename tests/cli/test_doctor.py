"""`trpolab doctor` on machines that lack things."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

import trpolab
from trpolab.cli import doctor, main
from trpolab.cli.doctor import State


def found() -> dict[str, doctor.Check]:
    return {check.name: check for check in doctor.examine()}


def test_it_reports_and_returns_zero_where_the_core_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    for name in (
        "Python",
        "torch",
        "mujoco",
        "cores",
        "OpenGL",
        "ipykernel",
        "kernel python3",
        "disk",
        "Chromium",
        "slots",
    ):
        assert name in text


def test_it_tells_the_slots_that_a_run_would_get() -> None:
    for task in ("Swimmer-v5", "Hopper-v5"):
        assert f"{task} {trpolab.Session(task, out=None).config.slots}" in found()["slots"].found


def test_a_core_package_that_is_missing_or_broken_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    load = importlib.import_module

    def broken(name: str) -> object:
        if name == "mujoco":
            raise ModuleNotFoundError("No module named 'mujoco'")
        if name == "torch":
            raise OSError("libgomp.so.1: cannot open shared object file")
        return load(name)

    monkeypatch.setattr(importlib, "import_module", broken)
    checks = found()
    assert checks["mujoco"].state is State.MISSING and checks["mujoco"].advice == "pip install trpolab"
    assert checks["torch"].state is State.MISSING and "libgomp" in checks["torch"].found
    assert main(["doctor"]) != 0


def test_what_is_missing_comes_with_the_line_that_gets_it(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    find = importlib.util.find_spec
    gone = {"jupyterlab", "ale_py", "ipykernel"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in gone else find(name))
    monkeypatch.setattr(doctor.shutil, "which", lambda name: "/usr/bin/apt-get" if name == "apt-get" else None)
    checks = found()
    assert checks["jupyterlab"].advice == 'pip install "trpolab[lab]"'
    assert checks["ale-py"].advice == 'pip install "trpolab[atari]"'
    assert checks["kernel python3"].advice == 'pip install "trpolab[lab]"'
    assert checks["Chromium"].advice == "apt-get install chromium"
    assert main(["doctor"]) == 0  # the core still runs
    assert '  pip install "trpolab[lab]"' in capsys.readouterr().out


def test_ipykernel_7_0_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "7.0.1" if name == "ipykernel" else version(name))
    check = found()["ipykernel"]
    assert check.state is State.WARNING and "7.0.*" in check.advice


@pytest.mark.parametrize(("argv", "state"), [(["python"], State.OK), (["/another/python3"], State.WARNING)])
def test_a_kernel_that_starts_another_python_is_warned_of(monkeypatch, argv: list[str], state: State) -> None:
    kernelspec = pytest.importorskip("jupyter_client.kernelspec")
    spec = SimpleNamespace(argv=argv, resource_dir="/kernels/python3")
    monkeypatch.setattr(kernelspec.KernelSpecManager, "get_kernel_spec", lambda self, name: spec)
    assert found()["kernel python3"].state is state


def test_a_full_disk_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: SimpleNamespace(free=0.44e9))
    check = found()["disk"]
    assert check.state is State.WARNING and check.found.startswith("0.4 GB")


def test_without_what_it_prints_with_the_doctor_is_a_sentence() -> None:
    """In a process of its own, where the package cannot be found."""
    code = "import sys; sys.modules['rich'] = None; from trpolab.cli import main; sys.exit(main(['doctor']))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 2
    assert ran.stderr == "trpolab: this command needs rich, which is not installed: pip install trpolab\n"


def test_a_gpu_is_named_with_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert found()["GPU"].found == "none: training runs on the CPU"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA Pocket")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (3 * 2**29, 2 * 2**30))
    assert "NVIDIA Pocket, 1.5 of 2.0 GiB free" in found()["GPU"].found
    assert "--device cuda or auto" in found()["GPU"].found

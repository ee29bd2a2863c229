"""`trpolab doctor --offline DIR`: a folder of wheels, made with a network and installed from without one."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import trpolab
from trpolab.cli.exits import Exit, refuse
from trpolab.machine import user_path

NOTE = "README.txt"
NEEDED = "lab,atari,cma"  # extras that notebooks and exercises use
SHOWN = 3  # lines of pip's that are repeated where it fails
CPU_ONLY = "https://download.pytorch.org/whl/cpu"  # where torch without CUDA comes from: 0.2 GB instead of 3


def offline(given: str) -> int:
    """Fill a folder with wheels, or say how to install from it where that has been done."""
    folder = user_path(given).absolute()
    if folder.exists() and not folder.is_dir():
        return refuse([f"--offline {given}: that is a file; name a folder for the wheels"])
    if own_wheels(folder):
        return check(folder)
    if folder.exists() and any(folder.iterdir()):
        return refuse([f"--offline {given}: the folder holds other things; name a new one, or an empty one"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return fill(folder)
    except OSError as error:
        return refuse([f"--offline {given}: the folder can't be written: {error.strerror or error}"])


def fill(folder: Path) -> int:
    """Download all that the lab needs, and trpolab's own wheel."""
    print(f"Wheels of trpolab[{NEEDED}] for {described()} go to {folder}.", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        source = project()
        if source is not None:
            own_tools = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
            built = pip("wheel", "--no-deps", *own_tools, "--wheel-dir", scratch, str(source))
            if built.returncode:
                return refuse([f"trpolab's own wheel could not be built from {source}: {reason(built)}"])
            (own,) = own_wheels(Path(scratch))
            wanted = [f"trpolab[{NEEDED}] @ {own.as_uri()}"]
        else:
            wanted = [f"trpolab[{NEEDED}]=={trpolab.__version__}"]
        got = pip("download", "--only-binary=:all:", "--dest", str(folder), *wanted, *torch_like_here())
    if got.returncode:
        for part in folder.glob("*.whl"):
            part.unlink()
        return refuse([f"the wheels could not be downloaded: {reason(got)}. This command needs a network once"])
    size = sum(wheel.stat().st_size for wheel in folder.glob("*.whl")) / 1e6
    (folder / NOTE).write_text(
        f"trpolab {trpolab.__version__} and all that its notebooks need, for {described()}.\n\n"
        f"Without a network, in a virtual environment of the same Python:\n\n    {install_line(Path('THIS-FOLDER'))}\n",
        encoding="utf-8",
    )
    print(f"{len(list(folder.glob('*.whl')))} wheels, {size:,.0f} MB. Take the folder along; there, this installs it:")
    print(f"\n    {install_line(folder)}")
    return Exit.FINISHED


def check(folder: Path) -> int:
    """Ask pip, which asks nobody else, whether all that is needed lies in the folder."""
    line = install_line(folder)
    asked = pip("install", "--dry-run", "--ignore-installed", *from_folder(folder))
    if asked.returncode:
        return refuse([f"{folder} does not hold what this machine ({described()}) needs: {reason(asked)}"])
    print(f"{folder} holds all that trpolab needs on this machine. This installs it, without a network:\n\n    {line}")
    return Exit.FINISHED


def install_line(folder: Path) -> str:
    """The command for a person to copy."""
    return f'"{sys.executable}" -m pip install ' + " ".join(f'"{word}"' for word in from_folder(folder))


def from_folder(folder: Path) -> list[str]:
    """Words for `pip install` that look into one folder and nowhere else."""
    return ["--no-index", "--find-links", str(folder), f"trpolab[{NEEDED}]"]


def own_wheels(folder: Path) -> list[Path]:
    """Trpolab's own wheels in a folder."""
    return sorted(folder.glob("trpolab-*.whl"))


def project() -> Path | None:
    """The checkout that this trpolab runs from; None where it was installed from a wheel."""
    root = Path(trpolab.__file__).parent.parent
    return root if (root / "pyproject.toml").is_file() else None


def torch_like_here() -> list[str]:
    """Words for `pip download` that keep torch without CUDA where this Python has it so."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return []
    return [f"torch=={version}", "--extra-index-url", CPU_ONLY] if version.endswith("+cpu") else []


def pip(*words: str) -> subprocess.CompletedProcess[str]:
    """Run pip of this Python, quietly."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def reason(ran: subprocess.CompletedProcess[str]) -> str:
    """Why pip failed, in a line."""
    lines = ran.stderr.strip().splitlines() or ["pip said nothing"]
    if any("No module named pip" in line for line in lines):
        return f'this Python has no pip: "{sys.executable}" -m ensurepip gets it'
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")] or lines[-1:]
    return re.sub(r"\s+", " ", "; ".join(dict.fromkeys(errors[:SHOWN])))


def described() -> str:
    """What wheels have to fit."""
    return f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"

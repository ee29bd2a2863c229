"""`trpolab doctor`: what this machine has, what is missing, and the line that gets it."""

from __future__ import annotations

import ctypes.util
import importlib
import importlib.metadata
import importlib.util
import math
import os
import platform
import shutil
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from trpolab import __version__
from trpolab.cli.exits import Exit
from trpolab.cli.offline import offline
from trpolab.extras import CORE, install_line
from trpolab.machine import usable_cores

OPTIONAL = (
    *("jupyterlab", "ipywidgets", "anywidget", "plotly", "ipykernel", "Pillow", "matplotlib"),
    *("ale-py", "cma", "pyarrow", "tensorboard", "ray", "sb3-contrib", "tianshou"),
)
# Where a package's module has another name.
MODULES = {"Pillow": "PIL", "ale-py": "ale_py", "sb3-contrib": "sb3_contrib"}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LEAST_DISK = 2.0  # GB; a long run with its checkpoints takes some hundred MB


class State(Enum):
    """How a check ended, and the colour that it is shown in."""

    OK = "ok", "green"
    OPTIONAL = "--", "dim"  # absent, and only some things need it
    WARNING = "warn", "yellow"
    MISSING = "MISS", "bold red"  # the core can't run


@dataclass(frozen=True)
class Check:
    """One line of the report; `advice` is what to do about it, a command where there is one."""

    name: str
    found: str
    state: State = State.OK
    advice: str = ""


def doctor(args: Namespace) -> int:
    """Print the report, then run the self-test if it is asked for. Returns 0 when the core can run and all passed.

    With --offline it does that instead.
    """
    if args.offline is not None:
        return offline(args.offline)
    table = Table.grid(padding=(0, 2))
    checks = list(examine())
    for check in checks:
        state, style = check.state.value
        advice = [Padding.indent(check.advice, 2)] if check.advice else []
        table.add_row(Text(state, style), check.name, Group(check.found, *advice))
    Console(markup=False, emoji=False, highlight=False).print(table)
    broken = [check.name for check in checks if check.state is State.MISSING]
    print(f"\nThe core can't run: {', '.join(broken)}." if broken else "\nThe core can run.")
    if broken or not args.selftest:
        return Exit.CRASHED if broken else Exit.FINISHED
    from trpolab.cli.selftest import selftest

    return selftest()


def examine() -> Iterator[Check]:
    """Every check, in the order of the report."""
    yield Check("trpolab", __version__)
    yield Check("Python", f"{platform.python_version()} at {sys.executable}, {platform.system()} {platform.machine()}")
    yield from map(_core, CORE)
    yield from map(_optional, OPTIONAL)
    yield _kernelspec()
    yield Check("cores", f"{usable_cores()} usable of {os.cpu_count() or 1} logical")
    yield _slots()
    yield _accelerator()
    yield _gl()
    yield _browser()
    yield _disk(Path.cwd())


def _slots() -> Check:
    """What the rule for simulator slots chooses where none are given."""
    try:
        from trpolab.simulators import find_task
        from trpolab.training.config import resolve
        from trpolab.training.samplers import suited_slots
    except (ImportError, OSError):
        return Check("slots", "unknown without the core", State.OPTIONAL)
    tasks = ("CartPole-v1", "Swimmer-v5", "Hopper-v5", "HalfCheetah-v5", "Walker2d-v5")
    chosen = [f"{task} {suited_slots(resolve(find_task(task)))}" for task in tasks]
    return Check("slots", f"by default {', '.join(chosen)}: 1.5 / (1 - γλ) steps of an iteration each, or more")


def _core(name: str) -> Check:
    try:
        importlib.import_module(name)
        return Check(name, importlib.metadata.version(name))
    except (ImportError, OSError, AttributeError, RuntimeError) as error:  # OSError: a shared library is missing
        found = "not installed" if isinstance(error, ModuleNotFoundError) else f"can't be loaded: {error}"
        return Check(name, found, State.MISSING, install_line(name))


def _optional(name: str) -> Check:
    module = MODULES.get(name, name)
    if importlib.util.find_spec(module) is None:
        return Check(name, "not installed", State.OPTIONAL, install_line(module))
    version = importlib.metadata.version(name)
    if name == "ipykernel" and version.startswith("7.0."):
        found = f"{version}: loses the output and the widget updates of threads; the lab will look frozen"
        return Check(name, found, State.WARNING, 'pip install -U "ipykernel!=7.0.*"')
    return Check(name, version)


def _kernelspec() -> Check:
    """The kernel that the notebooks ask for must run in this environment."""
    if importlib.util.find_spec("jupyter_client") is None or importlib.util.find_spec("ipykernel") is None:
        return Check("kernel python3", "no Jupyter", State.OPTIONAL, install_line("ipykernel"))
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    advice = f'"{sys.executable}" -m ipykernel install --sys-prefix'
    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        return Check("kernel python3", "not installed", State.WARNING, advice)
    runs = spec.argv[0] if spec.argv else ""
    # A bare "python" is this interpreter: jupyter_client puts it in when it starts the kernel.
    if Path(runs).name == runs or Path(runs).absolute() == Path(sys.executable).absolute():
        return Check("kernel python3", spec.resource_dir)
    return Check("kernel python3", f"{spec.resource_dir} starts another Python: {runs}", State.WARNING, advice)


def _accelerator() -> Check:
    try:
        import torch
    except (ImportError, OSError):
        return Check("GPU", "unknown without torch", State.OPTIONAL)
    if not torch.cuda.is_available():
        return Check("GPU", "none: training runs on the CPU")
    free, whole = (size / 2**30 for size in torch.cuda.mem_get_info())
    memory = f"{free:.1f} of {whole:.1f} GiB free"
    return Check("GPU", f"{torch.cuda.get_device_name()}, {memory}: the update runs there with --device cuda or auto")


def _gl() -> Check:
    """Only pixels rendered by MuJoCo need OpenGL; the lab draws rollouts without it."""
    libraries = [name for name in ("EGL", "GL", "OSMesa") if ctypes.util.find_library(name)]
    chosen = os.environ.get("MUJOCO_GL", "not set")
    if libraries or platform.system() != "Linux":
        return Check("OpenGL", f"{', '.join(libraries) or 'the system’s own'} (MUJOCO_GL {chosen})")
    return Check("OpenGL", f"none (MUJOCO_GL {chosen}): not needed to train, nor to draw rollouts", State.OPTIONAL)


def _browser() -> Check:
    if path := next(filter(None, map(shutil.which, BROWSERS)), None):
        return Check("Chromium", path)
    advice = "apt-get install chromium" if shutil.which("apt-get") else "install Chromium and put it on PATH"
    return Check("Chromium", "not found: only the browser tests need it", State.OPTIONAL, advice)


def _disk(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free / 1e9
    found = f"{math.floor(free * 10) / 10:g} GB free at {folder}"
    if free < LEAST_DISK:
        return Check("disk", found, State.WARNING, f"long runs want {LEAST_DISK:g} GB: free some, or use --out")
    return Check("disk", found)
